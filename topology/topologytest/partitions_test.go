package topologytest_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// Each partition has stores and offsets of its own; a key belongs to one, and can be sent to another, as a producer with another
// partitioner does. The clock is the test's.
//
// Mutations, each seen to fail it: stores shared by the partitions; offsets counted over all; Send to partition 0; Now that is the
// machine's; Advance that does nothing.
func TestPartitionsAndTheClock(t *testing.T) {
	in, counts := topology.Stream("a.in.v1", codecs.String()), topology.Store("counts", codecs.Int64())
	var seen []string
	d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.On(in, func(ctx topology.Context, key, _ string) error {
		n, err := counts.Get(ctx, key)
		if err != nil {
			return err
		}
		counts.Set(ctx, key, n+1)
		r := ctx.Record()
		seen = append(seen, fmt.Sprintf("%s at %d:%d, %d and %d", key, r.Partition, r.Offset, ctx.Now().Unix(), ctx.Time().Unix()))
		return nil
	}), topology.Uses(counts))), topologytest.Partitions(3))
	d.At(time.Unix(100, 0))
	d.Send("a.in.v1", "alice", []byte("v"))
	d.Advance(time.Minute)
	d.Send("a.in.v1", "alice", []byte("v"))
	d.Send("a.in.v1", "dave", []byte("v"))
	d.SendTo(2, "a.in.v1", "alice", []byte("v"))
	if want := "[alice at 0:0, 100 and 100 alice at 0:1, 160 and 160 dave at 1:0, 160 and 160 alice at 2:0, 160 and 160]"; fmt.Sprint(seen) != want {
		t.Errorf("%v, want %v", seen, want)
	}
	for p, want := range []map[string]string{{"alice": "2"}, {"dave": "1"}, {"alice": "1"}} {
		if got := d.StoreAt("counts", int32(p)); !maps.Equal(got, want) {
			t.Errorf("partition %d has %v, want %v", p, got, want)
		}
	}
	if got := d.Store("counts"); len(got) != 2 {
		t.Errorf("all have %v", got)
	}
}
