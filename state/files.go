package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/journal"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/private"
)

// files stands between LevelDB and its files, and is stricter with what it reads at opening.
//
// A crash may leave the end of the journal or of the manifest torn, for neither is synced before every step. LevelDB
// either refuses such an end, or skips what is damaged and continues after it, which would leave out the values of one
// commit and take the checkpoint of the next. Here the history ends at the first damage: every batch in front of it
// counts, whole, and none after it. That is what an earlier commit left.
type files struct {
	storage.Storage
	log *zap.Logger
	dir string // where LevelDB makes its files, for everybody to read; "" where they are not to be touched

	sequence uint64             // of the newest change in SSTables, as the manifest says
	journals map[int64][][]byte // the good batches of each journal, once they were looked at; nil before
	damaged  map[int64]struct{} // journals of which only a part is good

	mu      sync.Mutex
	failure error // the first one of a write
}

func newFiles(s storage.Storage, log *zap.Logger) *files {
	return &files{Storage: s, log: log}
}

// Log makes a file when it has written much.
func (f *files) Log(text string) {
	f.Storage.Log(text)
	f.own("LOG")
}

// own makes one of LevelDB's files for this user alone. The folder is so already.
func (f *files) own(name string) {
	if f.dir == "" || !private.Permissions {
		return
	}
	path := filepath.Join(f.dir, name)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		_ = private.SetMode(path, info.Mode(), private.FileMode)
	}
}

// Open hands out what is good of manifest and journals. LevelDB reads them when a database is opened only.
func (f *files) Open(fd storage.FileDesc) (storage.Reader, error) {
	switch fd.Type {
	case storage.TypeManifest:
		return f.openManifest(fd)
	case storage.TypeJournal:
		return f.openJournal(fd)
	case storage.TypeTable:
		return f.openSSTable(fd)
	}
	return f.Storage.Open(fd)
}

// openManifest leaves out an end that was never written completely: that change of the database has not happened, since
// LevelDB goes on only after it is synced. Damage in front of a good record is none of a crash, and stays.
func (f *files) openManifest(fd storage.FileDesc) (storage.Reader, error) {
	records, damage, more, err := f.readLog(fd)
	if err != nil {
		return nil, err
	}
	f.journals = nil
	f.sequence = lastSequence(records)
	if damage == nil || more {
		return f.Storage.Open(fd)
	}
	f.log.Info("the manifest of a database ends in a torn record, which does not count",
		zap.Stringer("file", fd), zap.Error(damage))
	return memoryLog(records), nil
}

func (f *files) openJournal(fd storage.FileDesc) (storage.Reader, error) {
	if f.journals == nil {
		if err := f.readJournals(fd.Num); err != nil {
			return nil, err
		}
	}
	if _, damaged := f.damaged[fd.Num]; !damaged {
		return f.Storage.Open(fd)
	}
	return memoryLog(f.journals[fd.Num]), nil
}

// readJournals looks at all journals from the first that counts on, before LevelDB takes over anything of them and
// deletes it. Batches are numbered without a gap, also from one journal to the next.
func (f *files) readJournals(first int64) error {
	fds, err := f.Storage.List(storage.TypeJournal)
	if err != nil {
		return err
	}
	sortFiles(fds)
	f.journals, f.damaged = map[int64][][]byte{}, map[int64]struct{}{}
	var next uint64 // the number that the next batch must have
	var end error   // why nothing after it counts
	for _, fd := range fds {
		if fd.Num < first {
			continue
		}
		batches, damage, _, err := f.readLog(fd)
		if err != nil {
			return err
		}
		good := 0
		for ; good < len(batches) && end == nil; good++ {
			sequence, count, ok := batchHeader(batches[good])
			// LevelDB numbers from the manifest's number or from the one after it.
			atStart := next == 0 && (sequence == f.sequence || sequence == f.sequence+1)
			if fd.Num == first && next == 0 && ok && !atStart {
				// A journal in between is gone, or the manifest lost a change that LevelDB had gone on from.
				return &storage.ErrCorrupted{Fd: fd, Err: fmt.Errorf(
					"the journal begins with change %d, and the SSTables end with %d", sequence, f.sequence)}
			}
			if !ok || !atStart && sequence != next {
				end = fmt.Errorf("batch %d does not follow the one in front of it", good)
				break
			}
			next = sequence + count
		}
		if end == nil {
			end = damage
		}
		if good < len(batches) || damage != nil {
			f.damaged[fd.Num] = struct{}{}
			f.journals[fd.Num] = batches[:good]
		}
	}
	if end != nil {
		f.log.Warn("the journal of a database ends in damage, as after a crash: the database is as an earlier commit left it",
			zap.NamedError("damage", end))
	}
	return nil
}

// batchHeader is the number of a batch's first change, and how many changes it has.
func batchHeader(batch []byte) (sequence, count uint64, ok bool) {
	if len(batch) < 12 {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(batch), uint64(binary.LittleEndian.Uint32(batch[8:])), true
}

// readLog reads a file of journal format up to the first damage; more says whether there are good records after it.
func (f *files) readLog(fd storage.FileDesc) (records [][]byte, damage error, more bool, err error) {
	r, err := f.Storage.Open(fd)
	if err != nil {
		return nil, nil, false, err
	}
	defer r.Close()
	source := &faultyReader{r: r}
	drops := &firstDrop{}
	log := journal.NewReader(source, drops, false, true)
	for {
		record, err := log.Next()
		if source.err != nil {
			return nil, nil, false, source.err
		}
		if err == io.EOF {
			return records, drops.err, false, nil
		}
		if err != nil {
			return nil, nil, false, err
		}
		data, err := io.ReadAll(record)
		switch {
		case source.err != nil:
			return nil, nil, false, source.err
		case err == nil && drops.err != nil:
			return records, drops.err, true, nil
		case err == nil:
			records = append(records, data)
		case !errors.Is(err, io.ErrUnexpectedEOF):
			return nil, nil, false, err
		}
	}
}

// faultyReader keeps an error of the disk apart from damage of what was read.
type faultyReader struct {
	r   io.Reader
	err error
}

func (r *faultyReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

type firstDrop struct{ err error }

func (d *firstDrop) Drop(err error) {
	if d.err == nil {
		d.err = err
	}
}

// memoryLog is a file of journal format with these records.
func memoryLog(records [][]byte) storage.Reader {
	var file bytes.Buffer
	w := journal.NewWriter(&file)
	for _, r := range records {
		// Neither fails in memory.
		if record, err := w.Next(); err == nil {
			_, _ = record.Write(r)
		}
	}
	_ = w.Close()
	return memoryFile{bytes.NewReader(file.Bytes())}
}

type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }
