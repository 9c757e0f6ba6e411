package state

import (
	"encoding/binary"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/weirstream/weir/internal/offheap"
)

// batch is a batch for LevelDB in memory outside of the heap, since it is as large as what was gathered: on the heap, a batch for each
// database that writes would count twice. It lives for one write, after which LevelDB refers to nothing of it.
type batch struct {
	leveldb *leveldb.Batch // an index of data, once it is loaded
	memory  offheap.Memory
	data    []byte
}

// indexes are what batches have on the heap, used again by all databases: few of them write at the same time. A sync.Pool would be emptied
// by every second collection, and an index grows to half the size of its batch.
var indexes = make(chan *leveldb.Batch, 2)

// mostRecord is how many bytes a record takes besides its key and value at most: its kind and two lengths.
const mostRecord = 1 + 2*binary.MaxVarintLen32

// newBatch makes one with room for n bytes of records.
func newBatch(n int) *batch {
	b := &batch{}
	select {
	case b.leveldb = <-indexes:
	default:
		b.leveldb = &leveldb.Batch{}
	}
	b.reserve(n)
	return b
}

// The kinds of records in LevelDB's journal.
const (
	deletion byte = iota
	insertion
)

// put adds a record as LevelDB's journal has it; value is nil for a deletion.
func (b *batch) put(key, value []byte) {
	b.reserve(mostRecord + len(key) + len(value))
	kind := insertion
	if value == nil {
		kind = deletion
	}
	b.data = append(b.data, kind)
	b.data = append(binary.AppendUvarint(b.data, uint64(len(key))), key...)
	if value != nil {
		b.data = append(binary.AppendUvarint(b.data, uint64(len(value))), value...)
	}
}

// reserve makes room for n bytes more.
func (b *batch) reserve(n int) {
	if cap(b.data)-len(b.data) >= n {
		return
	}
	memory := offheap.Alloc(max(2*cap(b.data), len(b.data)+n))
	b.data = append(memory.Bytes()[:0], b.data...)
	b.memory.Free()
	b.memory = memory
}

// load is the batch as LevelDB takes it.
func (b *batch) load() (*leveldb.Batch, error) { return b.leveldb, b.leveldb.Load(b.data) }

// free gives the memory back.
func (b *batch) free() {
	_ = b.leveldb.Load(nil) // or it would refer to what is not there any more
	b.memory.Free()
	select {
	case indexes <- b.leveldb:
	default:
	}
	*b = batch{}
}
