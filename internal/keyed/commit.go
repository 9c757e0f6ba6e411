package keyed

import "time"

// Checkpoint is the changelog offset up to which the database holds committed data; ok is false for a new one.
func (s *Store[T]) Checkpoint() (offset int64, ok bool) {
	return s.db.Checkpoint()
}

// Note is what SetNote has put beside the checkpoint of the last Restore, or the one found at opening; or nil.
func (s *Store[T]) Note() []byte { return s.db.Note() }

// SetNote puts something beside the checkpoints that follow, in the same batch.
func (s *Store[T]) SetNote(note []byte) { s.note = note }

// AsOf is what SetAsOf has said of the checkpoint of the last Restore, or the one found at opening; zero when unknown.
func (s *Store[T]) AsOf() time.Time { return s.db.AsOf() }

// SetAsOf says of the checkpoints that follow when the changelog held nothing after them, or a time before that.
func (s *Store[T]) SetAsOf(at time.Time) { s.asOf = at }

// time is of the checkpoint that comes now.
func (s *Store[T]) time() time.Time {
	if s.asOf.IsZero() {
		return time.Now()
	}
	return s.asOf
}

// Drain hands out the changes of the transaction that were not handed out before, the last value of a key only, in the
// order of their first change. When emit returns an error, that change and those after it are handed out again.
func (s *Store[T]) Drain(emit func(key, value []byte) error) error {
	if s.err != nil {
		return s.err
	}
	return s.drain(emit)
}

// Commit makes the transaction's changes the committed state, with the checkpoint after them. All of them must have
// been drained: the database may be behind the changelog, and never ahead of it.
//
// They are written with those of other Commits in one batch, soon and in the background; Close writes what is left. A
// crash loses what is not written, values and checkpoint alike. When such a write fails, the next Commit or Close says
// so, the database holds what the last good write left, and the store is of no more use: close it.
func (s *Store[T]) Commit(checkpoint int64) error {
	switch {
	case s.err != nil:
		return s.err
	case len(s.undo) > 0:
		return ErrInRecord
	case len(s.undrained) > 0:
		return ErrUndrained
	}
	s.endLoops()
	committed, err := s.db.Begin()
	if err != nil {
		s.err = err
		return err
	}
	for _, e := range s.dirty {
		committed.Put(e.key, e.data)
	}
	s.db.End(checkpoint, s.note, s.time())
	s.settle(s.flat)
	return nil
}

// Reset forgets everything uncommitted.
func (s *Store[T]) Reset() {
	s.endLoops()
	s.changes.Reset()
}

// Restore writes entries of the changelog, and the checkpoint after them, in one batch, past the cache. The batch is
// held in memory: a few megabytes at a time is fastest.
func (s *Store[T]) Restore(entries []Entry, checkpoint int64) error {
	switch {
	case s.err != nil:
		return s.err
	case len(s.dirty) > 0:
		return ErrUnfinished
	}
	s.endLoops()
	if s.err = s.db.Flush(); s.err != nil {
		return s.err
	}
	for _, r := range entries {
		if e := s.cache.entries[string(r.Key)]; e != nil {
			s.cache.drop(e)
		}
		if s.cache.shelf.used > 0 {
			s.cache.shelf.remove(string(r.Key))
		}
	}
	s.err = s.db.Restore(entries, checkpoint, s.note, s.time())
	return s.err
}

// Dump calls yield with every committed key and encoded value, in key order, until it returns false. The slices are
// valid during the call only.
func (s *Store[T]) Dump(yield func(key, value []byte) bool) error {
	if s.err != nil {
		return s.err
	}
	if s.err = s.db.Flush(); s.err != nil {
		return s.err
	}
	return s.fail(s.db.Dump(yield))
}

// Close gives up what is not committed, writes what is, and releases the database and its lock. Closing twice is allowed.
func (s *Store[T]) Close() error {
	if s.err == ErrClosed {
		return nil
	}
	s.endLoops()
	for _, l := range s.loops {
		l.end()
	}
	s.changes.Reset()
	s.cache.shelf.free()
	s.err = ErrClosed
	return s.db.Close()
}
