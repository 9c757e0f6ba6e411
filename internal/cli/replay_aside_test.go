package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// lists has a node that keeps for each key what it has seen, in order, and emits it. It fails of values as often as it is told, and what it is told holds across builds.
type lists struct {
	mu    sync.Mutex
	fails map[string]int // how often it is still to fail of a value, -1 for a service that is down until something else is said
	keys  map[string]map[string]bool
	parts []topology.Part

	ledger *topology.OutsideHandle // nil for none
}

func (l *lists) fail(value string, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails[value] = times
}

// idempotency are the idempotency keys that a value had.
func (l *lists) idempotency(value string) (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.keys[value] {
		keys = append(keys, key)
	}
	return keys
}

const listed = "item.listed.v1"

func (l *lists) build(...string) *topology.Topology {
	in, out, store := topology.Stream(tallied, codecs.String()), topology.Stream(listed, codecs.String()), topology.Store("tally", codecs.String())
	return topology.Define("tallies", topology.Node("list", append([]topology.Part{topology.On(in, func(ctx topology.Context, key, v string) error {
		l.mu.Lock()
		if l.keys[v] == nil {
			l.keys[v] = map[string]bool{}
		}
		l.keys[v][ctx.IdempotencyKey()] = true
		failed, world := l.fails[v] > 0, l.fails[v] < 0
		if failed {
			l.fails[v]--
		}
		l.mu.Unlock()
		switch {
		case failed:
			return errors.New("the service hiccups")
		case world:
			return topology.World(errors.New("the service is down"))
		}
		seen, err := store.Get(ctx, key)
		if err != nil {
			return err
		}
		store.Set(ctx, key, strings.TrimPrefix(seen+" "+v, " "))
		out.Emit(ctx, key, v)
		if l.ledger != nil {
			topology.StageOutside(ctx, l.ledger, v)
		}
		return nil
	}), topology.Uses(store), topology.Emits(out), topology.Retry(topology.Backoff{Attempts: 1}), topology.DeadLetter(tallyLetters)}, l.parts...)...))
}

// newLists has an instance process some records.
func newLists(t *testing.T, parts ...topology.Part) (*counter, *lists) {
	t.Helper()
	d, l := newCounter(t), &lists{fails: map[string]int{}, keys: map[string]map[string]bool{}, parts: parts}
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, listed)
	d.must(err)
	d.top = l.build
	for _, r := range []string{"k a", "j b", "k c", "k d", "j e"} {
		key, value, _ := strings.Cut(r, " ")
		d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: tallied, Key: []byte(key), Value: []byte(value)}).FirstErr())
	}
	d.live()
	d.list("a c d", "b e")
	return d, l
}

// list checks what the store holds for the two keys.
func (c *counter) list(k, j string) {
	c.t.Helper()
	if is := c.lists(); is["k"] != k || is["j"] != j {
		c.t.Errorf("the store has %v, want %q and %q", is, k, j)
	}
}

func (c *counter) lists() map[string]string {
	c.t.Helper()
	last := map[string]string{}
	for _, r := range (&shop{desk: c.desk}).read(tallyLog) {
		last[string(r.Key)] = string(r.Value)
	}
	return last
}

type asideReceipt struct {
	shopReceipt
	Delayed, Parked int64
}

func (c *counter) ran(verb, file string) (r asideReceipt) {
	c.t.Helper()
	c.data(c.do(0, nil, "replay", verb, file, "--state-dir", "state", "--log-level", "error", "--json"), &r)
	return r
}

// TestAReplayDelaysAndParksAsInstancesDo: a record whose tries are used up is tried again later, by instances, and others of its key wait for it; so the order of the key holds, in a
// state that is rebuilt and in one that is kept.
//
// Mutations, each seen to fail it: RunReplay without aside; follow that does not count.
func TestAReplayDelaysAndParksAsInstancesDo(t *testing.T) {
	for _, c := range []struct{ state, during, after string }{{"reset", "", "a c d"}, {"keep", "a c d", "a c d a c d"}} {
		t.Run(c.state, func(t *testing.T) {
			d, l := newLists(t, topology.RetryLater(time.Second))
			l.fail("a", 1)
			during, after := "b e", "b e"
			if c.state == "keep" {
				during, after = "b e b e", "b e b e"
			}
			r := d.ran("run", d.file("again", "state: "+c.state+"\n"))
			if r.Read != 5 || r.Delayed != 1 || r.Parked != 2 || r.DeadLettered != 0 || r.Replayed != 5 {
				t.Errorf("%+v", r)
			}
			if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "1 of its records had been delayed and 2 parked") }) {
				t.Errorf("notes %q", r.Notes)
			}
			d.list(c.during, during)
			d.liveUntil(func(context.Context) bool { return d.lists()["k"] == c.after })
			d.list(c.after, after)
			if n := d.openLetters(); n != 0 {
				t.Errorf("%d letters are open", n)
			}
		})
	}
}

