package simkafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

var (
	ctx  = context.Background()
	in   = kafka.TopicPartition{Topic: "in"}
	out  = kafka.TopicPartition{Topic: "out"}
	none = kafka.Member{Group: "g", Generation: -1}
)

// model runs a test with a cluster that has the topics in and out, of 2 partitions each.
func model(t *testing.T, cfg Config, f func(t *testing.T, c *Cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := New(cfg)
		for _, name := range []string{"in", "out"} {
			if err := c.CreateTopic(kafka.TopicSpec{Name: name, Partitions: 2}); err != nil {
				t.Fatal(err)
			}
		}
		f(t, c)
	})
}

func sink(t *testing.T, p *Process, id string) *Sink {
	t.Helper()
	s, err := p.NewSink(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func record(tp kafka.TopicPartition, value string) *kafka.Outgoing {
	return &kafka.Outgoing{TopicPartition: tp, Key: []byte("k"), Value: []byte(value)}
}

func values(records []kafka.Record) (v []string) {
	for _, r := range records {
		v = append(v, string(r.Value))
	}
	return v
}

func sees(t *testing.T, c *Cluster, tp kafka.TopicPartition, want ...string) {
	t.Helper()
	if got := values(c.Committed(tp)); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", tp, got, want)
	}
}

func class(err error) string {
	if err == nil {
		return "ok"
	}
	return kafka.ClassOf(err).String()
}

// Mutation tried: read returns records of spans that are not committed.
func TestATransactionIsVisibleAsAWhole(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		s := sink(t, c.Process("p"), "id")
		ok(t, s.Append(record(out, "1")), s.Flush(ctx))
		ok(t, s.Offsets(ctx, none, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 7}}))
		sees(t, c, out)
		if start, stable, end := c.Bounds(out); start != 0 || stable != 0 || end != 1 {
			t.Errorf("bounds %d %d %d before the end", start, stable, end)
		}
		if c.Offset("g", in) != -1 {
			t.Error("the offset is there before the end")
		}
		ok(t, s.Commit(ctx))
		time.Sleep(time.Second)
		sees(t, c, out, "1")
		if _, stable, end := c.Bounds(out); stable != 2 || end != 2 {
			t.Errorf("stable %d, end %d: a marker takes an offset", stable, end)
		}
		if c.Offset("g", in) != 7 {
			t.Error("the offset is not there")
		}

		ok(t, s.Append(record(out, "2")), s.Flush(ctx))
		ok(t, s.Offsets(ctx, none, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 9}}))
		ok(t, s.Abort(ctx))
		time.Sleep(time.Second)
		sees(t, c, out, "1")
		if c.Offset("g", in) != 7 {
			t.Error("an aborted offset is there")
		}
		if open := c.OpenTransactions(); len(open) != 0 {
			t.Errorf("left open: %v", open)
		}
	})
}

// Mutation tried: the epoch not compared in enter and end.
func TestATakeoverFencesAndAbortsWhatWasOpen(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		old := sink(t, c.Process("old"), "id")
		ok(t, old.Append(record(out, "old")), old.Flush(ctx))
		young := sink(t, c.Process("young"), "id")
		sees(t, c, out)
		if _, stable, end := c.Bounds(out); stable != end {
			t.Error("the takeover returned before the old transaction had ended")
		}
		ok(t, old.Append(record(out, "old")))
		if err := old.Flush(ctx); class(err) != "fenced" {
			t.Errorf("the old one writes: %v", err)
		}
		ok(t, young.Append(record(out, "young")), young.Flush(ctx), young.Commit(ctx))
		time.Sleep(time.Second)
		sees(t, c, out, "young")
	})
}

// Mutation tried: the timer of enter left out.
func TestATransactionTimesOut(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		s := sink(t, c.Process("p"), "id")
		ok(t, s.Append(record(out, "1")), s.Flush(ctx))
		time.Sleep(9 * time.Second)
		if len(c.OpenTransactions()) == 0 {
			t.Error("over too early")
		}
		time.Sleep(3 * time.Second)
		if open := c.OpenTransactions(); len(open) != 0 {
			t.Errorf("still open: %v", open)
		}
		if err := s.Commit(ctx); class(err) != "fenced" {
			t.Errorf("committed after its time: %v", err)
		}
		sees(t, c, out)
	})
}

