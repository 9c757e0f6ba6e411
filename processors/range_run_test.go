package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
)

// ranges makes a run of the rig's job, in a process of its own.
func (g *rig) ranges(spans ...span) *rangeRun {
	g.t.Helper()
	g.lives++
	g.process = g.cluster.Process(fmt.Sprintf("r.%d", g.lives))
	opts := g.opts
	opts.Wire, opts.StateDir, opts.InstanceID, opts.Workers, opts.Log = simWire{g.process}, g.dir, "ranges", 2, zap.NewNop()
	r, err := newRangeRun(g.job.plan(g.t), opts, spans)
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// runs has a run end by itself, within a minute.
func (g *rig) runs(spans ...span) (map[kafka.TopicPartition]int64, error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	positions, err := g.ranges(spans...).run(ctx)
	time.Sleep(2 * time.Second) // until the last markers are there
	return positions, err
}

// outputs is what the output holds for readers, on all partitions.
func (g *rig) outputs(partitions int32) (all []string) {
	for p := range partitions {
		for _, r := range g.cluster.Committed(at(jobOut, p)) {
			all = append(all, string(r.Key)+" "+string(r.Value))
		}
	}
	slices.Sort(all)
	return all
}

// marker writes a transaction to the input that is aborted, or has a record: what follows it in the log is a control record.
func (g *rig) marker(partition int32, commit bool) {
	g.t.Helper()
	s, err := g.cluster.Process("producer").NewSink(context.Background(), "producer")
	if err != nil {
		g.t.Fatal(err)
	}
	defer s.Close()
	end := s.Abort
	if commit {
		end = s.Commit
	}
	out := kafka.Outgoing{TopicPartition: at(jobIn, partition), Key: []byte("t"), Value: []byte(fmt.Sprint(commit))}
	if err := errors.Join(s.Append(&out), s.Flush(context.Background()), end(context.Background())); err != nil {
		g.t.Fatal(err)
	}
}

// TestARunOfRangesEndsByItself when each input is at the end of its range, and has had the effect of the records in it, once, and of no
// others. The end may lie between records, after control records, or where nothing is left; no offset is committed for the group.
//
// Mutation tried: within that keeps all records; whole that is never true; an end that is a record's
// and not a position's (skipEmpty without the batch's position).
func TestARunOfRangesEndsByItself(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(string(guarantee), func(t *testing.T) {
			bubble(t, 3, simkafka.Config{}, func(g *rig) {
				g.opts.Guarantee = guarantee
				for n := range 10 {
					g.send(0, fmt.Sprint("a ", n))
				}
				g.send(1, "b 0", "b 1") // offsets 0 and 1
				g.marker(1, true)       // "t true" at 2, its marker at 3
				g.marker(1, false)      // an aborted record at 4, its marker at 5
				g.send(2, "c 0")
				spans := []span{{at(jobIn, 0), 3, 7}, {at(jobIn, 1), 1, 6}, {at(jobIn, 2), 1, 1}}
				positions, err := g.runs(spans...)
				if err != nil {
					t.Error(err)
				}
				for _, s := range spans {
					if positions[s.TopicPartition] != s.to {
						t.Errorf("%s ends at %d, want %d", s.TopicPartition, positions[s.TopicPartition], s.to)
					}
					g.committed(s.TopicPartition, -1)
				}
				if got, want := g.outputs(3), []string{"a 3", "a 4", "a 5", "a 6", "b 1", "t true"}; !slices.Equal(got, want) {
					t.Errorf("outputs %q, want %q", got, want)
				}
				if state := replayed(g.cluster.Committed(at(jobLog, 0))); state["a"] != "6" {
					t.Errorf("state is %v", state)
				}
			})
		})
	}
}

