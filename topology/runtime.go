package topology

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/record"
	"github.com/weirstream/weir/state"
)

// Record is what a node may know of the input record that it works on.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time // to the millisecond; zero where the record has none
	Headers   []Header  // in their order; keys may repeat. They are the engine's: not to be written to
	Attempt   int       // 1 for the first try
	Keyless   bool      // the record has no key, which is not the empty key: to the node both are ""
}

// Header is one header of a record: its Key, a string, and its Value, a []byte. It is the same type as deadletter.Header.
type Header = record.Header

// Runtime is the engine behind a Context. Handles call it; a test may implement it to run a node alone.
// It answers for the node that is running: a handle that the node did not declare is an error, which the handle passes
// to Fail.
type Runtime interface {
	// Record is the input record in work.
	Record() *Record
	// Key is the key that the node was called with.
	Key() string
	// Now is the time.
	Now() time.Time
	// Log is for what the node has to say of the record in work.
	Log() *zap.Logger
	// IdempotencyKey names what the node does for the record in work.
	IdempotencyKey() string
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

func (l late) Key() string {
	_ = l.tell()
	return ""
}

func (l late) IdempotencyKey() string {
	_ = l.tell()
	return ""
}

func (l late) Log() *zap.Logger {
	_ = l.tell()
	return zap.NewNop()
}

func (l late) Now() time.Time {
	_ = l.tell()
	return time.Time{}
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
func (outside) Key() string                                       { return "" }
func (outside) Now() time.Time                                    { return time.Now() }
func (outside) Log() *zap.Logger                                  { return zap.NewNop() }
func (outside) IdempotencyKey() string                            { return "" }
func (outside) Table(*StoreDecl) (state.Table, error)             { return nil, errOutside }
func (outside) Output(Output) error                               { return errOutside }
func (outside) Buffer() []byte                                    { return nil }
func (outside) Emit(*StreamDecl, string, []byte, bool, *Emission) {}
func (outside) Forward(*EdgeDecl, string, any)                    {}
func (outside) Fail(error)                                        {}
