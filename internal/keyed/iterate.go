package keyed

import (
	"bytes"
	"iter"
	"slices"
	"sync/atomic"
)

// Range loops over the keys from from (included) to to (excluded) in the order of their bytes; an empty to means to the
// end. It sees uncommitted changes.
//
// The store may be changed within the loop. The loop visits the keys that exist when it begins and still exist when it
// comes to them, each with the value that it has then. A key that comes into being within the loop, also one that is
// deleted and set again, is not visited.
//
// An error ends the loop and is given to fail: that of a value that cannot be decoded, of the database, or ErrStaleLoop.
func (s *Store[T]) Range(from, to string, fail func(error)) iter.Seq2[string, T] {
	return s.loop(from, to, fail)
}

// Prefix loops over the keys that begin with prefix. All else is as with Range.
func (s *Store[T]) Prefix(prefix string, fail func(error)) iter.Seq2[string, T] {
	return s.loop(prefix, after(prefix), fail)
}

// after is the first key after all that begin with prefix, "" for the end.
func after(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

func (s *Store[T]) loop(from, to string, fail func(error)) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		if s.err != nil {
			fail(s.err)
			return
		}
		if to != "" && from >= to {
			return
		}
		// What is committed and not written yet would be missing in the database.
		if s.err = s.db.Flush(); s.err != nil {
			fail(s.err)
			return
		}
		l := s.begin(from, to)
		defer l.end()
		for l.next() {
			key, value, ok, err := s.visit(l)
			if err != nil {
				fail(err)
				return
			}
			if ok && !yield(key, value) {
				return
			}
			if l.stale.Load() {
				fail(ErrStaleLoop)
				return
			}
		}
		if err := l.stored.Error(); err != nil {
			fail(s.fail(err))
		}
	}
}

// loop merges the keys of the database with the dirty ones.
type loop struct {
	stored, changed     Iterator
	hasStored, hasDirty bool
	atStored, atDirty   bool // which of the two the present key comes from
	started             bool
	start               uint64 // the store's clock when the loop began
	// A loop that outlives its node's call is ended by whoever holds it, on any goroutine.
	stale, ended atomic.Bool
}

func (s *Store[T]) begin(from, to string) *loop {
	if s.order == nil {
		s.order = s.db.Sorted()
		for _, e := range s.dirty {
			s.order.Insert(e.key)
		}
	}
	s.loops = slices.DeleteFunc(s.loops, func(l *loop) bool { return l.ended.Load() })
	l := &loop{stored: s.db.Iterate(from, to), changed: s.order.Iterate(from, to), start: s.now}
	s.loops = append(s.loops, l)
	return l
}

// end releases what the loop reads from, once: the store may be closed before the loop is left.
func (l *loop) end() {
	if l.ended.CompareAndSwap(false, true) {
		l.stored.Release()
		l.changed.Release()
	}
}

// next goes to the next key that either has.
func (l *loop) next() bool {
	if !l.started || l.atStored {
		l.hasStored = l.stored.Next()
	}
	if !l.started || l.atDirty {
		l.hasDirty = l.changed.Next()
	}
	l.started = true
	order := 0
	switch {
	case !l.hasStored && !l.hasDirty:
		return false
	case !l.hasDirty:
		order = -1
	case !l.hasStored:
		order = 1
	default:
		order = bytes.Compare(l.stored.Key(), l.changed.Key())
	}
	l.atStored, l.atDirty = order <= 0, order >= 0
	return true
}

// visit returns the value of the loop's present key; ok is false when the loop is to pass it over.
func (s *Store[T]) visit(l *loop) (key string, value T, ok bool, err error) {
	at := l.changed
	if l.atStored {
		at = l.stored
	}
	key = string(at.Key())
	e := s.cache.entries[key]
	if e == nil {
		// A dirty entry that was undone within the loop is gone.
		if !l.atStored {
			return key, value, false, nil
		}
		return s.parsed(key, l.stored.Value())
	}
	switch {
	case e.state&exists == 0:
		return key, value, false, nil
	case e.born > l.start && !(e.state&blind != 0 && l.atStored):
		return key, value, false, nil
	case s.flat:
		return key, e.value, true, nil
	}
	return s.parsed(key, e.data)
}

func (s *Store[T]) parsed(key string, data []byte) (string, T, bool, error) {
	value, err := s.codec.Parse(data)
	if err != nil {
		return key, value, false, s.undecodable(key, err)
	}
	return key, value, true, nil
}

// endLoops ends the loops that are still open when the transaction ends: what they read from is no longer true. Such a
// loop is one that iter.Pull keeps open.
func (s *Store[T]) endLoops() {
	for _, l := range s.loops {
		l.stale.Store(true)
	}
}