// TestWhateverGoesWrongInARunOfRangesItsRecordsCountOnce: one fault at each request of a commit, of each kind. The run goes on from the
// last commit; where the answer to a commit is lost, it ends and says so, and no position is said to be passed that is not.
//
// Mutation tried: begin always at the start of the range; gaveUp that does nothing.
func TestWhateverGoesWrongInARunOfRangesItsRecordsCountOnce(t *testing.T) {
	for _, op := range []simkafka.Op{simkafka.OpAddPartitions, simkafka.OpProduce, simkafka.OpCommit} {
		for _, mode := range []simkafka.Mode{simkafka.Before, simkafka.After, simkafka.Late, simkafka.Refused, simkafka.Hang} {
			t.Run(fmt.Sprint(op, " ", mode), func(t *testing.T) {
				cfg := simkafka.Config{Faults: once(op, 1, simkafka.Fault{Mode: mode, Delay: 20 * time.Millisecond})}
				bubble(t, 1, cfg, func(g *rig) {
					g.job.node = count
					g.opts.CommitBytes = 400 // of some records
					var want []string
					for n := range 20 {
						g.send(0, fmt.Sprintf("key%d once", n%3))
						want = append(want, fmt.Sprintf("key%d %d", n%3, n/3+1))
					}
					positions, err := g.runs(span{at(jobIn, 0), 0, 20})
					done := positions[at(jobIn, 0)]
					var unknown *unknownOutcomeError
					switch {
					case err == nil && done == 20:
						if op == simkafka.OpCommit && g.cluster.Unanswered() > 0 {
							t.Error("it does not say that an answer is missing")
						}
						g.sees(at(jobOut, 0), want...)
					case errors.As(err, &unknown) && op == simkafka.OpCommit:
						upTo := unknown.Positions[at(jobIn, 0)]
						if got := int64(len(g.cluster.Committed(at(jobOut, 0)))); done >= upTo || got != done && got != upTo {
							t.Errorf("%d outputs; it says %d, and perhaps %d", got, done, upTo)
						}
						if !strings.Contains(err.Error(), fmt.Sprintf("%s/0 up to offset %d", jobIn, upTo)) {
							t.Error(err)
						}
					default:
						t.Errorf("ends at %d with %v", done, err)
					}
				})
			})
		}
	}
}

// TestARunOfRangesThatIsStoppedIsContinued where its positions say, with the state that is in the changelogs: every record has its
// effect once.
//
// Mutation tried: positions that are not raised by a commit.
func TestARunOfRangesThatIsStoppedIsContinued(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.node = count
		var want []string
		for n := range 10 {
			g.send(0, "key once")
			want = append(want, fmt.Sprint("key ", n+1))
		}
		whole := span{at(jobIn, 0), 0, 15} // five records are not there yet
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		positions, err := g.ranges(whole).run(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || positions[whole.TopicPartition] != 10 {
			t.Fatalf("at %v: %v", positions, err)
		}
		for n := range 5 {
			g.send(0, "key once")
			want = append(want, fmt.Sprint("key ", n+11))
		}
		whole.from = positions[whole.TopicPartition]
		if positions, err = g.runs(whole); err != nil || !maps.Equal(positions, map[kafka.TopicPartition]int64{whole.TopicPartition: 15}) {
			t.Fatalf("at %v: %v", positions, err)
		}
		g.sees(at(jobOut, 0), want...)
	})
}

// TestRangesThatCannotBeRunAreRefused, all at once.
//
// Mutation tried: each condition taken out.
func TestRangesThatCannotBeRunAreRefused(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		opts := Options{Wire: simWire{g.cluster.Process("p")}, StateDir: g.dir, InstanceID: "x", Log: zap.NewNop()}
		in := at(jobIn, 0)
		for want, spans := range map[string][]span{
			"is no input":            {{at("other.in.v1", 0), 0, 1}},
			"has two ranges":         {{in, 0, 1}, {in, 2, 3}},
			"no range from offset 2": {{in, 2, 1}},
			"from offset -1":         {{in, -1, 1}},
		} {
			if _, err := newRangeRun(g.job.plan(t), opts, spans); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		if _, err := g.runs(span{at(jobIn, 7), 0, 1}); err == nil || !strings.Contains(err.Error(), "1 partitions") {
			t.Error(err)
		}
		g.job.define = saying(nil, nil, nil)
		if _, err := newRangeRun(g.job.plan(t), opts, []span{{in, 0, 1}}); err == nil || !strings.Contains(err.Error(), jobOther+"/0 has no range") {
			t.Error(err)
		}
	})
}