// TestAReplayThatHasParkedIsResumed, and what it has parked is no reason to refuse that: later records of the key go on to wait.
//
// Mutations, each seen to fail it: intoTopology that asks settled once more; left that is all of the ranges.
func TestAReplayThatHasParkedIsResumed(t *testing.T) {
	d, l := newLists(t, topology.RetryLater(time.Hour))
	l.fail("a", 1)
	file, _ := d.stopped("state: keep\n")
	r := d.ran("resume", file)
	if r.Read != 5 || r.Delayed != 1 || r.Parked != 2 || r.DeadLettered != 0 {
		t.Errorf("%+v", r)
	}
	d.list("a c d", "b e b e")
}

// TestAReplayLeavesQueuesToInstances: what of a key is ready to be worked off, after the replay was stopped, is none of its records.
//
// Mutation, seen to fail it: engine whose tasks have queues in a replay too.
func TestAReplayLeavesQueuesToInstances(t *testing.T) {
	d, l := newLists(t, topology.RetryLater(time.Second))
	l.fail("a", 1)
	file, _ := d.stopped("state: keep\n")
	l.fail("a", -1)
	l.fail("new", -1)
	d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: tallied, Key: []byte("k"), Value: []byte("new")}).FirstErr())
	d.liveUntil(func(ctx context.Context) bool {
		if d.drained(ctx) {
			l.fail("a", 0) // new is parked
		}
		return len(l.idempotency("new")) > 0 // and its key ready
	})
	l.fail("new", 0)
	if r := d.ran("resume", file); r.Read != 5 || r.Delayed != 1 || r.Parked != 2 {
		t.Errorf("%+v", r)
	}
	d.list("a c d a", "b e b e")
	d.liveUntil(func(context.Context) bool { return d.lists()["k"] == "a c d a new c d" })
}

// TestAReplayParksBehindALetter, which a redrive answers when the replay has ended.
//
// Mutation, seen to fail it: RunReplay without aside.
func TestAReplayParksBehindALetter(t *testing.T) {
	d, l := newLists(t, topology.Parking(true))
	l.fail("c", 1)
	if r := d.ran("run", d.file("again", "state: reset\n")); r.DeadLettered != 1 || r.Parked != 1 || r.Delayed != 0 {
		t.Errorf("%+v", r)
	}
	d.list("a", "b e")
	if n := d.redrive(); n != 1 {
		t.Errorf("%d are redriven", n)
	}
	d.liveUntil(func(context.Context) bool { return d.lists()["k"] == "a c d" })
	d.list("a c d", "b e")
}

// TestAReplayThatIsToWriteNothingTriesLaterInPlace: what it had in a retry topic would come back with outputs.
//
// Mutation, seen to fail it: later that looks at inPlace alone.
func TestAReplayThatIsToWriteNothingTriesLaterInPlace(t *testing.T) {
	d, l := newLists(t, topology.RetryLater(time.Second))
	l.fail("a", 1)
	if r := d.ran("run", d.file("again", "state: reset\noutputs: suppress\n")); r.Delayed != 0 || r.Parked != 0 || r.DeadLettered != 0 {
		t.Errorf("%+v", r)
	}
	d.list("a c d", "b e")
}

// TestAShadowFailsAsInstancesDo: it rides out what the topology's delays ride out, and has others of a key wait behind a letter.
//
// Mutations, each seen to fail it: RunRanges without inPlace; RunRanges without aside.
func TestAShadowFailsAsInstancesDo(t *testing.T) {
	d, l := newLists(t, topology.RetryLater(time.Second))
	file := func(name string) string {
		return d.edited(strings.TrimSuffix(d.file(name, ""), ".yaml"), "into: topology", "into: shadow")
	}
	l.fail("a", 1)
	if r := d.ran("run", file("rides")); r.Unchanged == nil || !*r.Unchanged || r.DeadLettered+r.Delayed+r.Parked != 0 {
		t.Errorf("%+v", r)
	}
	l.fail("a", 100)
	r := d.ran("run", file("stands"))
	if r.Unchanged == nil || *r.Unchanged || r.DeadLettered != 1 || r.Delayed != 0 || r.Parked != 2 || len(r.Differences) != 1 || r.Differences[0].Key != "k" || r.Differences[0].Shadow != "nothing" {
		t.Errorf("%+v", r)
	}
}

// TestAShadowHasTheIdempotencyKeysOfProduction, in each of its runs: a service that heeds them does nothing twice.
//
// Mutation, seen to fail it: a shadow's Replay without Group.
func TestAShadowHasTheIdempotencyKeysOfProduction(t *testing.T) {
	d, l := newLists(t)
	for _, name := range []string{"first", "second"} {
		d.ran("run", d.edited(strings.TrimSuffix(d.file(name, ""), ".yaml"), "into: topology", "into: shadow"))
	}
	if keys := l.idempotency("c"); len(keys) != 1 {
		t.Errorf("one record had %d idempotency keys: %v", len(keys), keys)
	}
}

// ledger is a database that takes everything.
type ledger struct{}

