package state

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// present is a filter of the keys of a database, in memory. It answers that a key is absent, or that it may be there: a new key costs
// no look into LevelDB, which takes ten times as long. A deleted key may be there.
//
// The filter is a Bloom filter of about 12 bits a key, in layers: a full layer is followed by a larger one. It may be asked while
// keys are added. It is not kept on disk, where it could be older than the database: a database that has keys when it is opened is
// read once in the background, and until then every key may be there.
type present struct {
	complete atomic.Bool // every key of the database was added; until then any key may be there
	layers   atomic.Pointer[[]*layer]
	adding   sync.Mutex
	room     int // keys that the last layer still takes
}

// layer is blocks of 256 bits. A key has one bit in each word of one block.
type layer struct{ blocks []block }

type block [8]atomic.Uint32

const (
	keysPerBlock = 21
	firstBlocks  = 256      // 8 KiB
	steepBlocks  = 16 << 10 // 512 KiB: up to here a layer is four times as large as the one before it, then twice
	steepGrowth  = 4
	gentleGrowth = 2
)

// seed keeps whoever chooses keys from filling one block.
var seed = maphash.MakeSeed()

func hashOf(key string) uint64      { return maphash.String(seed, key) }
func hashOfBytes(key []byte) uint64 { return maphash.Bytes(seed, key) }

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
	return p.complete.Load() && !p.has(hashOf(key))
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
		layers := *p.layers.Load()
		layers[len(layers)-1].add(hash)
	}
}

func (p *present) grow() {
	blocks := firstBlocks
	var layers []*layer
	if old := p.layers.Load(); old != nil {
		layers = *old
		blocks = len(layers[len(layers)-1].blocks)
		if blocks < steepBlocks {
			blocks *= steepGrowth
		} else {
			blocks *= gentleGrowth
		}
	}
	layers = append(layers[:len(layers):len(layers)], &layer{make([]block, blocks)})
	p.layers.Store(&layers)
	p.room = blocks * keysPerBlock
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
