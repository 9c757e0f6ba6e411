package state

import (
	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/weirstream/weir/internal/fault"
)

// note keeps the first failure of a write: LevelDB keeps only the text of one that hits a new manifest.
func (f *files) note(err error) error {
	if err != nil {
		f.mu.Lock()
		if f.failure == nil {
			f.failure = err
		}
		f.mu.Unlock()
	}
	return err
}

// failed is the first failure of a write, or nil.
func (f *files) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

// SetMeta makes CURRENT, and keeps the one before.
func (f *files) SetMeta(fd storage.FileDesc) error {
	err := f.note(f.Storage.SetMeta(fd))
	f.own("CURRENT")
	f.own("CURRENT.bak")
	return err
}

func (f *files) Create(fd storage.FileDesc) (storage.Writer, error) {
	w, err := f.Storage.Create(fd)
	if err != nil {
		return nil, err
	}
	f.own(fd.String())
	return notedWriter{w, f}, nil
}

type notedWriter struct {
	storage.Writer
	files *files
}

func (w notedWriter) Write(p []byte) (int, error) {
	if err := fault.DiskFull(); err != nil {
		return 0, w.files.note(err)
	}
	n, err := w.Writer.Write(p)
	return n, w.files.note(err)
}

func (w notedWriter) Sync() error { return w.files.note(w.Writer.Sync()) }
