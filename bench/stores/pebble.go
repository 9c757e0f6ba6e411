//go:build unix

package main

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/weirstream/weir/internal/keyed"
)

// shared is what all databases of a process have in common, as Pebble's experts have it: one cache of blocks, one of open files.
type shared struct {
	blocks *pebble.Cache
	files  *pebble.FileCache
}

func newShared(cacheBytes int64) *shared {
	return &shared{pebble.NewCache(cacheBytes), pebble.NewFileCache(2, 2048)}
}

func (s *shared) close() {
	s.files.Unref()
	s.blocks.Unref()
}

// options are those of CockroachDB where they are about the shape of the tree, with buffers as small as the stores' share of the
// memory, and without compression, which LevelDB here has not either. The log is written and not synced, as LevelDB's.
func (s *shared) options(buffer int) *pebble.Options {
	o := &pebble.Options{
		Cache: s.blocks, FileCache: s.files, FormatMajorVersion: pebble.FormatNewest, Logger: silent{},
		MemTableSize: uint64(buffer), MemTableStopWritesThreshold: 4,
		L0CompactionThreshold: 2, L0StopWritesThreshold: 1000, LBaseMaxBytes: 64 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	for i := range o.Levels {
		l := &o.Levels[i]
		l.BlockSize, l.IndexBlockSize, l.FilterPolicy, l.FilterType = 32<<10, 256<<10, bloom.FilterPolicy(10), pebble.TableFilter
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return o
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic("pebble: " + format)
}

// database is Pebble in the place of package state: it gathers what is committed and writes it in the background, in the order of the
// keys, in batches as large as there.
type database struct {
	dir        string
	db         *pebble.DB
	cacheBytes int64
	limit      int
	known      *filter // nil: Pebble's own filters alone answer for keys that are not there
	checkpoint int64

	mu               sync.Mutex
	turn             sync.Cond
	filling, writing *keyed.Gathered
	spare            *keyed.Gathered
	upTo             int64 // the checkpoint of what is filling
	err              error
	reading          sync.WaitGroup
}

var checkpointKey = []byte{0}

func openPebble(dir string, s *shared, cacheBytes int64, known *filter) (*database, error) {
	buffer := int(min(max(cacheBytes/16, 128<<10), 4<<20)) // as package state has it
	db, err := pebble.Open(dir, s.options(buffer))
	if err != nil {
		return nil, err
	}
	d := &database{dir: dir, db: db, cacheBytes: cacheBytes, limit: buffer * 3 / 2, known: known, checkpoint: -1,
		filling: &keyed.Gathered{}, spare: &keyed.Gathered{}}
	d.turn.L = &d.mu
	if data, ok, err := d.read(checkpointKey); err != nil {
		return nil, errors.Join(err, db.Close())
	} else if ok {
		d.checkpoint = int64(binary.BigEndian.Uint64(data))
		if known != nil {
			d.reading.Go(d.survey)
		}
	} else if known != nil {
		known.complete.Store(true)
	}
	return d, nil
}

// survey reads all keys in the background, as package state does after a start.
func (d *database) survey() {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{1}})
	if err != nil {
		return
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		d.known.add(keyed.HashBytes(it.Key()[1:]))
	}
	d.known.complete.Store(it.Error() == nil)
}

func (d *database) read(key []byte) (value []byte, ok bool, err error) {
	data, closer, err := d.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte{}, data...)
	return value, true, closer.Close()
}

func (d *database) Dir() string { return d.dir }

func (d *database) Limits() (cacheBytes int64, recordBytes int) { return d.cacheBytes, 0 }

func (d *database) Checkpoint() (int64, bool) { return max(d.checkpoint, 0), d.checkpoint >= 0 }

func (d *database) Note() []byte { return nil }

func (d *database) AsOf() time.Time { return time.Time{} }

func (d *database) Get(key string) (value []byte, ok bool, err error) {
	if d.known != nil && d.known.absent(key) {
		return nil, false, nil
	}
	d.mu.Lock()
	if value, ok = d.filling.Get(key); !ok && d.writing != nil {
		value, ok = d.writing.Get(key)
	}
	value = append([]byte{}, value...)
	d.mu.Unlock()
	if ok {
		return value, true, nil
	}
	return d.read(append([]byte{1}, key...))
}

func (d *database) Begin() (*keyed.Gathered, error) {
	d.mu.Lock()
	for d.err == nil && d.filling.Bytes() >= d.limit {
		d.turn.Wait()
	}
	if d.err != nil {
		defer d.mu.Unlock()
		return nil, d.err
	}
	d.filling.Reserve(d.limit + d.limit/4)
	return d.filling, nil
}

func (d *database) End(checkpoint int64, _ []byte, _ time.Time) {
	d.upTo = checkpoint
	d.checkpoint = checkpoint
	fresh := d.filling.Fresh()
	if d.known != nil {
		for _, hash := range fresh {
			d.known.add(hash)
		}
	}
	if d.filling.Bytes() >= d.limit && d.writing == nil {
		d.hand()
		go func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.write()
		}()
	}
	d.mu.Unlock()
}

// hand makes what is filling what is to be written. The lock is held.
func (d *database) hand() { d.filling, d.writing, d.spare = d.spare, d.filling, nil }

// write writes what was handed over. The lock is held, and let go meanwhile.
func (d *database) write() {
	g, upTo := d.writing, d.upTo
	d.mu.Unlock()
	batch := d.db.NewBatch()
	var key []byte
	var err error
	g.All(func(k, value []byte) {
		key = append(append(key[:0], 1), k...)
		err = errors.Join(err, batch.Set(key, value, nil))
	})
	err = errors.Join(err, d.commit(batch, upTo))
	d.mu.Lock()
	g.Reset()
	d.writing, d.spare, d.err = nil, g, err
	d.turn.Broadcast()
}

func (d *database) commit(batch *pebble.Batch, checkpoint int64) error {
	return errors.Join(batch.Set(checkpointKey, binary.BigEndian.AppendUint64(nil, uint64(checkpoint)), nil), batch.Commit(pebble.NoSync), batch.Close())
}

func (d *database) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.writing != nil {
		d.turn.Wait()
	}
	if d.err == nil && d.filling.Changes() > 0 {
		d.hand()
		d.write()
	}
	return d.err
}

func (d *database) Failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *database) Restore(entries []keyed.Entry, checkpoint int64, _ []byte, _ time.Time) error {
	batch := d.db.NewBatch()
	var key []byte
	var err error
	keyed.Sort(len(entries), func(i int) []byte { return entries[i].Key }, func(i int) {
		key = append(append(key[:0], 1), entries[i].Key...)
		if d.known != nil {
			d.known.add(keyed.HashBytes(entries[i].Key))
		}
		err = errors.Join(err, batch.Set(key, entries[i].Value, nil))
	})
	d.checkpoint = checkpoint
	return errors.Join(err, d.commit(batch, checkpoint))
}

func (d *database) Dump(yield func(key, value []byte) bool) error {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && yield(it.Key()[1:], it.Value()); ok = it.Next() {
	}
	return errors.Join(it.Error(), it.Close())
}

// Iterate and Sorted are for loops over a store, which the work has not.
func (d *database) Iterate(string, string) keyed.Iterator { panic("the work has no loops") }
func (d *database) Sorted() keyed.Sorted                  { panic("the work has no loops") }

func (d *database) Close() error {
	err := d.Flush()
	d.reading.Wait()
	d.filling.Free()
	d.spare.Free()
	return errors.Join(err, d.db.Close())
}
