package kafka

import "math"

// sequence is the order in which one partition's batches are sent, sent again and acknowledged.
//
// The broker takes a producer's batches only in the order of their sequence numbers, and recognises a repetition by the
// number of its first record and its length. So a batch keeps its numbers for life, and after a failure nothing is sent
// until the answers of all batches in flight are in: then everything unacknowledged is sent again, oldest first. A
// failed batch overtaken by a younger one would be refused as out of order, or, had the older one been given new
// numbers, be written twice or out of turn. What is sent again goes alone: the broker remembers a producer's last five
// batches only, and must still know the repeated one after all that were sent with it the first time.
type sequence struct {
	next   int32       // of the first record that was never sent
	queue  []*outBatch // to be sent, in order; those with a number have been sent before
	flight []*outBatch // sent and not acknowledged, in order
	flying int         // how many of flight have not been answered
	failed bool        // a batch of flight is to be sent again
	// known says that the broker has taken a batch since numbering began. Before that it takes any number for the first
	// (KAFKA-15591), so a second batch sent at once could be written without the first.
	known bool
}

// addSequence counts from 0 to 2^31-1 and then from 0 again, as brokers do.
func addSequence(s int32, n int) int32 {
	return int32((int64(s) + int64(n)) & math.MaxInt32)
}

// push adds a batch that was never sent.
func (q *sequence) push(b *outBatch) {
	b.seq = -1
	q.queue = append(q.queue, b)
}

// idle says that every batch is acknowledged.
func (q *sequence) idle() bool { return len(q.queue) == 0 && len(q.flight) == 0 }

// head is the batch to be sent next, or nil when there is none or the partition waits for answers first.
func (q *sequence) head() *outBatch {
	if q.failed || len(q.queue) == 0 || len(q.flight) > 0 && (!q.known || q.flight[0].resent) {
		return nil
	}
	return q.queue[0]
}

// oldest is the batch that has waited longest for its acknowledgement.
func (q *sequence) oldest() *outBatch {
	switch {
	case len(q.flight) > 0:
		return q.flight[0]
	case len(q.queue) > 0:
		return q.queue[0]
	}
	return nil
}

// take moves head into flight and numbers it when it has no number yet.
func (q *sequence) take() *outBatch {
	b := q.queue[0]
	q.queue = q.queue[1:]
	if b.seq < 0 {
		b.seq = q.next
		q.next = addSequence(q.next, b.count())
	}
	q.flight = append(q.flight, b)
	q.flying++
	return b
}

// ack ends a batch in flight.
func (q *sequence) ack(b *outBatch) {
	q.flying--
	q.known = true
	q.remove(b)
	q.rewind()
}

// fail takes the answer to a batch in flight that is to be sent again.
func (q *sequence) fail() {
	q.flying--
	q.failed = true
	q.rewind()
}

// split puts parts, which hold the same records, in the place of a batch in flight, to be sent again. The broker has
// not taken the batch, so its numbers are still to be used.
func (q *sequence) split(b *outBatch, parts []*outBatch) {
	q.flying--
	seq := b.seq
	for _, part := range parts {
		part.seq = seq
		seq = addSequence(seq, part.count())
	}
	i := q.index(b)
	q.flight = append(q.flight[:i:i], append(parts, q.flight[i+1:]...)...)
	q.failed = true
	q.rewind()
}

// first says that no older batch is unacknowledged.
func (q *sequence) first(b *outBatch) bool { return len(q.flight) > 0 && q.flight[0] == b }

// rewind puts what is unacknowledged before what was never sent, once every answer is in.
func (q *sequence) rewind() {
	if !q.failed || q.flying > 0 {
		return
	}
	for _, b := range q.flight {
		b.resent = true
	}
	q.queue = append(q.flight, q.queue...)
	q.flight, q.failed = nil, false
}

func (q *sequence) index(b *outBatch) int {
	for i, f := range q.flight {
		if f == b {
			return i
		}
	}
	return -1
}

func (q *sequence) remove(b *outBatch) {
	i := q.index(b)
	if i == 0 {
		q.flight[0] = nil
		q.flight = q.flight[1:]
		return
	}
	q.flight = append(q.flight[:i], q.flight[i+1:]...)
}

// drop forgets every batch and returns them. Nothing may be flying.
func (q *sequence) drop() []*outBatch {
	all := append(q.flight, q.queue...)
	q.flight, q.queue, q.failed = nil, nil, false
	return all
}

// restart begins to count from 0, for a producer with a new id or epoch. Nothing may have been sent and be unacknowledged.
func (q *sequence) restart() { q.next, q.known = 0, false }
