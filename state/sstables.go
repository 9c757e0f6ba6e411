package state

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

const (
	footerSize   = 48
	sstableMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
	blockExtra   = 5 // type and checksum after each block
	handleField  = 2 // each block handle of the footer has an offset and a length
)

// openSSTable checks an SSTable's footer, the one part of it without a checksum: LevelDB allocates what it says.
func (f *files) openSSTable(fd storage.FileDesc) (storage.Reader, error) {
	r, err := f.Storage.Open(fd)
	if err != nil {
		return nil, err
	}
	if err := checkFooter(r); err != nil {
		r.Close()
		var damage *badFooter
		if errors.As(err, &damage) {
			return nil, &storage.ErrCorrupted{Fd: fd, Err: err}
		}
		return nil, err
	}
	return r, nil
}

type badFooter struct{ what string }

func (e *badFooter) Error() string { return "the SSTable's footer is damaged: " + e.what }

func checkFooter(r storage.Reader) error {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < footerSize {
		return &badFooter{"the file is too short"}
	}
	var footer [footerSize]byte
	if _, err := r.ReadAt(footer[:], size-footerSize); err != nil && err != io.EOF {
		return err
	}
	if string(footer[footerSize-len(sstableMagic):]) != sstableMagic {
		return &badFooter{"it is none"}
	}
	rest := footer[:footerSize-len(sstableMagic)]
	for range 2 { // the handles of the index of filters and of the index
		var field [handleField]uint64
		for i := range field {
			x, n := binary.Uvarint(rest)
			if n <= 0 {
				return &badFooter{"a block handle does not end"}
			}
			field[i], rest = x, rest[n:]
		}
		if end := uint64(size - footerSize); field[0] > end || field[1] > end || field[0]+field[1]+blockExtra > end {
			return &badFooter{"a block is outside of the file"}
		}
	}
	return nil
}

func sortFiles(fds []storage.FileDesc) {
	slices.SortFunc(fds, func(a, b storage.FileDesc) int { return int(a.Num - b.Num) })
}

// lastSequence reads the number of the newest change in SSTables out of a manifest. A record that it does not understand
// ends the search: LevelDB will say what is wrong with it.
func lastSequence(records [][]byte) (sequence uint64) {
	for _, r := range records {
		fields := manifestFields{rest: r}
		for len(fields.rest) > 0 && !fields.bad {
			switch fields.uvarint() {
			case 1: // comparer
				fields.bytes()
			case 2, 3, 9: // journal, next file, journal before
				fields.uvarint()
			case 4: // sequence
				if n := fields.uvarint(); !fields.bad {
					sequence = n
				}
			case 5: // where the next compaction of a level begins
				fields.uvarint()
				fields.bytes()
			case 6: // an SSTable gone: level, number
				fields.uvarint()
				fields.uvarint()
			case 7: // an SSTable more: level, number, size, first and last key
				fields.uvarint()
				fields.uvarint()
				fields.uvarint()
				fields.bytes()
				fields.bytes()
			default:
				return sequence
			}
		}
	}
	return sequence
}

type manifestFields struct {
	rest []byte
	bad  bool
}

func (f *manifestFields) uvarint() uint64 {
	x, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[n:]
	return x
}

func (f *manifestFields) bytes() {
	n := f.uvarint()
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return
	}
	f.rest = f.rest[n:]
}
