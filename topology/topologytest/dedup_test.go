package topologytest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// payments lets each payment pass once a day: a value is its id, a space, and what else there is to it.
func payments() *topology.Topology {
	in := topology.Stream("payment.made.v1", codecs.String())
	out := topology.Stream("payment.booked.v1", codecs.String())
	return topology.Define("payments", topology.Node("book",
		topology.On(in, func(ctx topology.Context, key, v string) error {
			switch {
			case strings.HasSuffix(v, "bad"):
				return topology.Reject(errors.New("bad"))
			case strings.HasSuffix(v, "unwanted"):
				return ctx.Drop(topology.Filtered)
			}
			out.Emit(ctx, key, v)
			return nil
		}, topology.Tombstone(func(ctx topology.Context, key string) error {
			out.Tombstone(ctx, key)
			return nil
		})),
		topology.Dedup(func(ctx topology.Context, _, v string) (string, error) {
			id, _, _ := strings.Cut(v, " ")
			switch id {
			case "broken":
				return "", errors.New("no id")
			case "any":
				return ctx.IdempotencyKey(), nil
			}
			return id, nil
		}, 24*time.Hour),
		topology.Emits(out)))
}

// fate is what became of a record in one word.
func fate(r topologytest.Result) string {
	if reason, ok := topology.Dropped(r.Err); ok {
		return reason.String()
	}
	switch {
	case topology.IsRejected(r.Err):
		return "rejected"
	case r.Err != nil:
		return "failed"
	}
	return fmt.Sprint("processed ", len(r.Emitted))
}

// Every record ends in one way, and only one that was processed leaves its id.
//
// Mutation seen to fail: an id of "" that passes.
func TestAnIDPassesOnce(t *testing.T) {
	d := topologytest.New(t, payments(), topologytest.Partitions(2))
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after              time.Duration
		key, value, expect string
	}{
		{0, "ada", "1 ten", "processed 1"},
		{0, "ada", "1 ten", "duplicate"},
		{0, "eve", "1 ten", "duplicate"}, // of the same partition
		{0, "bob", "1 ten", "processed 1"},
		{0, "ada", "2 bad", "rejected"},
		{0, "ada", "2 mended", "processed 1"},
		{0, "ada", "2 bad", "duplicate"},
		{0, "ada", "3 unwanted", "filtered"},
		{0, "ada", "3 wanted", "processed 1"},
		{0, "ada", " nothing", "rejected"},
		{0, "ada", "broken", "failed"},
		{0, "ada", "any", "processed 1"},
		{0, "ada", "any", "processed 1"},
		{0, "ada", "", "processed 1"}, // a tombstone
		{0, "ada", "", "processed 1"},
		{23 * time.Hour, "ada", "1 ten", "duplicate"},
		{23 * time.Hour, "ada", "4 ten", "processed 1"},
		{-48 * time.Hour, "ada", "5 late", "processed 1"},
		{25 * time.Hour, "ada", "5 late", "duplicate"},
		{30*time.Hour + time.Minute, "ada", "6 clock", "processed 1"},
		{30*time.Hour + time.Minute, "ada", "1 ten", "processed 1"},
		{30*time.Hour + time.Minute, "ada", "4 ten", "duplicate"},
		{30*time.Hour + time.Minute, "bob", "1 ten", "duplicate"}, // the other partition's clock stands still
	} {
		d.At(start.Add(c.after))
		value := []byte(c.value)
		if c.value == "" {
			value = nil
		}
		partition := int32(0)
		if c.key == "bob" {
			partition = 1
		}
		if got := fate(d.SendTo(partition, "payment.made.v1", c.key, value)); got != c.expect {
			t.Errorf("%v later, %s %q: %s, want %s", c.after, c.key, c.value, got, c.expect)
		}
	}
}

// Numbers need no store but the one that the node has anyway. The reference job shows the rest.
//
// Mutation seen to fail: < in the place of <=.
func TestANumberPassesOnce(t *testing.T) {
	in := topology.Stream("payment.made.v1", codecs.Int64())
	last := topology.Store("last", codecs.Int64())
	d := topologytest.New(t, topology.Define("numbered", topology.Node("book",
		topology.On(in, func(ctx topology.Context, key string, n int64) error {
			if n == 7 {
				return topology.Reject(errors.New("seven"))
			}
			last.Set(ctx, key, n)
			return nil
		}),
		topology.DedupSequence(last, func(_ topology.Context, _ string, n int64) (int64, error) {
			if n == 13 {
				return 0, topology.Reject(errors.New("no number"))
			}
			return n, nil
		}, func(n int64) int64 { return n }),
		topology.Uses(last))))
	for _, c := range []struct {
		key    string
		n      int64
		expect string
	}{
		{"ada", -3, "processed 0"}, {"ada", -3, "duplicate"}, {"bob", -3, "processed 0"}, {"ada", 5, "processed 0"}, {"ada", 4, "duplicate"},
		{"ada", 7, "rejected"}, {"ada", 6, "processed 0"}, {"ada", 13, "rejected"},
	} {
		if got := fate(d.Send("payment.made.v1", c.key, fmt.Append(nil, c.n))); got != c.expect {
			t.Errorf("%s %d: %s, want %s", c.key, c.n, got, c.expect)
		}
	}
}
