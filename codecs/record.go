package codecs

import (
	"errors"
	"time"

	"github.com/weirstream/weir/internal/record"
)

// Header is a header of a record.
type Header = record.Header

// Record is what a codec may know of the record that a value stands in.
type Record struct {
	Topic   string // in the cluster
	Subject string // the schema's, where the stream states one; "" is for the codec to say
	Key     bool   // the value is the record's key
	Time    time.Time
	Headers []Header // of a record that is read; not to be changed
}

// InRecord is a codec that looks at the record around a value: at its topic, or at a header that says which schema the value was written
// with. Streams use these methods where a codec has them; stores, which keep no records, use those of [Codec].
type InRecord[T any] interface {
	Codec[T]
	// ParseIn is Parse for a value of a record. An error that wraps [ErrUnavailable] is no fault of the record.
	ParseIn(r *Record, data []byte) (T, error)
	// AppendIn is Append for a value of a record of r.Topic, with the headers that the record is to have.
	AppendIn(r *Record, dst []byte, v T) ([]byte, []Header, error)
	// Alone is the codec of values with nothing before them. As the codec of a stream's keys it makes what nodes and stores have as the key:
	// of keys that mean the same, however they were written, the same bytes.
	Alone() Codec[T]
}

// ErrUnavailable is wrapped by the error of a codec that cannot do its work now, as when a schema registry is away: the value may be
// right. A stream's record then waits, with all that follow it in its partition, and is no dead letter.
var ErrUnavailable = errors.New("what the codec needs cannot be had now")

// ErrUnregistered is wrapped by the error of a codec whose schema is only checked at a start, and is not registered: what would be written with it waits.
var ErrUnregistered = errors.New("the schema is not registered")

// Prepared is a codec that registers or checks a schema before the first record.
type Prepared interface {
	// Prepare is called when a topology starts, for each topic with the codec. An error that wraps [ErrUnavailable] or [ErrUnregistered] is told,
	// and the start goes on.
	Prepare(p Preparation) error
}
