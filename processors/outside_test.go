package processors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// book is a system outside of Kafka with lines, which keeps account of them as a sink into a database does.
type book struct {
	mu     sync.Mutex
	lines  []string
	done   map[plan.Origin]map[int64]bool
	holder map[plan.Origin]*bookTask
	away   error                   // what it answers to everything
	after  func()                  // a commit
	refuse func(line string) error // what it says of a line
	handle *topology.OutsideHandle

	refuseAll func() error // what it says of all of it
}

func newBook() *book {
	b := &book{done: map[plan.Origin]map[int64]bool{}, holder: map[plan.Origin]*bookTask{}}
	b.handle = topology.Outside(plan.Outside{Name: "book", Kind: "book", Commit: b.commit, Open: func(plan.Owner) plan.OutsideTask {
		return &bookTask{book: b, known: map[plan.Origin]bool{}}
	}})
	return b
}

func (b *book) written() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

type bookLine struct {
	from          plan.Origin
	offset, cause int64
	text          string
}

type bookSpan struct {
	from        plan.Origin
	first, next int64
}

type bookTask struct {
	book           *book
	known          map[plan.Origin]bool
	staged         []bookLine
	since, settled []bookSpan
}

func (t *bookTask) Ready(_ context.Context, from plan.Origin) error {
	t.book.mu.Lock()
	defer t.book.mu.Unlock()
	if t.book.away != nil {
		return t.book.away
	}
	if !t.known[from] {
		t.known[from], t.book.holder[from] = true, t
	}
	return nil
}

func (t *bookTask) Stage(from plan.Origin, offset, cause int64, work []any) {
	t.book.mu.Lock()
	defer t.book.mu.Unlock()
	if t.book.done[from][offset] {
		return
	}
	for _, w := range work {
		t.staged = append(t.staged, bookLine{from, offset, cause, w.(string)})
	}
}

func (t *bookTask) Cover(from plan.Origin, first, next int64) {
	t.since = append(t.since, bookSpan{from, first, next})
}

func (t *bookTask) Keep() {
	t.settled = append(t.settled, t.since...)
	t.since, t.staged = nil, nil
}

func (t *bookTask) Forget() { t.since, t.staged = nil, nil }

func (b *book) commit(_ context.Context, tasks []plan.OutsideTask) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	refusal := &plan.OutsideRefusal{Outside: "book"}
	for _, one := range tasks {
		t := one.(*bookTask)
		for _, l := range t.staged {
			if b.holder[l.from] != t {
				t.known = map[plan.Origin]bool{}
				return plan.ErrOutsideFenced
			}
			if b.refuse != nil {
				if err := b.refuse(l.text); err != nil {
					refusal.Records = append(refusal.Records, plan.RefusedWork{Cause: l.cause, Err: err})
				}
			}
			lines = append(lines, l.text)
		}
	}
	switch {
	case len(lines) == 0:
		return nil
	case b.refuseAll != nil:
		if err := b.refuseAll(); err != nil {
			return err
		}
	}
	switch {
	case len(refusal.Records) > 0:
		return refusal
	case b.away != nil:
		return b.away
	}
	mark := func(from plan.Origin, offset int64) {
		if b.done[from] == nil {
			b.done[from] = map[int64]bool{}
		}
		b.done[from][offset] = true
	}
	for _, one := range tasks {
		t := one.(*bookTask)
		for _, l := range t.staged {
			b.lines = append(b.lines, l.text)
			mark(l.from, l.offset)
		}
		for _, s := range t.settled {
			for o := s.first; o < s.next; o++ {
				mark(s.from, o)
			}
		}
		t.settled = nil
	}
	if b.after != nil {
		b.after()
	}
	return nil
}

// enters makes a job whose node writes each value into the book, before it does what then says.
func enters(g *rig, b *book, then func(j *job, ctx topology.Context, key, value string) error) {
	g.job.added = func(*job) []topology.Part { return []topology.Part{topology.Uses(b.handle)} }
	g.job.node = func(j *job, ctx topology.Context, key, value string) error {
		topology.StageOutside(ctx, b.handle, value)
		return then(j, ctx, key, value)
	}
}

func (b *book) holds(t *testing.T, want ...string) {
	t.Helper()
	if got := b.written(); !slices.Equal(got, want) {
		t.Errorf("the book holds %q, want %q", got, want)
	}
}

