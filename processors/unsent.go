package processors

import "time"

// The offset of an input that stands behind a block cannot be committed, and is left out of commits, or nothing of the worker
// could be committed. No record of the input is in the transaction then; but it may have moved over what is no record, or its
// first commit may be the one that is left out. Then it has no record that would try the block, and must not have one: so its
// offset tries, alone, when the block is due.

// outOfReach says whether the input's offset cannot be committed. No record of it is in the transaction then, unless that
// is what is being tried.
func (w *worker) outOfReach(in *input) bool {
	if len(w.blocks) == 0 || w.probe == in {
		return false
	}
	y := way{}
	w.pass(&y, in.tp)
	return len(y.met) > 0
}

// wayOf is what an offset that tries alone meets.
func (w *worker) wayOf(in *input) (y way) {
	if b := w.blocks[everything]; b != nil {
		y.met, y.next = append(y.met, b), b.until
	}
	w.pass(&y, in.tp)
	return y
}

// unsent notes that the offset of an input was left out of a commit.
func (w *worker) unsent(in *input) {
	in.unmarked, in.unsent = true, true
	if y := w.wayOf(in); len(y.met) > 0 {
		b := y.met[0]
		in.waiting.Store(&waiting{attempt: b.tries, offset: in.position, until: y.next, err: b.err, blocked: true, remedy: b.err.Remedy, since: b.since})
	}
}

// trySending has the offset of an input committed that was left out, when what is in its way is due or gone. It returns false
// where there is none. Nothing is open.
func (w *worker) trySending(now time.Time) bool {
	for _, t := range w.tasks {
		for _, in := range t.inputs {
			if !in.unsent || !t.is(taskRunning) {
				continue
			}
			y := w.wayOf(in)
			if len(y.met) > 0 && now.Before(y.next) {
				continue
			}
			in.unsent = false
			in.waiting.Store(nil)
			if len(y.met) > 0 {
				w.probe, w.trying = in, append(w.trying[:0], y.met...)
			}
			return true
		}
	}
	return false
}