// TestABoundedInputPassesNothing that is not before its end: neither by records nor by positions, however batches are cut.
//
// Mutation tried: within that looks at a batch's position only; a position that is the record's.
func TestABoundedInputPassesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := taskOfTwo(t)
		in := one.inputs[0]
		in.bounded, in.until = true, rapid.Int64Range(0, 40).Draw(t, "until")
		in.begin(kafka.Position{}, time.Now())
		next := int64(0)
		for next < 50 && !in.whole() {
			b := kafka.Batch{}
			for range rapid.IntRange(0, 5).Draw(t, "records") {
				next += rapid.Int64Range(0, 2).Draw(t, "gap")
				r := kafka.Record{Offset: next}
				if rapid.Bool().Draw(t, "stands for several") {
					r.Excess = &kafka.Excess{Last: next + 3}
				}
				b.Records = append(b.Records, r)
				next = r.Next()
			}
			next += rapid.Int64Range(0, 2).Draw(t, "markers")
			b.Position = next
			in.push(b)
			for in.head() != nil {
				if in.head().Offset >= in.until {
					t.Fatalf("offset %d is processed, the end is %d", in.head().Offset, in.until)
				}
				in.advance()
				if in.position > in.until {
					t.Fatalf("position %d, the end is %d", in.position, in.until)
				}
			}
		}
		if in.whole() != (in.position == in.until) {
			t.Fatalf("at %d of %d, whole is %v", in.position, in.until, in.whole())
		}
	})
}

// TestAtTheEndOfItsRangeAnInputIsNotReadOn: what arrives after its last batch, an error too, is another reader's, and what begins at
// the end is not read at all.
//
// Mutation tried: fetch without its look at the end; without the epoch that is raised, and without Stop; moveTo that passes the end.
func TestAtTheEndOfItsRangeAnInputIsNotReadOn(t *testing.T) {
	var deliver func(kafka.Batch)
	f := &fakeFetcher{start: func(to func(kafka.Batch)) { deliver = to }}
	inbox := newInbox()
	ts := &tasks{list: []*task{taskOfTwo(t)}, env: tasksEnv{inputs: f, put: inbox.put}}
	in, other := ts.list[0].inputs[0], ts.list[0].inputs[1]
	ts.read(in, beginning{bounded: true, until: 3}, time.Now())
	deliver(kafka.Batch{Position: 2, Records: []kafka.Record{{Offset: 1}}})
	deliver(kafka.Batch{Position: 6, Records: []kafka.Record{{Offset: 2}, {Offset: 5}}})
	deliver(kafka.Batch{Err: errFake})
	inbox.drain()
	if in.broken != nil || len(in.batches) != 2 || f.stops != 1 {
		t.Errorf("%v, %d batches, stopped %d times", in.broken, len(in.batches), f.stops)
	}
	deliver = nil
	ts.read(other, beginning{Position: kafka.Position{Offset: 3}, bounded: true, until: 3}, time.Now())
	if deliver != nil {
		t.Error("nothing is to be read, and is")
	}
	ts.moveTo(other, 9, -1) // the records up to offset 9 are gone
	if other.position != 3 || deliver != nil || !other.dirty() {
		t.Errorf("after a gap that reaches over its end it is at %d", other.position)
	}
}

// fakeFetcher hands out what a fetch is to be delivered to.
type fakeFetcher struct {
	Fetcher
	start func(deliver func(kafka.Batch))
	stops int
}

func (f *fakeFetcher) Start(_ kafka.TopicPartition, _ kafka.Position, deliver func(kafka.Batch)) {
	f.start(deliver)
}
func (f *fakeFetcher) Stop(kafka.TopicPartition) { f.stops++ }

// TestNothingIsBegunAgainAfterAnUnknownOutcome, however long the end of the run takes: its records might have their effect twice.
//
// Mutation tried: begin without its look at it.
func TestNothingIsBegunAgainAfterAnUnknownOutcome(t *testing.T) {
	r := &rangeRun{engine: &engine{failed: make(chan error, 1)}}
	r.gaveUp(&transaction{}, errFake)
	if len(r.failed) > 0 {
		t.Error("a transaction that is known not to be committed ended the run")
	}
	r.gaveUp(&transaction{unknown: true}, errFake)
	if err := r.begin(t.Context(), taskOfTwo(t), nil, &opened{}); !errors.Is(err, errFake) || len(r.failed) != 1 {
		t.Errorf("a task begins: %v", err)
	}
}
