package topology

import (
	"errors"
	"fmt"

	"github.com/weirstream/weir/state"
)

// Record is what a node may know of the input record that it works on.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64 // milliseconds since the epoch
	Headers   []Header
	Attempt   int // 1 for the first try
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Runtime is the engine behind a Context. Handles call it; a test may implement it to run a node alone.
// It answers for the node that is running: a handle that the node did not declare is an error, which the handle passes
// to Fail.
type Runtime interface {
	// Record is the input record in work.
	Record() *Record
	// Table returns the store's table at the task's partition.
	Table(store *StoreDecl) (state.Table, error)
	// Output checks that the node declared the stream or edge.
	Output(decl Output) error
	// Buffer is where the next value is encoded: append to it and hand the result to Emit at once.
	Buffer() []byte
	// Emit stages a record for a stream. encoded is Buffer's slice, extended; empty is true for a tombstone.
	Emit(stream *StreamDecl, key string, encoded []byte, tombstone bool)
	// Forward stages a value for an edge; its readers run after the node returned.
	Forward(edge *EdgeDecl, key string, value any)
	// Fail makes the record fail when the node returns, whatever the node returns. The first error counts.
	Fail(err error)
}

// Context is what a node's function gets besides its record. It is valid until the function returns, and on the
// goroutine that called it only. The zero Context belongs to no record: through it reads are errors and writes are lost.
type Context struct{ run Runtime }

// NewContext makes the Context of a Runtime. It is for engines and tests.
func NewContext(run Runtime) Context { return Context{run: run} }

// Record is the input record that led to this call. Behind an edge it is the record of the first node.
func (c Context) Record() *Record { return c.runtime().Record() }

// Drop leaves the record out, and says why: return what it returns. What this call of the node has emitted and changed
// is taken back, and the record counts as dropped unless another node made something of it.
func (c Context) Drop(reason DropReason) error {
	if reason < 0 || int(reason) >= len(droppedFor) {
		return fmt.Errorf("dropped for an unknown reason: %d", reason)
	}
	return droppedFor[reason]
}

// runtime is never nil.
func (c Context) runtime() Runtime {
	if c.run == nil {
		return outside{}
	}
	return c.run
}

var errOutside = errors.New("used outside of a node's call")

// outside is the Runtime of the zero Context.
type outside struct{}

func (outside) Record() *Record                        { return &Record{} }
func (outside) Table(*StoreDecl) (state.Table, error)  { return nil, errOutside }
func (outside) Output(Output) error                    { return errOutside }
func (outside) Buffer() []byte                         { return nil }
func (outside) Emit(*StreamDecl, string, []byte, bool) {}
func (outside) Forward(*EdgeDecl, string, any)         {}
func (outside) Fail(error)                             {}