// TestWhatIsWrittenOutsideIsWrittenOnce also when a process dies after it was written, and before Kafka's transaction ended: the records
// are done again, and the system outside knows them. What dies before is not written.
//
// Mutations seen to fail it: the system outside is written after the end; what is staged stays after an abort.
func TestWhatIsWrittenOutsideIsWrittenOnce(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		for _, when := range []string{"before", "after"} {
			t.Run(string(guarantee)+" "+when, func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					b := newBook()
					dead := false
					die := func() {
						if !dead {
							dead = true
							g.process.Crash()
						}
					}
					g.opts.Guarantee = guarantee
					enters(g, b, remember)
					g.start()
					if when == "after" {
						b.after = die
					} else {
						b.refuse = func(string) error { die(); b.away = errors.New("the process is gone"); return nil }
					}
					g.send(0, "a 1", "b 2", "a 3")
					time.Sleep(5 * time.Second)
					g.crash()
					b.after, b.refuse, b.away = nil, nil, nil
					g.start()
					g.send(0, "c 4")
					time.Sleep(5 * time.Second)
					b.holds(t, "1", "2", "3", "4")
					if guarantee == ExactlyOnce {
						g.sees(at(jobOut, 0), "a 1", "b 2", "a 3", "c 4")
					}
				})
			})
		}
	}
}

// TestWhatComesBackIsWrittenOutside once, however its record was set aside: delayed, parked, dead, and redriven; and in the order of its key. A
// process that dies meanwhile, after something was written outside, changes nothing.
//
// Mutations seen to fail it: a record that is set aside counts as ended; one that comes back is known by where it is read now.
func TestWhatComesBackIsWrittenOutside(t *testing.T) {
	for _, dies := range []bool{false, true} {
		name := "lives"
		if dies {
			name = "dies"
		}
		t.Run(name, func(t *testing.T) {
			parks(t, []topology.Part{topology.Parking(true)}, func(g *rig, n *failing) {
				b := newBook()
				enters(g, b, n.node)
				n.set("a1", true)
				n.set("c1", true)
				g.start()
				die := func() {
					if !dies {
						return
					}
					b.after = func() { b.after = nil; g.process.Crash() }
				}
				die()
				g.send(0, "a a1", "b b1", "a a2", "c c1", "b b2", "a a3", "c c2")
				time.Sleep(10 * time.Second)
				if dies {
					g.crash()
					g.start()
				}
				time.Sleep(30 * time.Second)
				b.holds(t, "b1", "b2")
				die()
				n.set("a1", false) // passes after its first delay
				time.Sleep(2 * time.Minute)
				if dies {
					g.crash()
					g.start()
				}
				time.Sleep(time.Hour) // c1 is a dead letter
				b.holds(t, "b1", "b2", "a1", "a2", "a3")
				n.set("c1", false)
				die()
				g.redrive(0, false)
				time.Sleep(time.Minute)
				if dies {
					g.crash()
					g.start()
					time.Sleep(time.Minute)
				}
				b.holds(t, "b1", "b2", "a1", "a2", "a3", "c1", "c2")
				g.redrive(0, false) // a second time, by force
				time.Sleep(time.Minute)
				b.holds(t, "b1", "b2", "a1", "a2", "a3", "c1", "c2")
			})
		})
	}
}

// TestWhatIsRefusedOutsideIsADeadLetter, and its neighbours pass. What failed or was dropped writes nothing.
//
// Mutation seen to fail it: the whole transaction is refused.
func TestWhatIsRefusedOutsideIsADeadLetter(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		b := newBook()
		b.refuse = func(line string) error {
			if strings.HasPrefix(line, "bad") {
				return errors.New("check constraint: no " + line)
			}
			return nil
		}
		enters(g, b, func(j *job, ctx topology.Context, key, value string) error {
			switch value {
			case "dropped":
				return ctx.Drop(topology.Filtered)
			case "rejected":
				return topology.Reject(errors.New("told to"))
			}
			return remember(j, ctx, key, value)
		})
		g.start()
		g.send(0, "a 1", "a bad1", "a dropped", "a 2", "a bad2", "a rejected", "a 3")
		time.Sleep(10 * time.Second)
		b.holds(t, "1", "2", "3")
		g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
		g.sees(at(jobDead, 0), "a bad1", "a bad2", "a rejected")
		g.counted(3, 1, 0, 3)
		if text := header(g.cluster.Committed(at(jobDead, 0))[0], "__streams.errors.message"); !strings.Contains(text, "no bad1") {
			t.Errorf("the letter says %q", text)
		}
	})
}

