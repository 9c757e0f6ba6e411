package topology

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/state"
)

// Record is what a node may know of the input record that it works on.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64 // milliseconds since the epoch
	Headers   []Header
	Attempt   int  // 1 for the first try
	Keyless   bool // the record has no key, which is not the empty key: to the node both are ""
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
	// Emit stages a record for a stream. encoded is Buffer's slice, extended; tombstone says that there is none. as is what the
	// options ask for, nil where there are none.
	Emit(stream *StreamDecl, key string, encoded []byte, tombstone bool, as *Emission)
	// Forward stages a value for an edge; its readers run after the node returned.
	Forward(edge *EdgeDecl, key string, value any)
	// Fail makes the record fail when the node returns, whatever the node returns. The first error counts.
	Fail(err error)
}

// Context is what a node's function gets besides its record. It is valid until the function returns, and on the
// goroutine that called it only: so is a loop over a store, and what Record returns. A Context that is used later does
// nothing, and fails the record that is in work then, or the next one, with a [LateError]. The zero Context belongs to no
// record: through it reads are errors and writes are lost.
type Context struct {
	scope *Scope
	call  uint64
}

// Scope is where the functions of one node are called: it makes the Context of each call, and tells it from those of
// calls that have returned. It is for engines. Context and End are for the goroutine that calls the node.
type Scope struct {
	run  Runtime
	node string
	late func(*LateError)
	now  atomic.Uint64 // the call in work, or the next one
}

// NewScope makes the Scope of a node. late is told of each use of a Context whose call has returned, on the goroutine
// that does so; nil: nobody is told.
func NewScope(run Runtime, node string, late func(*LateError)) *Scope {
	return &Scope{run: run, node: node, late: late}
}

// Context is that of the call which begins. It is valid until End.
func (s *Scope) Context() Context { return Context{s, s.now.Load()} }

// End ends the call.
func (s *Scope) End() { s.now.Store(s.now.Load() + 1) }

// NewContext makes a Context of a Runtime that is valid for ever. It is for tests.
func NewContext(run Runtime) Context { return NewScope(run, "", nil).Context() }

// LateError says that a node let its Context out, and somebody used it after the node had returned: in a goroutine that
// the node did not wait for, or from a variable. What was asked for was not done. The record that fails with it need not
// be the one that the Context belonged to.
type LateError struct{ Node string }

func (e *LateError) Error() string {
	return fmt.Sprintf("node %s used its Context after it returned: a Context, and a loop over a store, ends when the node returns; "+
		"wait for goroutines before, and keep values in their place", e.Node)
}

// Record is the input record that led to this call. Behind an edge it is the record of the first node. It is valid until
// the node returns.
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
	switch {
	case c.scope == nil:
		return outside{}
	case c.ended() && !fault.Broken(fault.RefuseLateContexts):
		return late{c.scope}
	}
	return c.scope.run
}

// ended says whether the call that the Context was made for has returned.
func (c Context) ended() bool { return c.scope != nil && c.scope.now.Load() != c.call }

// late is the Runtime of a Context whose call has returned.
type late struct{ *Scope }

func (l late) tell() error {
	err := &LateError{l.node}
	if l.Scope.late != nil {
		l.Scope.late(err)
	}
	return err
}

func (l late) Record() *Record {
	_ = l.tell()
	return &Record{}
}
func (l late) Table(*StoreDecl) (state.Table, error)             { return nil, l.tell() }
func (l late) Output(Output) error                               { return l.tell() }
func (l late) Buffer() []byte                                    { return nil }
func (l late) Emit(*StreamDecl, string, []byte, bool, *Emission) { _ = l.tell() }
func (l late) Forward(*EdgeDecl, string, any)                    { _ = l.tell() }
func (l late) Fail(error)                                        { _ = l.tell() }

var errOutside = errors.New("used outside of a node's call")

// outside is the Runtime of the zero Context.
type outside struct{}

func (outside) Record() *Record                                   { return &Record{} }
func (outside) Table(*StoreDecl) (state.Table, error)             { return nil, errOutside }
func (outside) Output(Output) error                               { return errOutside }
func (outside) Buffer() []byte                                    { return nil }
func (outside) Emit(*StreamDecl, string, []byte, bool, *Emission) {}
func (outside) Forward(*EdgeDecl, string, any)                    {}
func (outside) Fail(error)                                        {}