// TestFaultsHaveTheirClasses: what the caller is told, and what has happened.
//
// Mutations tried: Late without its effect; After without its effect; an indefinite commit told as retriable.
func TestFaultsHaveTheirClasses(t *testing.T) {
	for _, want := range []struct {
		op      Op
		mode    Mode
		flush   string
		offsets string
		commit  string
		visible bool
	}{
		{OpProduce, Before, "retriable", "", "", false},
		{OpProduce, After, "retriable", "", "", false},
		{OpProduce, Refused, "abortable", "", "", false},
		{OpAddPartitions, Before, "retriable", "", "", false},
		{OpAddPartitions, Late, "retriable", "", "", false},
		{OpOffsets, Before, "ok", "retriable", "", false},
		{OpOffsets, After, "ok", "retriable", "", false},
		{OpCommit, Before, "ok", "ok", "retriable", false},
		{OpCommit, After, "ok", "ok", "indefinite", true},
		{OpCommit, Late, "ok", "ok", "indefinite", true},
		{OpCommit, Refused, "ok", "ok", "abortable", false},
		{OpCommit, Hang, "ok", "ok", "retriable", false},
	} {
		t.Run(fmt.Sprint(want.op, " ", want.mode), func(t *testing.T) {
			cfg := Config{Faults: func(call Call, _ *rand.Rand) Fault {
				if call.Op == want.op && call.N == 0 {
					return Fault{Mode: want.mode, Delay: time.Second}
				}
				return Fault{}
			}}
			model(t, cfg, func(t *testing.T, c *Cluster) {
				s := sink(t, c.Process("p"), "id")
				ok(t, s.Append(record(out, "1")))
				is := []string{class(s.Flush(ctx)), "", ""}
				if is[0] == "ok" {
					is[1] = class(s.Offsets(ctx, none, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 7}}))
				}
				if is[1] == "ok" {
					is[2] = class(s.Commit(ctx))
				}
				if !slices.Equal(is, []string{want.flush, want.offsets, want.commit}) {
					t.Errorf("flush, offsets, commit: %q", is)
				}
				if is[2] == "indefinite" {
					time.Sleep(3 * time.Second)
					if c.Unanswered() != 1 {
						t.Errorf("%d unanswered", c.Unanswered())
					}
				} else {
					if err := s.Abort(ctx); err != nil && want.mode != Hang { // that outlives the transaction
						t.Error(err)
					}
					time.Sleep(3 * time.Second) // what is late must not come now
				}
				if visible := len(c.Committed(out)) == 1 && c.Offset("g", in) == 7; visible != want.visible || !visible && len(c.Committed(out))+int(c.Offset("g", in)) != -1 {
					t.Errorf("visible is %v, %q, offset %d", visible, values(c.Committed(out)), c.Offset("g", in))
				}
				if len(c.OpenTransactions()) > 0 {
					t.Errorf("left open: %v", c.OpenTransactions())
				}
			})
		})
	}
}

// Mutation tried: Committed does not look at pending offsets.
func TestCommittedOffsetsAreStable(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		p := c.Process("p")
		s := sink(t, p, "id")
		ok(t, s.Offsets(ctx, none, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 7}}))
		from := time.Now()
		time.AfterFunc(3*time.Second, func() { _ = s.Commit(ctx) })
		got, err := p.Committed(ctx, "g", []kafka.TopicPartition{in})
		if err != nil || got[in].Offset != 7 || time.Since(from) < 3*time.Second {
			t.Errorf("%v, %v after %s", got, err, time.Since(from))
		}
	})
}

// TestMisuseIsNoted: what the contract of the wire forbids.
func TestMisuseIsNoted(t *testing.T) {
	cfg := Config{Faults: func(call Call, _ *rand.Rand) Fault {
		if call.Op == OpProduce {
			return Fault{Mode: Before}
		}
		return Fault{}
	}}
	model(t, cfg, func(t *testing.T, c *Cluster) {
		s := sink(t, c.Process("p"), "id")
		ok(t, s.Append(record(out, "1")))
		_ = s.Offsets(ctx, none, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 1}})
		_ = s.Flush(ctx)
		_ = s.Flush(ctx)
		_ = s.Close()
		_ = s.Append(record(out, "1"))
		if v := c.Violations(); len(v) < 3 {
			t.Errorf("noted: %q", v)
		}
	})
}

// Mutation tried: a paused process goes on at once.
func TestAProcessThatIsDeadOrPausedDoesNothing(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		p := c.Process("p")
		s := sink(t, p, "id")
		ok(t, s.Append(record(out, "1")))
		p.Pause()
		flushed := make(chan error)
		go func() { flushed <- s.Flush(ctx) }()
		time.Sleep(5 * time.Second)
		if _, _, end := c.Bounds(out); end != 0 {
			t.Error("a paused process writes")
		}
		p.Resume()
		ok(t, <-flushed)
		p.CutOff()
		from := time.Now()
		if err := s.Commit(ctx); class(err) != "retriable" || time.Since(from) < 10*time.Second {
			t.Errorf("cut off: %v after %s", err, time.Since(from))
		}
		p.Reconnect()
		p.Crash()
		if err := s.Abort(ctx); err == nil {
			t.Error("a dead process aborts")
		}
		pass(30 * time.Second)
		sees(t, c, out)
	})
}

// Mutations tried: read gives out markers; the position ends at the last record; LeaveOpen does not hold readers up.
func TestAFetcherReadsCommittedRecordsAndPositions(t *testing.T) {
	model(t, Config{FetchRecords: 3}, func(t *testing.T, c *Cluster) {
		c.Produce(in, kafka.Record{Value: []byte("1")})
		c.ProduceTransaction(in, false, kafka.Record{Value: []byte("aborted")})
		c.ProduceTransaction(in, true, kafka.Record{Value: []byte("2")})
		end := c.LeaveOpen(in, kafka.Record{Value: []byte("3")})
		c.Produce(in, kafka.Record{Value: []byte("4")})
		f, _ := c.Process("p").NewFetcher()
		defer f.Close()
		var mu sync.Mutex
		var got []string
		var last kafka.Batch
		f.Start(in, kafka.At(0), func(b kafka.Batch) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, values(b.Records)...)
			last = b
		})
		pass(time.Second)
		mu.Lock()
		if !slices.Equal(got, []string{"1", "2"}) || last.Position != 5 || last.LastStableOffset != 5 || last.HighWatermark != 7 {
			t.Errorf("got %q, %+v", got, last)
		}
		mu.Unlock()
		end(true)
		pass(time.Second)
		mu.Lock()
		if !slices.Equal(got, []string{"1", "2", "3", "4"}) || last.Position != 8 {
			t.Errorf("got %q, %+v", got, last)
		}
		mu.Unlock()
		c.DeleteRecords(in, 8)
		f.Start(in, kafka.At(2), func(b kafka.Batch) { last = b })
		pass(time.Second)
		var gone *kafka.OffsetOutOfRangeError
		if !errors.As(last.Err, &gone) || gone.Start != 8 || gone.End != 8 {
			t.Errorf("out of range: %v", last.Err)
		}
	})
}
