package processors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

const (
	jobRetry   = jobGroup + "-" + jobIn + "-retry-"
	jobRedrive = jobGroup + "-" + jobIn + "-redrive"
	jobParked  = jobGroup + "-" + jobIn + "-parked-changelog"
)

// redrive sends the n-th dead letter back, as the command does, or says that it was discarded.
func (g *rig) redrive(n int, discard bool) {
	g.t.Helper()
	letters := g.cluster.Committed(at(jobDead, 0))
	if n >= len(letters) {
		g.t.Fatalf("there is no letter %d of %d", n, len(letters))
	}
	l := letters[n]
	r := kafka.Record{Key: l.Key, Value: l.Value, Timestamp: time.Now().UnixMilli(), Headers: deadletter.Redriven(l.Headers)}
	if discard {
		r.Value, r.Headers = nil, deadletter.Released(l.Headers)
	}
	g.cluster.Produce(at(jobRedrive, 0), r)
}

// failing is a node that fails of the values that are bad, at each call.
type failing struct {
	calls calls
	mu    sync.Mutex
	bad   map[string]bool
	tries map[string][]int
	keys  map[string]bool // idempotency keys of bad values
}

func newFailing(bad ...string) *failing {
	f := &failing{calls: calls{times: map[string][]time.Time{}}, bad: map[string]bool{}, tries: map[string][]int{}, keys: map[string]bool{}}
	for _, value := range bad {
		f.bad[value] = true
	}
	return f
}

// set says whether a value is bad.
func (f *failing) set(value string, bad bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad[value] = bad
}

// numbers are the numbers of a value's tries.
func (f *failing) numbers(value string) []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tries[value])
}

// distinct is how many idempotency keys the bad values had.
func (f *failing) distinct() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys)
}

func (f *failing) node(j *job, ctx topology.Context, key, value string) error {
	f.calls.add(value)
	f.mu.Lock()
	f.tries[value] = append(f.tries[value], ctx.Record().Attempt)
	bad := f.bad[value]
	if bad {
		f.keys[ctx.IdempotencyKey()] = true
	}
	f.mu.Unlock()
	switch {
	case bad:
		return fmt.Errorf("%s is bad", value)
	case value == "rejected":
		return topology.Reject(errors.New("told to"))
	}
	return remember(j, ctx, key, value)
}

// parks runs a job that fails as it is told, with RetryLater(1m, 10m), on one partition, whose redrive topic is there.
func parks(t *testing.T, parts []topology.Part, f func(g *rig, n *failing)) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		n := newFailing()
		g.topic(jobRedrive, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
		g.job.parts = append([]topology.Part{
			topology.Retry(topology.Backoff{Attempts: 2, First: time.Second, Jitter: -1}), topology.RetryLater(time.Minute, 10*time.Minute)}, parts...)
		g.job.node = n.node
		f(g, n)
	})
}

// retries are a failing record's tries.
func retries(times []time.Time) (waits []string) {
	for i := 1; i < len(times); i++ {
		waits = append(waits, times[i].Sub(times[i-1]).Round(time.Second).String())
	}
	return waits
}

