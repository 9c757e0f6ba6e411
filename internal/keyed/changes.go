package keyed

import (
	"unsafe"

	"github.com/weirstream/weir/internal/arena"
)

// changes is what has happened to a store since the last commit: the cache with its dirty entries, in which order they
// changed, and how to take the record's part back.
type changes[T any] struct {
	cache     cache[T]
	arena     arena.Arena // of encoded values
	undo      []undo[T]   // of the record, in order
	dirty     []*entry[T] // of the transaction, in the order of the first change
	undrained []*entry[T] // since the last Drain, in the order of the first change
	now       uint64      // counts the keys that came into being
	order     Sorted      // the dirty keys sorted, once a loop has asked for it
	loops     []*loop     // those that are open

	pendingBytes, undrainedBytes int
}

// undo is an entry as it was before a change.
type undo[T any] struct {
	e     *entry[T]
	value T
	data  []byte
	born  uint64
	cost  int32
	state flags
}

// size is what an entry counts in Pending and Undrained.
func (e *entry[T]) size() int { return len(e.key) + len(e.data) }

// change readies an entry to be changed: the old one is in the undo log, and it is listed as dirty and undrained. replace
// must follow.
func (c *changes[T]) change(key string) *entry[T] {
	e := c.cache.find(key)
	if e == nil {
		e = c.cache.add(key)
	}
	c.undo = append(c.undo, undo[T]{e, e.value, e.data, e.born, e.cost, e.state})
	if e.state&dirty == 0 {
		c.cache.pin(e)
		c.dirty = append(c.dirty, e)
		if c.order != nil {
			c.order.Insert(e.key)
		}
	} else {
		c.pendingBytes -= e.size()
	}
	if e.state&undrained == 0 {
		c.undrained = append(c.undrained, e)
	} else {
		c.undrainedBytes -= e.size()
	}
	e.state |= dirty | undrained | recent
	return e
}

func (c *changes[T]) replace(e *entry[T], data []byte) {
	e.data = data
	c.pendingBytes += e.size()
	c.undrainedBytes += e.size()
}

// Mark names the present point in the record's changes.
func (c *changes[T]) Mark() int { return len(c.undo) }

// Undo takes back every change made since Mark returned mark.
func (c *changes[T]) Undo(mark int) {
	for i := len(c.undo) - 1; i >= mark; i-- {
		c.takeBack(&c.undo[i])
	}
	clear(c.undo[mark:])
	c.undo = c.undo[:mark]
	c.cache.evict()
}

// takeBack works backwards, so an entry that this change listed is at the end of its list.
func (c *changes[T]) takeBack(u *undo[T]) {
	e := u.e
	c.pendingBytes -= e.size()
	c.undrainedBytes -= e.size()
	e.value, e.data, e.born, e.state = u.value, u.data, u.born, u.state|e.state&recent
	if e.state&undrained == 0 {
		c.undrained = shorten(c.undrained)
	} else {
		c.undrainedBytes += e.size()
	}
	if e.state&dirty != 0 {
		c.pendingBytes += e.size()
		return
	}
	c.dirty = shorten(c.dirty)
	if c.order != nil {
		c.order.Remove(e.key)
	}
	if e.state&known == 0 {
		c.cache.drop(e)
		return
	}
	c.cache.clean(e, u.cost)
}

func shorten[E any](list []*E) []*E {
	list[len(list)-1] = nil
	return list[:len(list)-1]
}

// Keep makes the record's changes part of the transaction.
func (c *changes[T]) Keep() {
	clear(c.undo)
	c.undo = c.undo[:0]
}

// Undrained is the size of what Drain would hand out.
func (c *changes[T]) Undrained() int { return c.undrainedBytes }

// Pending is the size of everything uncommitted.
func (c *changes[T]) Pending() int { return c.pendingBytes }

// drain hands out what was not handed out before. What emit refuses is handed out again, with what comes after it.
func (c *changes[T]) drain(emit func(key, value []byte) error) error {
	if len(c.undo) > 0 {
		return ErrInRecord
	}
	for i, e := range c.undrained {
		if err := emit(keyBytes(e.key), e.data); err != nil {
			c.undrained = append(c.undrained[:0], c.undrained[i:]...)
			return err
		}
		e.state &^= undrained
		c.undrainedBytes -= e.size()
	}
	c.undrained = emptied(c.undrained)
	return nil
}

// keyBytes is the memory of a key, never nil.
func keyBytes(key string) []byte {
	if key == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(key), len(key))
}

// settle makes the dirty entries clean after they were written.
func (c *changes[T]) settle(flat bool) {
	for _, e := range c.dirty {
		e.state &^= dirty | undrained | blind
		e.born = 0
		c.cache.clean(e, c.cache.weigh(e, len(e.data)))
		if flat {
			e.data = nil
		}
	}
	c.finish()
	if flat { // no entry has encoded bytes any more
		c.arena.Reset()
	}
	c.cache.evict()
}

// Reset forgets everything uncommitted. What was changed is read again from the database.
func (c *changes[T]) Reset() {
	for _, e := range c.dirty {
		c.cache.drop(e)
	}
	c.finish()
}

func (c *changes[T]) finish() {
	c.Keep()
	c.dirty, c.undrained = emptied(c.dirty), emptied(c.undrained)
	c.pendingBytes, c.undrainedBytes = 0, 0
	if c.order != nil {
		c.order.Clear()
	}
}

// emptied keeps the memory of a list for the next transaction, and nothing that it referred to.
func emptied[E any](list []*E) []*E {
	clear(list)
	return list[:0]
}
