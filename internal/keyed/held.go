package keyed

import "fmt"

// Held is what a store has in memory: keys, places in the clock that evicts them, and loops that were not left.
type Held struct{ Entries, Clock, Loops int }

// Held looks at every entry, and is an error where the accounts of the cache are wrong. It is for tests.
func (s *Store[T]) Held() (Held, error) {
	c, counted := &s.cache, int64(0)
	for _, e := range c.entries {
		if (e.state&dirty == 0) != (e.cost > 0) {
			return Held{}, fmt.Errorf("%q counts %d bytes, its state is %b", e.key, e.cost, e.state)
		}
		counted += int64(e.cost)
	}
	if c.bytes > c.limit || c.bytes != counted {
		return Held{}, fmt.Errorf("the cache counts %d bytes, holds %d, and may %d", c.bytes, counted, c.limit)
	}
	h := Held{Entries: len(c.entries), Clock: len(c.clock)}
	for _, l := range s.loops {
		if !l.ended.Load() {
			h.Loops++
		}
	}
	return h, nil
}