// TestARecordIsTriedAgainLater: a record whose tries are used up waits in the topic of each delay in turn, and has all its tries after
// each; others go on meanwhile. It knows how often it was tried and when it failed first, its effects outside are the same, and so
// is its time. In the topic it has the time of its failure, or the topic's retention would delete it for its age.
//
// Mutation: a delayed record with the timestamp of its record.
func TestARecordIsTriedAgainLater(t *testing.T) {
	parks(t, []topology.Part{topology.Parking(false)}, func(g *rig, n *failing) {
		n.set("x", true)
		node := g.job.node
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "x" {
				if at := ctx.Time().UnixMilli(); at != 1000 {
					t.Errorf("the record's time is %d", at)
				}
			}
			return node(j, ctx, key, value)
		}
		for _, topic := range []string{jobRetry + "1m", jobRetry + "10m"} {
			g.topic(topic, 1, map[string]string{"message.timestamp.type": "CreateTime"})
		}
		g.start()
		began := time.Now()
		g.send(0, "a x", "a 1", "b 1")
		time.Sleep(30 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 1")
		if lag := g.inst.Stats().Lag; lag == 0 {
			t.Error("no lag, and one record waits")
		}
		time.Sleep(5 * time.Minute)
		if p := healthOf(g.inst); len(p) > 0 {
			t.Errorf("a delay is a problem: %q", p)
		}
		time.Sleep(10 * time.Minute)
		for _, topic := range []string{jobRetry + "1m", jobRetry + "10m"} {
			if r := g.cluster.Committed(at(topic, 0)); len(r) != 1 || r[0].Timestamp < began.UnixMilli() {
				t.Errorf("in %s is %+v", topic, r)
			}
		}
		if waits := retries(n.calls.of("x")); !slices.Equal(waits, []string{"1s", "1m0s", "1s", "10m0s", "1s"}) {
			t.Errorf("tries are %q apart", waits)
		}
		if !slices.Equal(n.numbers("x"), []int{1, 2, 3, 4, 5, 6}) {
			t.Errorf("tries are numbered %v", n.numbers("x"))
		}
		if n := n.distinct(); n != 1 {
			t.Errorf("%d idempotency keys", n)
		}
		g.counted(2, 0, 0, 1)
		letters := g.cluster.Committed(at(jobDead, 0))
		if len(letters) != 1 {
			t.Fatalf("%d letters", len(letters))
		}
		l, err := deadletter.Read(letters[0].Headers)
		if err != nil || l.Attempts != 6 || l.Failures != 3 || l.Position.Topic != jobIn || l.Position.Offset != 0 || l.First != l.Position ||
			l.FirstAt-began.UnixMilli() > 2000 || l.Timestamp != 1000 || l.Parks != "" {
			t.Errorf("the letter says %+v, %v", l, err)
		}
		if lag := g.inst.Stats().Lag; lag != 0 {
			t.Errorf("lag %d at the end", lag)
		}
		if n := g.metric("weir_delayed_total"); n != 2 {
			t.Errorf("weir_delayed_total is %v", n)
		}
		g.redrive(0, false) // it begins again, with the first delay
		n.set("x", false)
		time.Sleep(10 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 1", "a x")
	})
}

// TestTheOrderOfAKeyHolds: while a record is delayed or a dead letter, later ones of its key wait, and follow in order when it has
// passed, or was discarded. One of these that fails is the next to be waited for. Other keys go on, and so does a key whose record is
// rejected.
func TestTheOrderOfAKeyHolds(t *testing.T) {
	t.Run("delayed", func(t *testing.T) {
		parks(t, nil, func(g *rig, n *failing) {
			n.set("a1", true)
			g.start()
			g.send(0, "a a1", "a a2", "b b1", "a a3", "a rejected", "a a4")
			time.Sleep(30 * time.Second)
			g.sees(at(jobOut, 0), "b b1")
			g.sees(at(jobDead, 0))
			if keys, records := g.metric("weir_parked_keys"), g.metric("weir_parked_records"); keys != 1 || records != 4 {
				t.Errorf("%v keys and %v records are parked", keys, records)
			}
			n.set("a1", false)
			time.Sleep(time.Minute)
			g.sees(at(jobOut, 0), "b b1", "a a1", "a a2", "a a3", "a a4")
			g.sees(at(jobDead, 0), "a rejected")
			g.send(0, "a a5")
			time.Sleep(time.Second)
			g.sees(at(jobOut, 0), "b b1", "a a1", "a a2", "a a3", "a a4", "a a5")
			if keys, records := g.metric("weir_parked_keys"), g.metric("weir_parked_records"); keys != 0 || records != 0 {
				t.Errorf("%v keys and %v records are parked at the end", keys, records)
			}
			g.counted(6, 0, 0, 1)
		})
	})
	t.Run("rejected", func(t *testing.T) {
		parks(t, nil, func(g *rig, n *failing) {
			g.start()
			g.send(0, "a rejected", "a a1", "a rejected", "a a2")
			time.Sleep(10 * time.Second)
			g.sees(at(jobOut, 0), "a a1", "a a2")
			g.counted(2, 0, 0, 2)
		})
	})
	for _, discard := range []bool{false, true} {
		t.Run(fmt.Sprintf("a dead letter, discarded: %v", discard), func(t *testing.T) {
			parks(t, nil, func(g *rig, n *failing) {
				n.set("a1", true)
				n.set("a3", true)
				g.start()
				g.send(0, "a a1", "a a2", "b b1", "a a3", "a a4")
				time.Sleep(time.Hour)
				g.sees(at(jobOut, 0), "b b1")
				g.sees(at(jobDead, 0), "a a1")
				if parks := header(g.cluster.Committed(at(jobDead, 0))[0], deadletter.HeaderParks); parks != jobParked {
					t.Errorf("the letter says that %q waits for it", parks)
				}
				g.redrive(0, false) // in vain
				time.Sleep(time.Hour)
				g.sees(at(jobOut, 0), "b b1")
				g.sees(at(jobDead, 0), "a a1", "a a1")
				n.set("a1", false)
				g.redrive(1, discard)
				time.Sleep(time.Hour)
				want := []string{"b b1", "a a1", "a a2"}
				if discard {
					want = []string{"b b1", "a a2"}
				}
				g.sees(at(jobOut, 0), want...)
				g.sees(at(jobDead, 0), "a a1", "a a1", "a a3")
				n.set("a3", false)
				g.crash() // and another one goes on, from the changelog
				g.dir = tempDir(t)
				g.start()
				g.send(0, "a a5")
				time.Sleep(time.Minute)
				g.sees(at(jobOut, 0), want...)
				g.redrive(2, discard)
				time.Sleep(time.Minute)
				if !discard {
					want = append(want, "a a3")
				}
				g.sees(at(jobOut, 0), append(want, "a a4", "a a5")...)
				if keys := g.metric("weir_parked_keys"); keys != 0 {
					t.Errorf("%v keys are parked at the end", keys)
				}
				for _, r := range replayedKeys(g.cluster.Committed(at(jobParked, 0))) {
					if r != totalsName {
						t.Errorf("the changelog still holds %q", r)
					}
				}
			})
		})
	}
}

func replayedKeys(records []kafka.Record) (keys []string) {
	for key := range replayed(records) {
		keys = append(keys, key)
	}
	return keys
}

// TestParkingIsOnWhereOrderMatters: with stores and a delay, unless it is switched off; without a delay, or without stores, where it is switched on.
//
// Mutation, seen to fail it: Parks that asks for stores first.
func TestParkingIsOnWhereOrderMatters(t *testing.T) {
	const stateless = "on, no stores"
	for name, c := range map[string]struct {
		parts []topology.Part
		want  []string // after a dead letter of the key
	}{
		"delays":      {[]topology.Part{topology.RetryLater(time.Second)}, nil},
		"off":         {[]topology.Part{topology.RetryLater(time.Second), topology.Parking(false)}, []string{"a a2"}},
		"no delay":    {nil, []string{"a a2"}},
		"on":          {[]topology.Part{topology.Parking(true)}, nil},
		stateless:     {[]topology.Part{topology.Parking(true)}, nil},
		"without key": {[]topology.Part{topology.RetryLater(time.Second)}, []string{"a2"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				n := newFailing("a1")
				g.job.parts, g.job.node = append(c.parts, topology.Retry(topology.Backoff{Attempts: 1})), n.node
				if name == stateless {
					g.stateless()
					emit := g.job.node
					g.job.node = func(j *job, ctx topology.Context, key, value string) error {
						if value == "a1" {
							return errors.New("it fails")
						}
						return emit(j, ctx, key, value)
					}
				}
				g.start()
				if name == "without key" {
					g.cluster.Produce(at(jobIn, 0), kafka.Record{Value: []byte("a1"), Timestamp: 1000}, kafka.Record{Value: []byte("a2"), Timestamp: 1000})
				} else {
					g.send(0, "a a1", "a a2")
				}
				time.Sleep(time.Minute)
				g.sees(at(jobOut, 0), c.want...)
			})
		})
	}
}