func (ledger) Ready(context.Context, plan.Origin) error         { return nil }
func (ledger) Stage(plan.Origin, int64, int64, []any)           {}
func (ledger) Cover(plan.Origin, int64, int64)                  {}
func (ledger) Keep()                                            {}
func (ledger) Forget()                                          {}
func (ledger) open(plan.Owner) plan.OutsideTask                 { return ledger{} }
func (ledger) commit(context.Context, []plan.OutsideTask) error { return nil }

// TestDatabasesAreNamedThatAReplayDoesNotSetBack: by the plan, by the receipt, and by a trial of letters.
//
// Mutations, each seen to fail it: conclude without outside; trial that does not look at Outward; outside without its cases.
func TestDatabasesAreNamedThatAReplayDoesNotSetBack(t *testing.T) {
	handle := topology.Outside(plan.Outside{Name: "ledger", Kind: "database", Open: ledger{}.open, Commit: ledger{}.commit})
	d, l := newLists(t, topology.Uses(handle))
	l.ledger = handle
	for name, c := range map[string]struct{ more, into, want string }{
		"keep":     {"", "topology", "database ledger: it is not set back"},
		"reset":    {"state: reset\n", "topology", "database ledger: it is not rebuilt with the state"},
		"suppress": {"outputs: suppress\n", "topology", "database ledger: nothing is written to it"},
		"shadow":   {"", "shadow", "database ledger: nothing is written to it, and it is not asked"},
	} {
		d.file(name, c.more)
		file := d.edited(name, "into: topology", "into: "+c.into)
		var p struct{ Touches []string }
		d.data(d.do(0, nil, "replay", "plan", file, "--json"), &p)
		r := d.ran("run", file)
		for what, says := range map[string][]string{"plan": p.Touches, "receipt": r.Notes} {
			if !strings.Contains(strings.Join(says, "\n"), c.want) {
				t.Errorf("%s: the %s says %q", name, what, says)
			}
		}
	}
	l.fail("b", 1)
	d.ran("run", d.file("letter", ""))
	var tried struct{ Outside map[string]int64 }
	d.data(d.do(0, nil, "dlq", "try", "--topic", tallyLetters, "--all", "--json"), &tried)
	if tried.Outside["database ledger"] != 1 {
		t.Errorf("%+v", tried)
	}
	if said := d.do(0, nil, "dlq", "try", "--topic", tallyLetters, "--all"); !strings.Contains(said, "1 would write to database ledger") {
		t.Error(said)
	}
}

// TestWhatInstancesWroteWhileAReplayWasStoppedIsNoted: downstream has changed, and the replay has not done that.
//
// Mutation, seen to fail it: noteOthers that notes nothing.
func TestWhatInstancesWroteWhileAReplayWasStoppedIsNoted(t *testing.T) {
	d, l := newLists(t, topology.Dedup(func(_ topology.Context, _, v string) (string, error) { return v, nil }, time.Hour))
	file, _ := d.stopped("state: keep\n")
	d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: tallied, Key: []byte("k"), Value: []byte("new")}).FirstErr())
	d.live()
	r := d.ran("resume", file)
	said := strings.Join(r.Notes, "\n")
	if r.NewEffects != 0 || r.Unchanged == nil || *r.Unchanged || !strings.Contains(said, "topic "+listed+": others") || !strings.Contains(said, "topic "+tallyLog+": others") {
		t.Errorf("%+v", r)
	}
	if len(l.idempotency("new")) != 1 {
		t.Error("the new record was not processed")
	}
}

// TestAReplayWithoutRoomToParkSaysWhatHelps: it ends, since no letter is redriven while it runs and so nothing would make room, and it goes on where it was with a higher limit.
//
// Mutations, each seen to fail it: follow that has a replay wait as an instance does; that parks all the same; that passes the record over.
func TestAReplayWithoutRoomToParkSaysWhatHelps(t *testing.T) {
	for limit, why := range map[string]string{"--parked-records": "1 records of 1 keys are parked, and parked-records allows 1 a partition", "--parked-bytes": "bytes and 1 keys are parked, and parked-bytes allows 1 a partition"} {
		t.Run(limit, func(t *testing.T) {
			d, l := newLists(t, topology.RetryLater(time.Hour))
			l.fail("a", 1)
			file := d.file("again", "state: reset\n")
			said := d.do(1, nil, "replay", "run", file, "--state-dir", "state", "--log-level", "error", limit, "1")
			for _, words := range []string{tallied + "/0 offset 3: its key is parked, and there is no room to park it", why, "run the replay with a higher limit, which the instances need too"} {
				if !strings.Contains(said, words) {
					t.Errorf("it does not say %q: %s", words, said)
				}
			}
			r := d.ran("resume", file)
			if r.Read != 5 || r.Replayed != 5 || r.Delayed != 1 || r.Parked != 2 || r.DeadLettered != 0 {
				t.Errorf("%+v", r)
			}
			d.list("", "b e")
		})
	}
}