// TestASystemOutsideThatIsAwayIsWaitedFor by the partitions whose records write there, without a dead letter, and by no others.
//
// Mutation seen to fail it: what Ready says is an error of the record.
func TestASystemOutsideThatIsAwayIsWaitedFor(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		b := newBook()
		g.job.added = func(*job) []topology.Part { return []topology.Part{topology.Uses(b.handle)} }
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if key == "a" {
				topology.StageOutside(ctx, b.handle, value)
			}
			return remember(j, ctx, key, value)
		}
		b.away = errors.New("connection refused")
		g.start()
		g.send(0, "a 1", "a 2")
		g.send(1, "b 1")
		time.Sleep(time.Minute)
		b.holds(t)
		if got := g.outputs(2); !slices.Equal(got, []string{"b 1"}) {
			t.Errorf("the outputs are %q", got)
		}
		if health := strings.Join(healthOf(g.inst), "\n"); !strings.Contains(health, "sink book: connection refused") {
			t.Errorf("health says %q", health)
		}
		b.mu.Lock()
		b.away = nil
		b.mu.Unlock()
		time.Sleep(time.Minute)
		b.holds(t, "1", "2")
		if got := g.outputs(2); !slices.Equal(got, []string{"a 1", "a 2", "b 1"}) {
			t.Errorf("the outputs are %q", got)
		}
		g.sees(at(jobDead, 0))
	})
}

// TestAFailureOutsideIsNotTakenForSlowBrokers: only where it takes too long transactions become smaller, and the log says where.
//
// Mutations seen to fail it: all failures make transactions smaller; none does.
func TestAFailureOutsideIsNotTakenForSlowBrokers(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		slower bool
	}{
		"refused":  {errors.New("disk full"), false},
		"too slow": {fmt.Errorf("not done: %w", plan.ErrOutsideSlow), true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				b := newBook()
				fails := 3
				b.refuseAll = func() error {
					if fails--; fails >= 0 {
						return c.err
					}
					return nil
				}
				enters(g, b, remember)
				g.start()
				g.send(0, "a 1", "a 2")
				time.Sleep(time.Minute)
				b.holds(t, "1", "2")
				g.sees(at(jobDead, 0))
				if g.logged(zapcore.WarnLevel, "brokers take less") > 0 {
					t.Error("the log blames brokers")
				}
				if slower := g.logged(zapcore.WarnLevel, "too long outside") > 0; slower != c.slower {
					t.Errorf("transactions are made smaller: %v", slower)
				}
			})
		})
	}
}

// TestWhoIsFencedOutsideBeginsAgain from what Kafka holds, and asks again what was written.
//
// Mutation seen to fail it: it is an error of the program.
func TestWhoIsFencedOutsideBeginsAgain(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		b := newBook()
		enters(g, b, remember)
		g.start()
		g.send(0, "a 1")
		time.Sleep(5 * time.Second)
		b.mu.Lock()
		for from := range b.holder {
			b.holder[from] = nil // somebody else
			b.lines, b.done[from][1] = append(b.lines, "2"), true
		}
		b.mu.Unlock()
		g.send(0, "a 2", "a 3")
		time.Sleep(30 * time.Second)
		b.holds(t, "1", "2", "3")
		g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
		if n := len(g.cluster.Committed(at(jobOut, 0))); n != 3 {
			t.Errorf("%d outputs", n)
		}
	})
}

// TestARunOfRangesWritesNothingOutside: a shadow must not.
//
// Mutation seen to fail it: a run that is not inside.
func TestARunOfRangesWritesNothingOutside(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		b := newBook()
		enters(g, b, remember)
		g.send(0, "a 1", "a 2")
		if _, err := g.runs(span{at(jobIn, 0), 0, 2}); err != nil {
			t.Fatal(err)
		}
		g.sees(at(jobOut, 0), "a 1", "a 2")
		b.holds(t)
	})
}

// TestASystemOutsideIsWrittenBetweenOffsetsAndEnd: the group has accepted the offsets by then, so the records are this instance's, and what is
// lost after it is known outside.
//
// Mutation seen to fail it: it is written before the offsets.
func TestASystemOutsideIsWrittenBetweenOffsetsAndEnd(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		b := newBook()
		enters(g, b, remember)
		g.start()
		g.r.take()
		b.after = func() { g.r.add("book", nil) }
		g.send(0, "a 1")
		time.Sleep(5 * time.Second)
		calls := g.r.take()
		offsets, book, end := strings.Index(calls, "offsets "), strings.Index(calls, "book\n"), strings.Index(calls, "end transaction: commit")
		if offsets < 0 || book < offsets || end < book {
			t.Errorf("the calls were\n%s", calls)
		}
	})
}
