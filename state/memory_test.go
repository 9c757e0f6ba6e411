package state

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// disk is a storage in memory that knows what was synced, can lose the rest, and fails when told to.
type disk struct {
	mu      sync.Mutex
	files   map[storage.FileDesc]*diskFile
	removed map[storage.FileDesc]*diskFile
	meta    storage.FileDesc
	fail    func(op string, fd storage.FileDesc) error // asked before each step, nil for none
	locked  bool
}

type diskFile struct {
	data   []byte
	synced int
}

func newDisk() *disk {
	return &disk{files: map[storage.FileDesc]*diskFile{}, removed: map[storage.FileDesc]*diskFile{}}
}

// open is for Options.storage.
func (d *disk) open(string) (storage.Storage, error) { return d, nil }

func (d *disk) failWith(fail func(op string, fd storage.FileDesc) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

// killed is the disk as a process leaves it that was killed now: everything written is there.
func (d *disk) killed() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newDisk()
	after.meta = d.meta
	for fd, f := range d.files {
		after.files[fd] = &diskFile{slices.Clone(f.data), f.synced}
	}
	return after
}

// unplugged is the disk after the power went: of what was not synced there is some front part, the rest may be missing
// or garbage, and files that were removed may be back.
func (d *disk) unplugged(random *rand.Rand) *disk {
	after := d.killed()
	for _, fd := range sorted(after.files) {
		f := after.files[fd]
		cut := f.synced + random.IntN(len(f.data)-f.synced+1)
		switch lost := len(f.data) - cut; random.IntN(3) {
		case 0:
			f.data = append(f.data[:cut], make([]byte, lost)...)
		case 1:
			for i := cut; i < len(f.data); i++ {
				f.data[i] = byte(random.Uint32())
			}
		default:
			f.data = f.data[:cut]
		}
		f.synced = len(f.data)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, fd := range sorted(d.removed) {
		if _, again := after.files[fd]; !again && random.IntN(2) == 0 {
			after.files[fd] = &diskFile{slices.Clone(d.removed[fd].data), 0}
		}
	}
	return after
}

func sorted(files map[storage.FileDesc]*diskFile) []storage.FileDesc {
	return slices.SortedFunc(maps.Keys(files), func(a, b storage.FileDesc) int {
		return int(a.Num-b.Num)<<8 + int(a.Type-b.Type)
	})
}

func (d *disk) step(op string, fd storage.FileDesc) error {
	if d.fail != nil {
		return d.fail(op, fd)
	}
	return nil
}

func (d *disk) Lock() (storage.Locker, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, storage.ErrLocked
	}
	d.locked = true
	return d, nil
}

func (d *disk) Unlock() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.locked = false
}

func (d *disk) Log(string) {}

func (d *disk) SetMeta(fd storage.FileDesc) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("setmeta", fd); err != nil {
		return err
	}
	d.meta = fd
	return nil
}

func (d *disk) GetMeta() (storage.FileDesc, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.meta.Zero() {
		return d.meta, os.ErrNotExist
	}
	return d.meta, nil
}

func (d *disk) List(types storage.FileType) (fds []storage.FileDesc, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for fd := range d.files {
		if fd.Type&types != 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

func (d *disk) Open(fd storage.FileDesc) (storage.Reader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("open", fd); err != nil {
		return nil, err
	}
	f, ok := d.files[fd]
	if !ok {
		return nil, os.ErrNotExist
	}
	return &diskReader{bytes.NewReader(slices.Clone(f.data)), d, fd}, nil
}

func (d *disk) Create(fd storage.FileDesc) (storage.Writer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("create", fd); err != nil {
		return nil, err
	}
	f := &diskFile{}
	d.files[fd] = f
	return &diskWriter{d, fd, f}, nil
}

func (d *disk) Remove(fd storage.FileDesc) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[fd]
	if !ok {
		return os.ErrNotExist
	}
	delete(d.files, fd)
	d.removed[fd] = f
	return nil
}

func (d *disk) Rename(from, to storage.FileDesc) error { return storage.ErrInvalidFile }
func (d *disk) Close() error                           { return nil }

type diskReader struct {
	*bytes.Reader
	d  *disk
	fd storage.FileDesc
}

func (r *diskReader) Read(p []byte) (int, error) {
	if err := r.failed(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func (r *diskReader) ReadAt(p []byte, at int64) (int, error) {
	if err := r.failed(); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(p, at)
}

func (r *diskReader) failed() error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	return r.d.step("read", r.fd)
}

func (r *diskReader) Close() error { return nil }

type diskWriter struct {
	d  *disk
	fd storage.FileDesc
	f  *diskFile
}

// Write leaves half of what it was given when it fails.
func (w *diskWriter) Write(p []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if err := w.d.step("write", w.fd); err != nil {
		w.f.data = append(w.f.data, p[:len(p)/2]...)
		return len(p) / 2, err
	}
	w.f.data = append(w.f.data, p...)
	return len(p), nil
}

func (w *diskWriter) Sync() error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if err := w.d.step("sync", w.fd); err != nil {
		return err
	}
	w.f.synced = len(w.f.data)
	return nil
}

func (w *diskWriter) Close() error { return nil }
