package letters

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir/internal/private"
)

// indexFile is a sequence of blocks with checksums, to which blocks are added. The first one says of which topic it is. A block is of letters in one
// partition, one after the other; what a block says needs no other one, so a file may be cut off after any of them.
type indexFile struct {
	file *os.File
	size int64 // of the blocks that are whole
	// broken says that nothing is written any more, since the disk does not take it.
	broken bool
}

// indexed says of which topic an index is.
type indexed struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"`
	Topic   string `json:"topic"`
	TopicID string `json:"topic_id"`
}

// maxBlock bounds what is read of a file that may be damaged.
const maxBlock = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that a file ends, or is wrong, from some block on.
var errDamaged = errors.New("the index is damaged")

// indexPath is where the index of a topic is, "" where its ids are none that a file may be called by.
func indexPath(dir, cluster, topicID string) string {
	for _, id := range []string{cluster, topicID} {
		if id == "" || len(id) > 100 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			return ""
		}
	}
	return filepath.Join(dir, cluster, topicID+".index")
}

// makeFolders makes the folders that an index is in, for this user alone.
func makeFolders(path string) error {
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(filepath.Dir(path))), 0o700); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path)} {
		if err := private.Folder(dir); err != nil {
			return err
		}
	}
	return nil
}

// openIndex opens the file, and empties one that is not of this topic or not of this version.
func openIndex(path string, of indexed) (*indexFile, error) {
	file, err := private.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	f := &indexFile{file: file}
	var is indexed
	r := bufio.NewReader(io.NewSectionReader(file, 0, maxBlock))
	if head, err := readBlock(r); err == nil && json.Unmarshal(head, &is) == nil && is == of {
		f.size = int64(len(head)) + 8
		return f, nil
	}
	if err := f.empty(of); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// empty leaves nothing but what says of which topic it is.
func (f *indexFile) empty(of indexed) error {
	f.size = 0
	head, err := json.Marshal(of)
	if err != nil {
		return err
	}
	return f.add(head)
}

// add adds a block.
func (f *indexFile) add(payload []byte) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, len(payload)+8), uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	if err := f.file.Truncate(f.size); err != nil {
		return err
	}
	if _, err := f.file.WriteAt(append(b, payload...), f.size); err != nil {
		return err
	}
	f.size += int64(len(payload)) + 8
	return nil
}

// keep adds a block, or stops doing so where the disk does not take it: an index is never a reason to fail.
func (f *indexFile) keep(payload []byte) {
	if !f.broken && len(payload) <= maxBlock {
		f.broken = f.add(payload) != nil
	} else {
		f.broken = true // what follows would not join what is there
	}
}

// blocks calls do with each block after the first. Where one is damaged, or do says so, the file is cut off before it.
func (f *indexFile) blocks(do func(payload []byte) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f.file, f.size, 1<<62), 1<<20)
	for {
		payload, err := readBlock(r)
		if err == nil {
			err = do(payload)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errDamaged):
			return f.file.Truncate(f.size)
		case err != nil:
			return err
		}
		f.size += int64(len(payload)) + 8
	}
}

// readBlock returns a block, io.EOF at the end, or errDamaged.
func readBlock(r io.Reader) ([]byte, error) {
	var head [8]byte
	if n, err := io.ReadFull(r, head[:]); n == 0 && err == io.EOF {
		return nil, io.EOF
	} else if err != nil {
		return nil, damaged(err)
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size > maxBlock {
		return nil, errDamaged
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, damaged(err)
	}
	if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, errDamaged
	}
	return payload, nil
}

// damaged is a file that ends in a block, or the error of the disk.
func damaged(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errDamaged
	}
	return fmt.Errorf("read the index: %w", err)
}
