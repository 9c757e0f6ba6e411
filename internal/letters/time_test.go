package letters

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// A letter that says that it failed in the year 292278994 is not to keep all others from being listed as JSON.
//
// Mutation, seen to fail it: instant without the bound.
func TestATimeThatJSONDoesNotHoldIsTold(t *testing.T) {
	for _, l := range []*Letter{
		{Record: &kafka.Record{Timestamp: math.MaxInt64}},
		{Record: &kafka.Record{Timestamp: 1}},
	} {
		if l.Record.Timestamp == 1 {
			l.At = math.MaxInt64
		}
		if _, err := json.Marshal(l.failed()); err != nil {
			t.Error(err)
		}
	}
}