// TestARetryTopicThatLosesRecordsIsRefused: a start says which and why.
func TestARetryTopicThatLosesRecordsIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		partitions int32
		config     map[string]string
		reason     string // "" where it is taken
	}{
		"partitions": {1, nil, jobRetry + "1h has 1 partitions, but " + jobIn + " has 2"},
		"compacted":  {2, map[string]string{"cleanup.policy": "compact,delete"}, "cleanup.policy=compact,delete: of the delayed records of a key all but the last"},
		"retention":  {2, map[string]string{"retention.ms": "7200000"}, "retention.ms=7200000, and records wait there for 1h0m0s"},
		"too many":   {3, nil, "recreate " + jobRetry + "1h with as many"},
		"enough":     {2, map[string]string{"retention.ms": "7200001", "cleanup.policy": "delete"}, ""},
		"for ever":   {2, map[string]string{"retention.ms": "-1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				g.job.parts = []topology.Part{topology.RetryLater(time.Hour), topology.Parking(false)}
				g.topic(jobRetry+"1h", c.partitions, c.config)
				if c.reason == "" {
					g.start()
					g.send(0, "a 1")
					time.Sleep(5 * time.Second)
					g.emitted("a 1")
					return
				}
				g.refusedFor(g.run(), c.reason)
			})
		})
	}
}

