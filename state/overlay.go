package state

import (
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// overlay lets LevelDB write without changing what is below: what it writes is kept in memory.
type overlay struct {
	storage.Storage // below
	mu              sync.Mutex
	memory          storage.Storage
	written         map[storage.FileDesc]bool // true: in memory, false: removed
	meta            storage.FileDesc          // set in memory, zero: not
}

func newOverlay(below storage.Storage) *overlay {
	return &overlay{Storage: below, memory: storage.NewMemStorage(), written: map[storage.FileDesc]bool{}}
}

func (o *overlay) Log(string) {}

func (o *overlay) SetMeta(fd storage.FileDesc) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.meta = fd
	return nil
}

func (o *overlay) GetMeta() (storage.FileDesc, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.meta.Zero() {
		return o.meta, nil
	}
	return o.Storage.GetMeta()
}

func (o *overlay) List(types storage.FileType) ([]storage.FileDesc, error) {
	below, err := o.Storage.List(types)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var fds []storage.FileDesc
	for _, fd := range below {
		if _, touched := o.written[fd]; !touched {
			fds = append(fds, fd)
		}
	}
	for fd, there := range o.written {
		if there && fd.Type&types != 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

func (o *overlay) Open(fd storage.FileDesc) (storage.Reader, error) {
	o.mu.Lock()
	_, touched := o.written[fd]
	o.mu.Unlock()
	if touched {
		return o.memory.Open(fd)
	}
	return o.Storage.Open(fd)
}

func (o *overlay) Create(fd storage.FileDesc) (storage.Writer, error) {
	o.mu.Lock()
	o.written[fd] = true
	o.mu.Unlock()
	return o.memory.Create(fd)
}

func (o *overlay) Remove(fd storage.FileDesc) error {
	o.mu.Lock()
	there := o.written[fd]
	o.written[fd] = false
	o.mu.Unlock()
	if there {
		return o.memory.Remove(fd)
	}
	return nil
}

// Rename is what LevelDB's repair uses, and nothing else.
func (o *overlay) Rename(from, to storage.FileDesc) error { return storage.ErrInvalidFile }
