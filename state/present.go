package state

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/offheap"
)

// present is a filter of the keys of a database, in memory. It answers that a key is absent, or that it may be there: a new key costs
// no look into LevelDB, which takes ten times as long. A deleted key may be there.
//
// The filter is a Bloom filter of 16 bits a key, in layers: a full layer is followed by one of twice its size. It may be asked while
// keys are added. It is not kept on disk, where it could be older than the database: a database that has keys when it is opened is
// read once in the background, and until then every key may be there. One that has come to know many keys which are deleted by now is
// replaced in the same way (see Database.renew), or a store whose keys come and go would need more and more memory.
type present struct {
	complete atomic.Bool // every key of the database was added; until then any key may be there
	layers   atomic.Pointer[[]*layer]
	adding   sync.Mutex
	first    int          // blocks of the first layer
	room     int          // keys that the last layer still takes
	keys     atomic.Int64 // that were added
}

// layer is blocks of 256 bits. A key has one bit in each word of one block.
type layer struct {
	blocks []block
	memory offheap.Memory
}

type block [8]atomic.Uint32

const (
	keysPerBlock = 16
	blockBytes   = int64(unsafe.Sizeof(block{}))
	leastBlocks  = 64
)

// newPresent begins with a layer of about so many bytes: each layer has to be asked.
func newPresent(firstBytes int64) *present {
	return &present{first: int(max(firstBytes/blockBytes, leastBlocks))}
}

// at is the block of a key: the upper 24 bits of its hash say which. The lower 40 bits are the places in its eight words.
func (l *layer) at(hash uint64) *block {
	return &l.blocks[(hash>>40)*uint64(len(l.blocks))>>24]
}

func (l *layer) has(hash uint64) bool {
	b := l.at(hash)
	for i := range b {
		if b[i].Load()&(1<<(hash>>(5*i)&31)) == 0 {
			return false
		}
	}
	return true
}

func (l *layer) add(hash uint64) {
	b := l.at(hash)
	for i := range b {
		b[i].Or(1 << (hash >> (5 * i) & 31))
	}
}

// absent reports whether the key is not in the database for sure.
func (p *present) absent(key string) bool {
	return p.complete.Load() && !p.has(keyed.Hash(key))
}

func (p *present) has(hash uint64) bool {
	layers := p.layers.Load()
	if layers == nil {
		return false
	}
	for i := len(*layers) - 1; i >= 0; i-- {
		if (*layers)[i].has(hash) {
			return true
		}
	}
	return false
}

// add makes the keys of these hashes present. It must return before anybody relies on the database for them.
func (p *present) add(hashes []uint64) {
	p.adding.Lock()
	defer p.adding.Unlock()
	for _, hash := range hashes {
		if p.has(hash) {
			continue
		}
		if p.room == 0 {
			p.grow()
		}
		p.room--
		p.keys.Add(1)
		layers := *p.layers.Load()
		layers[len(layers)-1].add(hash)
	}
}

func (p *present) grow() {
	blocks := p.first
	var layers []*layer
	if old := p.layers.Load(); old != nil {
		layers = *old
		blocks = 2 * len(layers[len(layers)-1].blocks)
	}
	memory, words := offheap.Words(blocks * int(blockBytes) / 8)
	l := &layer{unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(words))), blocks), memory}
	layers = append(layers[:len(layers):len(layers)], l)
	p.layers.Store(&layers)
	p.room = blocks * keysPerBlock
}

// free gives the memory back: any key may be there then. Nobody may ask or add meanwhile.
func (p *present) free() {
	p.complete.Store(false)
	if layers := p.layers.Swap(nil); layers != nil {
		for _, l := range *layers {
			l.memory.Free()
		}
	}
}

// hashes gathers what is to be added.
type hashes struct {
	to   *present
	list [256]uint64
	n    int
}

func (h *hashes) add(hash uint64) {
	if h.list[h.n], h.n = hash, h.n+1; h.n == len(h.list) {
		h.end()
	}
}

func (h *hashes) end() {
	h.to.add(h.list[:h.n])
	h.n = 0
}
