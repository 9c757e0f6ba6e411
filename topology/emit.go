package topology

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/provenance"
)

// EmitOption changes the record that an Emit writes. [WithHeader], [At] and [ToPartition] make one.
type EmitOption struct{ apply func(*plan.Emission) error }

// WithHeader adds a header to the record. It takes the place of headers of that name which the record would have from its
// input; given several times with one name, the record has them all, in that order. value is copied. Names that begin with
// "weir." or "__streams.errors." are Weir's own: with one the topology stops, before anything is dead-lettered.
func WithHeader(key string, value []byte) EmitOption {
	if provenance.Reserved(key) {
		return unfit(Fatal(fmt.Errorf("the header %q is reserved: names that begin with weir. or __streams.errors. are Weir's own, take another one", key)))
	}
	h := Header{Key: key, Value: bytes.Clone(value)}
	return EmitOption{func(e *plan.Emission) error { e.Headers = append(e.Headers, h); return nil }}
}

// At gives the record a timestamp of its own, in milliseconds to Kafka. Default: that of the input record. A time before 1970 or after
// 2262 fails the record.
func At(t time.Time) EmitOption {
	if t.Before(firstTime) || t.After(lastTime) {
		return unfit(fmt.Errorf("emit at %s: records have times from 1970 to 2262", t.Format(time.RFC3339)))
	}
	return EmitOption{func(e *plan.Emission) error { e.At = t; return nil }}
}

// ToPartition writes the record to this partition, whatever its key hashes to. A partition that the topic does not have fails
// the record. Who reads the stream by key, as a topology with stores does, must expect the key there.
func ToPartition(n int32) EmitOption {
	if n < 0 {
		return unfit(fmt.Errorf("emit to partition %d: partitions count from 0", n))
	}
	return EmitOption{func(e *plan.Emission) error { e.Partition = n; return nil }}
}

// The times that a record can have: Kafka knows none before 1970, and what is later than fits 64 bits of nanoseconds would be refused where
// it is written.
var firstTime, lastTime = time.UnixMilli(0), time.Unix(0, math.MaxInt64)

func unfit(err error) EmitOption { return EmitOption{func(*plan.Emission) error { return err }} }

// emission gathers options; nil when there are none.
func emission(opts []EmitOption) (*plan.Emission, error) {
	if len(opts) == 0 {
		return nil, nil
	}
	e := &plan.Emission{Partition: -1}
	for _, o := range opts {
		if o.apply == nil {
			continue
		}
		if err := o.apply(e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// PassHeaders has the node give headers of its input records, by name, to the records that it emits to streams; "*" stands for all. The
// trace context (traceparent, tracestate, up to 4 KiB each) goes along in any case, reserved names never. Default: nothing else.
func PassHeaders(names ...string) Part {
	return Part{everywhere: true, add: func(n *node) {
		for _, name := range names {
			if name == "" || name != "*" && provenance.Reserved(name) {
				n.mistake(fmt.Sprintf("passes the header %q on", name), "name headers of the input that are not reserved (weir.*, __streams.errors.*), or \"*\"")
				continue
			}
			n.passes = append(n.passes, name)
		}
	}}
}