// TestWhatIsParkedIsBounded: at a record over the limits its partition waits, says so, and goes on when the key does.
func TestWhatIsParkedIsBounded(t *testing.T) {
	for name, limit := range map[string]func(o *Options){
		"records": func(o *Options) { o.ParkedRecords = 3 },
		"bytes":   func(o *Options) { o.ParkedBytes = 2000 },
	} {
		t.Run(name, func(t *testing.T) {
			parks(t, nil, func(g *rig, n *failing) {
				limit(&g.opts)
				n.set("a1", true)
				g.start()
				long := strings.Repeat("x", 900)
				g.send(0, "a a1", "a "+long, "a "+long, "a "+long, "a "+long, "b b1")
				time.Sleep(30 * time.Second)
				g.sees(at(jobOut, 0))
				if kinds := problemsOf(g.inst); !slices.Equal(kinds, []string{ProblemParked}) {
					t.Errorf("problems %q", kinds)
				}
				n.set("a1", false)
				time.Sleep(90 * time.Second)
				g.counted(6, 0, 0, 0)
				if p := healthOf(g.inst); len(p) > 0 {
					t.Errorf("problems at the end: %q", p)
				}
				if out := g.cluster.Committed(at(jobOut, 0)); string(out[0].Value) != "a1" {
					t.Errorf("%q came first", out[0].Value)
				}
			})
		})
	}
}

// TestAParkedRecordIsAsItWas: what is encoded is decoded.
func TestAParkedRecordIsAsItWas(t *testing.T) {
	for _, r := range []kafka.Record{
		{Offset: 1 << 40, Timestamp: -1, Key: []byte{}, Value: nil},
		{Offset: 0, Timestamp: 1 << 41, Key: []byte("k"), Value: []byte{}, Headers: []kafka.Header{{Key: "a"}, {Key: "a", Value: []byte{}}, {Key: "", Value: []byte("v")}}},
	} {
		got, id, err := decodeParked(encodeParked(&r, "topic id"))
		if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", r) || id != "topic id" || err != nil {
			t.Errorf("%#v became %#v, %q, %v", r, got, id, err)
		}
		whole := encodeParked(&r, "topic id")
		for n := range whole {
			if _, _, err := decodeParked(whole[:n]); err == nil {
				t.Errorf("%d bytes of %d are a record", n, len(whole))
			}
		}
	}
}
