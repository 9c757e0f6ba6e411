package processors

import "time"

// The offset of an input that stands behind a block cannot be committed, and is left out of commits, or nothing of the worker
// could be committed. No record of the input is in the transaction then; but it may have moved over what is no record, or its
// first commit may be the one that is left out. Then it has no record that would try the block, and must not have one: so its
// offset tries, alone, when the block is due.

// outOfReach says whether the input's offset cannot be committed. No record of it is in the transaction then, unless that
// is what is being tried.
func (bs *blocks) outOfReach(in *input) bool {
	if !bs.any() || bs.probe == in || bs.probe != nil && bs.probe.queue.of == in { // whose offset fences what its queue does
		return false
	}
	y := way{}
	bs.pass(&y, in.tp)
	return len(y.met) > 0
}

// wayOf is what an offset that tries alone meets. It is good until it is asked for again.
func (bs *blocks) wayOf(in *input) way {
	y := way{met: bs.met[:0]}
	if b := bs.at[everything]; b != nil {
		y.met, y.next = append(y.met, b), b.until
	}
	bs.pass(&y, in.tp)
	bs.met = y.met
	return y
}

// unsent notes that the offset of an input was left out of a commit.
func (bs *blocks) unsent(in *input) {
	in.unmarked, in.unsent = true, true
	if y := bs.wayOf(in); len(y.met) > 0 {
		b := y.met[0]
		in.waiting.Store(&waiting{attempt: b.tries, offset: in.position, until: y.next, err: b.err, blocked: true, remedy: b.err.Remedy, since: b.since})
	}
}

// told ends the wait of an input whose offset was left out, if it was.
func (in *input) told() {
	if in.unsent {
		in.unsent = false
		in.waiting.Store(nil)
	}
}

// trySending has the offset of an input committed that was left out, when what is in its way is due or gone. It returns false
// where there is none. Nothing is open.
func (bs *blocks) trySending(now time.Time) bool {
	for in := range bs.tasks.moving() {
		if !in.unsent {
			continue
		}
		y := bs.wayOf(in)
		if len(y.met) > 0 && now.Before(y.next) {
			continue
		}
		in.told()
		if len(y.met) > 0 {
			bs.probe, bs.trying = in, append(bs.trying[:0], y.met...)
		}
		return true
	}
	return false
}

// waitFor is when the offset of an input that was left out may try, if that is before until.
func (bs *blocks) waitFor(until time.Time) time.Time {
	for in := range bs.tasks.all() {
		if in.unsent {
			until = earlier(until, bs.wayOf(in).next)
		}
	}
	return until
}
