package keyed

import "unsafe"

// entry is one key in memory. An entry is known when it was read from the database or committed, or it is dirty; it may
// be both.
type entry[T any] struct {
	key   string
	value T      // of a flat type, when exists is set
	data  []byte // the encoded value: while the entry is dirty, and always of a type that is not flat
	born  uint64 // when the key came into being, on the store's clock of changes; 0 when it was so from the start
	cost  int32  // what the entry counts against the cache while it is clean
	slot  int32  // where it is in the clock, -1 when it is not
	state flags
}

type flags uint8

const (
	exists    flags = 1 << iota // the key has a value
	known                       // the entry says what the store holds; not set before a key that was never read is set
	dirty                       // changed in this transaction
	undrained                   // changed since the last Drain
	blind                       // whether the key existed before it was set is only known to the database
	recent                      // used since the clock's hand came by
)

// cache holds the entries. Clean ones are bounded by bytes and evicted by the clock algorithm, to the shelf; dirty ones stay.
type cache[T any] struct {
	entries map[string]*entry[T]
	last    *entry[T] // the entry found last: a Set mostly follows a Get of the same key
	clock   []*entry[T]
	hand    int
	bytes   int64 // of the clean entries
	limit   int64
	shelf   shelf
	// shelved is the value of an entry as the shelf keeps it, appended to dst; ok is false where it has no such form.
	shelved func(dst []byte, e *entry[T]) (data []byte, ok bool)
	scratch []byte
}

// overhead is about what an entry takes besides its key and value: the entry, its place in map and clock.
func overhead[T any]() int64 { return int64(unsafe.Sizeof(entry[T]{})) + 48 }

// newCache gives 3 of 16 parts of the limit to entries, which the heap has twice before the collector runs, and 7 to the shelf. The
// rest is for what the database gathers, writes and knows of its keys.
func newCache[T any](limit int64) cache[T] {
	return cache[T]{entries: map[string]*entry[T]{}, limit: limit * 3 / 16, shelf: newShelf(limit * 7 / 16)}
}

func (c *cache[T]) find(key string) *entry[T] {
	if c.last != nil && c.last.key == key {
		return c.last
	}
	e := c.entries[key]
	if e != nil {
		c.last = e
	}
	return e
}

// add makes an entry that counts for nothing yet.
func (c *cache[T]) add(key string) *entry[T] {
	e := &entry[T]{key: key, slot: -1}
	c.entries[key] = e
	c.last = e
	return e
}

// weigh is what an entry counts whose encoded value has size bytes.
func (c *cache[T]) weigh(e *entry[T], size int) int32 {
	return int32(min(overhead[T]()+int64(len(e.key)+size), 1<<31-1))
}

// clean counts an entry against the limit: from now on it may be evicted.
func (c *cache[T]) clean(e *entry[T], cost int32) {
	e.cost = cost
	c.bytes += int64(cost)
	if e.slot < 0 {
		e.slot = int32(len(c.clock))
		c.clock = append(c.clock, e)
	}
}

// pin takes an entry out of the count: it became dirty. It stays in the clock until the hand finds it, which spares the
// common case, dirty and clean again before that, two changes of the clock.
func (c *cache[T]) pin(e *entry[T]) {
	c.bytes -= int64(e.cost)
	e.cost = 0
}

// evict drops clean entries until the limit holds.
func (c *cache[T]) evict() {
	for c.bytes > c.limit {
		if c.hand >= len(c.clock) {
			c.hand = 0
		}
		switch e := c.clock[c.hand]; {
		case e.state&dirty != 0:
			c.unclock(e)
		case e.state&recent != 0:
			e.state &^= recent
			c.hand++
		default:
			c.shelve(e)
		}
	}
}

// shelve moves a clean entry to the shelf.
func (c *cache[T]) shelve(e *entry[T]) {
	ok := false
	if e.state&exists != 0 && c.shelf.size > 0 {
		if c.scratch, ok = c.shelved(c.scratch[:0], e); ok {
			c.shelf.put(e.key, c.scratch)
		}
	}
	if !ok {
		c.shelf.remove(e.key)
	}
	c.forget(e)
}

// drop forgets a key, clean or dirty.
func (c *cache[T]) drop(e *entry[T]) {
	c.shelf.remove(e.key)
	c.forget(e)
}

func (c *cache[T]) forget(e *entry[T]) {
	c.bytes -= int64(e.cost)
	c.unclock(e)
	delete(c.entries, e.key)
	if c.last == e {
		c.last = nil
	}
}

func (c *cache[T]) unclock(e *entry[T]) {
	if e.slot < 0 {
		return
	}
	end := len(c.clock) - 1
	moved := c.clock[end]
	c.clock[e.slot], moved.slot = moved, e.slot
	c.clock[end] = nil
	c.clock = c.clock[:end]
	e.slot = -1
}
