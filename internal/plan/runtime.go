package plan

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/record"
)

// Record is what a node may know of the input record that it works on.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time // to the millisecond; zero where the record has none
	Headers   []record.Header
	Attempt   int  // 1 for the first try
	Keyless   bool // the record has no key, which is not the empty key: to the node both are ""
}

// Runtime is the engine behind a Call. Handles call it.
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
	// Duplicate says that the record in work is one that was processed before, at an offset of this partition of a topic; -1 where that
	// is not known. The node then drops it.
	Duplicate(topic string, offset int64)
	// Global returns the instance's copy of a global.
	Global(global *Global) (View, error)
	// Service checks that the node declared the service.
	Service(service *Service) error
	// Outside stages work for a system besides Kafka, with ctx for what is to be asked there before.
	Outside(ctx context.Context, outside *Outside, work any) error
	// Store returns the store at the task's partition.
	Store(store *Store) (keyed.Any, error)
	// Output checks that the node declared the stream or edge.
	Output(decl Output) error
	// Topic is the topic by whose name the schemas of an output of the node go, "" for what is none of its.
	Topic(stream *Stream) string
	// Buffer is where the next value is encoded: append to it and hand the result to Emit at once.
	Buffer() []byte
	// Emit stages a record for a stream. encoded is Buffer's slice, extended; tombstone says that there is none. as is what the
	// options ask for, nil where there are none.
	Emit(stream *Stream, key string, encoded []byte, tombstone bool, as *Emission)
	// Forward stages a value for an edge; its readers run after the node returned.
	Forward(edge *Edge, key string, value any)
	// Fail makes the record fail when the node returns, whatever the node returns. The first error counts.
	Fail(err error)
}

// late is the Runtime of a Call that has returned.
type late struct{ *Scope }

func (l late) Record() *Record {
	_ = l.late()
	return &Record{}
}

func (l late) Key() string {
	_ = l.late()
	return ""
}

func (l late) IdempotencyKey() string {
	_ = l.late()
	return ""
}

func (l late) Log() *zap.Logger {
	_ = l.late()
	return zap.NewNop()
}

func (l late) Now() time.Time {
	_ = l.late()
	return time.Time{}
}
func (l late) Service(*Service) error                        { return l.late() }
func (l late) Outside(context.Context, *Outside, any) error  { return l.late() }
func (l late) Store(*Store) (keyed.Any, error)               { return nil, l.late() }
func (l late) Global(*Global) (View, error)                  { return nil, l.late() }
func (l late) Output(Output) error                           { return l.late() }
func (l late) Duplicate(string, int64)                       { _ = l.late() }
func (l late) Topic(*Stream) string                          { return "" }
func (l late) Buffer() []byte                                { return nil }
func (l late) Emit(*Stream, string, []byte, bool, *Emission) { _ = l.late() }
func (l late) Forward(*Edge, string, any)                    { _ = l.late() }
func (l late) Fail(error)                                    { _ = l.late() }

// ErrOutside is the error of handles that are used with the zero Call.
var ErrOutside = errors.New("used outside of a node's call")

// outside is the Runtime of the zero Call.
type outside struct{}

func (outside) Record() *Record                               { return &Record{} }
func (outside) Key() string                                   { return "" }
func (outside) Now() time.Time                                { return time.Now() }
func (outside) Log() *zap.Logger                              { return zap.NewNop() }
func (outside) IdempotencyKey() string                        { return "" }
func (outside) Service(*Service) error                        { return ErrOutside }
func (outside) Outside(context.Context, *Outside, any) error  { return ErrOutside }
func (outside) Store(*Store) (keyed.Any, error)               { return nil, ErrOutside }
func (outside) Global(*Global) (View, error)                  { return nil, ErrOutside }
func (outside) Output(Output) error                           { return ErrOutside }
func (outside) Duplicate(string, int64)                       {}
func (outside) Topic(*Stream) string                          { return "" }
func (outside) Buffer() []byte                                { return nil }
func (outside) Emit(*Stream, string, []byte, bool, *Emission) {}
func (outside) Forward(*Edge, string, any)                    {}
func (outside) Fail(error)                                    {}
