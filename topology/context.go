package topology

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/record"
)

// Context is what a node's function gets besides its record. It is valid until the function returns, and on the
// goroutine that called it only: so is a loop over a store, and what Record returns. A Context that is used later does
// nothing, and fails the record that is in work then, or the next one, with a [LateError]. The zero Context belongs to no
// record: through it reads are errors and writes are lost.
//
// It is a [context.Context], to be given to whatever the node waits for; Done, Err, Deadline and Value may be used on any
// goroutine and at any time. It is cancelled when the instance stops, when another instance takes the task over, or another one of the
// same worker while the call takes longer than a second (the record is then processed again), after the node's
// [Timeout], and when the function returns; [context.Cause] says
// which, and wraps context.DeadlineExceeded after the Timeout, else context.Canceled. A call that returns an error after the instance was
// stopped or the task given up, that of [Reject] and of Drop included, or panics, has no effect, and does not count as a try: whoever has the task
// next processes the record.
type Context struct{ call plan.Call }

// Record is the input record that led to this call. After an edge it is the record of the first node. It is valid until
// the node returns.
func (c Context) Record() *Record { return (*Record)(c.runtime().Record()) }

// Key is the key that the function was called with.
func (c Context) Key() string { return c.runtime().Key() }

// Time is the timestamp of the input record, or Now where it has none.
func (c Context) Time() time.Time {
	run := c.runtime()
	if t := run.Record().Timestamp; !t.IsZero() {
		return t
	}
	return run.Now()
}

// Now is the time by the clock of whatever runs the node: the real one in an instance, the test's in topologytest.
func (c Context) Now() time.Time { return c.runtime().Now() }

// Log is the instance's log with the topology, the node, the partition and the offset of the record. A line a record is too much
// for production at the level info.
func (c Context) Log() *zap.Logger { return c.runtime().Log() }

// IdempotencyKey names what this node does for this record, for services that take such a key: 32 hexadecimal digits, of the cluster,
// the consumer group (the topology with the prefix of its environment), the node, and the topic, its id, partition and offset of the input
// record. After an Edge that brings the node several values of one record, each has its own. It is the same in each try, after restarts,
// delays and redrives, in replays into the topology and in shadows, on every instance; a copy that a replay wrote into another topic has it too, where the
// stream is [Replayed]. It is another one after the topic was recreated. A node that calls a service several times for a record adds a
// number of its own.
func (c Context) IdempotencyKey() string { return c.runtime().IdempotencyKey() }

// Drop leaves the record out, and says why: return what it returns. What this call of the node has emitted and changed
// is taken back, and the record counts as dropped unless another node made something of it.
func (c Context) Drop(reason DropReason) error {
	if reason < 0 || int(reason) >= len(droppedFor) {
		return fmt.Errorf("dropped for an unknown reason: %d", reason)
	}
	return droppedFor[reason]
}

// Deadline is when the node's [Timeout] is over; ok is false where it has none. It implements context.Context.
func (c Context) Deadline() (deadline time.Time, ok bool) { return c.call.Deadline() }

// Done is closed when the call is to end. It implements context.Context.
func (c Context) Done() <-chan struct{} { return c.call.Done() }

// Err is nil until Done is closed. It implements context.Context.
func (c Context) Err() error { return c.call.Err() }

// Value implements context.Context.
func (c Context) Value(key any) any { return c.call.Value(key) }

// LateError says that a node let its Context out, and somebody used it after the node had returned: in a goroutine that
// the node did not wait for, or from a variable. What was asked for was not done. The record that fails with it need not
// be the one that the Context belonged to.
type LateError struct{ Node string }

func (e *LateError) Error() string {
	return fmt.Sprintf("node %s used its Context after it returned: a Context, and a loop over a store, ends when the node returns; "+
		"wait for goroutines before, and keep values in their place", e.Node)
}

// runtime is never nil.
func (c Context) runtime() plan.Runtime { return c.call.Runtime() }

// Record is what a node may know of the input record that it works on.
type Record struct {
	Topic     string // as it is called in the cluster
	Partition int32
	Offset    int64
	Timestamp time.Time // to the millisecond; zero where the record has none
	Headers   []Header  // in their order; keys may repeat. They are the engine's: not to be written to
	Attempt   int       // 1 for the first try
	Keyless   bool      // the record has no key, which is not the empty key: to the node both are ""
}

// Header is one header of a record: its Key, a string, and its Value, a []byte. It is the same type as deadletter.Header.
type Header = record.Header
