package keyed

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/weirstream/weir/internal/offheap"
)

// Gathered is what was committed and is not written yet: the last value of each key. It is a table of places in a list of records, in
// memory outside of the heap: a map would have the collector look at each key and value, new ones every few seconds.
//
// It has to be freed.
type Gathered struct {
	records []byte   // each a head, the key, and room for a value
	places  []uint64 // open addressing: 24 bits of a key's hash, and the place of its record plus 1; 0 is none
	keys    int
	changes int
	fresh   []uint64
	likely  int // how many places will be wanted

	memory, table offheap.Memory // what records and places are in
}

// The head of a record is the length of its key, the room for its value, and the length of the value plus 1; 0 is a deleted key.
const (
	headBytes    = 12
	outgrown     = 1<<32 - 1 // instead of the length of a value: the key has a later record
	placeBits    = 40
	placeMask    = 1<<placeBits - 1
	leastRecords = 4 << 10
	leastPlaces  = 64
	keptBytes    = 64 << 10
)

// hashSeed keeps whoever chooses keys from filling one place.
var hashSeed = maphash.MakeSeed()

// Hash is the hash of a key in Fresh.
func Hash(key string) uint64 { return maphash.String(hashSeed, key) }

// HashBytes is Hash.
func HashBytes(key []byte) uint64 { return maphash.Bytes(hashSeed, key) }

// Bytes is how much memory is used.
func (g *Gathered) Bytes() int { return len(g.records) }

// Keys is the number of keys.
func (g *Gathered) Keys() int { return g.keys }

// Changes is how often Put was called, with whatever keys.
func (g *Gathered) Changes() int { return g.changes }

// Fresh is the hashes of the keys that came in since it was called last. It is valid until the next Put.
func (g *Gathered) Fresh() []uint64 {
	fresh := g.fresh
	g.fresh = g.fresh[:0]
	return fresh
}

// Reserve makes room for n bytes. They take memory when they are used.
func (g *Gathered) Reserve(n int) {
	if n <= cap(g.records) {
		return
	}
	memory := offheap.Alloc(n)
	g.records = append(memory.Bytes()[:0], g.records...)
	g.memory.Free()
	g.memory = memory
}

// Put adds a committed change; value is nil for a deleted key. Both are copied.
func (g *Gathered) Put(key string, value []byte) {
	g.changes++
	if g.places == nil {
		g.table, g.places = offheap.Words(max(g.likely, leastPlaces))
	}
	hash := Hash(key)
	at, ok := g.find(key, hash)
	if !ok {
		g.keys++
		g.fresh = append(g.fresh, hash)
		g.places[at] = hash>>placeBits<<placeBits | uint64(g.append(key, value)+1)
		if g.keys > len(g.places)/2 {
			g.grow()
		}
		return
	}
	head := g.records[g.place(at):]
	if int(binary.LittleEndian.Uint32(head[4:])) < len(value) {
		binary.LittleEndian.PutUint32(head[8:], outgrown)
		g.places[at] = hash>>placeBits<<placeBits | uint64(g.append(key, value)+1)
		return
	}
	setValue(head, value)
}

func setValue(head, value []byte) {
	length := uint32(0)
	if value != nil {
		length = uint32(len(value) + 1)
	}
	binary.LittleEndian.PutUint32(head[8:], length)
	copy(head[headBytes+int(binary.LittleEndian.Uint32(head)):], value)
}

// Get returns the value of a key, nil for a deleted one; ok is false when it has none of it. The slice is valid until the next Put.
func (g *Gathered) Get(key string) (value []byte, ok bool) {
	if g.keys == 0 {
		return nil, false
	}
	at, ok := g.find(key, Hash(key))
	if !ok {
		return nil, false
	}
	_, value = g.at(g.place(at))
	return value, true
}

// All calls yield with every key and its value, nil for a deleted one, in the order of Sort.
func (g *Gathered) All(yield func(key, value []byte)) {
	places := g.last()
	Sort(len(places), func(i int) []byte { return g.key(places[i]) }, func(i int) { yield(g.at(places[i])) })
}

// last is the places of the last record of each key.
func (g *Gathered) last() []int {
	places := make([]int, 0, g.keys)
	for at := 0; at < len(g.records); {
		head := g.records[at:]
		if binary.LittleEndian.Uint32(head[8:]) != outgrown {
			places = append(places, at)
		}
		at += headBytes + int(binary.LittleEndian.Uint32(head)) + int(binary.LittleEndian.Uint32(head[4:]))
	}
	return places
}

// Reset forgets everything. Much memory is given back: to take it again costs less than to have it all the time, for what is filled next
// and for what was written.
func (g *Gathered) Reset() {
	fresh, likely := g.fresh[:0], len(g.places)
	if cap(g.records)+placeBytes*likely <= keptBytes {
		g.records, g.keys, g.changes, g.fresh = g.records[:0], 0, 0, fresh
		clear(g.places)
		return
	}
	if g.keys < likely/8 {
		likely /= 2
	}
	g.Free()
	g.fresh, g.likely = fresh, likely
}

// Free forgets everything and gives the memory back.
func (g *Gathered) Free() {
	g.memory.Free()
	g.table.Free()
	*g = Gathered{}
}

func (g *Gathered) key(place int) []byte {
	head := g.records[place:]
	return head[headBytes : headBytes+int(binary.LittleEndian.Uint32(head))]
}

// at is the record at a place, which is the last one of its key.
func (g *Gathered) at(place int) (key, value []byte) {
	key = g.key(place)
	length := int(binary.LittleEndian.Uint32(g.records[place+8:]))
	if length == 0 {
		return key, nil
	}
	from := place + headBytes + len(key)
	return key, g.records[from : from+length-1 : from+length-1]
}

func (g *Gathered) place(at int) int { return int(g.places[at]&placeMask) - 1 }

// find returns where in places a key is, or the free one where it belongs.
func (g *Gathered) find(key string, hash uint64) (at int, ok bool) {
	mask := len(g.places) - 1
	for at = int(hash) & mask; g.places[at] != 0; at = (at + 1) & mask {
		if g.places[at]>>placeBits == hash>>placeBits && string(g.key(g.place(at))) == key {
			return at, true
		}
	}
	return at, false
}

func (g *Gathered) append(key string, value []byte) (place int) {
	place = len(g.records)
	end := place + headBytes + len(key) + len(value)
	if end > cap(g.records) {
		g.Reserve(max(leastRecords, 2*end))
	}
	g.records = g.records[:end]
	head := g.records[place:]
	binary.LittleEndian.PutUint32(head, uint32(len(key)))
	binary.LittleEndian.PutUint32(head[4:], uint32(len(value)))
	copy(head[headBytes:], key)
	setValue(head, value)
	return place
}

// grow doubles the places.
func (g *Gathered) grow() {
	old, oldTable := g.places, g.table
	g.table, g.places = offheap.Words(2 * len(old))
	mask := len(g.places) - 1
	for _, p := range old {
		if p == 0 {
			continue
		}
		at := int(HashBytes(g.key(int(p&placeMask)-1))) & mask
		for g.places[at] != 0 {
			at = (at + 1) & mask
		}
		g.places[at] = p
	}
	oldTable.Free()
}
