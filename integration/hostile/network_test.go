//go:build unix

package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/kafkatest"
)

// networkKinds strike between the instance and the broker, or the broker itself.
var networkKinds = []Kind{
	{
		Name: "answers cut off", Who: Broker,
		Done: "for 5 s one answer in 20, of any request, ends half-way",
		Must: "requests are repeated; nothing is lost or doubled",
		Try:  weather(5*time.Second, proxy.Rule{Action: proxy.CutAnswer, Probability: 0.05}),
	},
	{
		Name: "requests cut off, answers lost", Who: Broker,
		Done: "for 5 s one request in 20 reaches the broker by half, and one in 20 is done without an answer",
		Must: "requests are repeated, transactions whose end is unknown are settled; nothing is lost or doubled",
		Try: weather(5*time.Second, proxy.Rule{Action: proxy.CutRequest, Probability: 0.05},
			proxy.Rule{Action: proxy.LoseAnswer, Probability: 0.05}),
	},
	{
		Name: "answers late", Who: Broker,
		Done: "for 6 s one answer in three comes up to 2 s late",
		Must: "slower, nothing else",
		Try: weather(6*time.Second, proxy.Rule{
			Action: proxy.Delay, Probability: 0.3, Min: 100 * time.Millisecond, Max: 2 * time.Second,
		}),
	},
	{
		Name: "connections cut", Who: Broker,
		Done: "all connections are closed, 20 times in 4 s",
		Must: "they are made again; nothing is lost or doubled",
		Try: func(t *testing.T, w *world) {
			for range 20 {
				w.proxy.Cut()
				pass(t, 200*time.Millisecond)
			}
		},
	},
	{
		Name: "a broker that takes requests and says nothing", Who: Broker,
		Done: "for 8 s no request is answered",
		Must: "the process stays live and goes on afterwards",
		Try: func(t *testing.T, w *world) {
			w.proxy.Inject(1, proxy.Rule{Action: proxy.Silence, Probability: 1})
			w.livesFor(t, 8*time.Second)
			w.proxy.Inject(0)
			w.proxy.Cut()
		},
	},
	{
		Name: "a broker that cannot be reached", Who: Broker,
		Done: "connections are refused for 10 s, longer than the session",
		Must: "the process stays live and goes on afterwards",
		Try: func(t *testing.T, w *world) {
			w.proxy.Refuse(true)
			w.livesFor(t, 10*time.Second)
			w.proxy.Refuse(false)
		},
	},
	{
		Name: "a broker restarted", Who: Broker,
		Done: "the broker is stopped in order and started; every partition has a new leader epoch",
		Must: "the process stays live and goes on afterwards",
		Try: func(t *testing.T, w *world) {
			w.away(t, func(n *kafkatest.Node) error { return n.Restart(t.Context()) })
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a broker killed", Who: Broker,
		Done: "the broker is killed and started again",
		Must: "the process stays live and goes on afterwards",
		Try: func(t *testing.T, w *world) {
			w.away(t, func(n *kafkatest.Node) error { return errors.Join(n.Kill(), n.Start(t.Context())) })
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "a fetch quota", Who: Broker,
		Done: "the instance may fetch 2 KB a second, for 6 s",
		Must: "slower; an empty answer with a throttle time is none that is broken",
		Try: func(t *testing.T, w *world) {
			w.quota(t, "consumer_byte_rate", 2000)
			w.livesFor(t, 6*time.Second)
			w.quota(t, "consumer_byte_rate", 0)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a request quota", Who: Broker,
		Done: "the instance's requests may take 1 % of a broker thread, for 6 s",
		Must: "slower, nothing else",
		Try: func(t *testing.T, w *world) {
			w.quota(t, "request_percentage", 1)
			w.livesFor(t, 6*time.Second)
			w.quota(t, "request_percentage", 0)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "flipped bits", Who: Broker,
		Done: "for 5 s a bit is wrong in a record batch of every third answer to a fetch",
		Must: "no wrong record is processed; batches are fetched again",
		Try:  corrupting(5*time.Second, 0.34),
	},
	{
		Name: "nothing but flipped bits", Who: Broker,
		Done: "for 8 s a bit is wrong in a record batch of every answer",
		Must: "the partitions wait and the log says why; the process stays live and goes on afterwards",
		Try:  corrupting(8*time.Second, 1),
	},
	{
		Name: "a produce quota", Who: Broker,
		Done: "the instance may write 20 KB a second, for 10 s, and 3,000 bad records of 2 KB come",
		Must: "transactions get smaller instead of being repeated at their size; nothing is lost or doubled",
		Try: func(t *testing.T, w *world) {
			w.quota(t, "producer_byte_rate", 20_000)
			before, err := w.inst.metrics()
			if err != nil {
				t.Fatal(err)
			}
			w.send(t, repeat(3000, &kgo.Record{Partition: 2, Key: []byte("quota"), Value: bytes.Repeat([]byte("q"), 2000)})...)
			w.livesFor(t, 10*time.Second)
			after, err := w.inst.metrics()
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(settleBound); after.sum("weir_commits_total") == before.sum("weir_commits_total"); {
				if time.Now().After(deadline) {
					t.Fatalf("no transaction was committed under the quota, %v were aborted", after.sum("weir_aborts_total")-before.sum("weir_aborts_total"))
				}
				w.livesFor(t, time.Second)
				if after, err = w.inst.metrics(); err != nil {
					t.Fatal(err)
				}
			}
			w.quota(t, "producer_byte_rate", 0)
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "a broker that stands still", Who: Broker,
		Done: "the broker's process is stopped with SIGSTOP for 30 s: connections stay open, nothing is answered",
		Must: "/livez stays well, and it goes on afterwards; /healthz speaks of a silent broker after 45 s",
		Try: func(t *testing.T, w *world) {
			w.away(t, func(n *kafkatest.Node) error {
				if err := n.Pause(); err != nil {
					return err
				}
				w.livesFor(t, 30*time.Second)
				return n.Continue()
			})
		},
		Within: 3 * time.Minute,
	},
}

// weather lets rules strike for a while, and until every one of them has: how many requests there are depends on how busy the machine is.
func weather(d time.Duration, rules ...proxy.Rule) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		before := w.proxy.Strikes()
		missing := func() string {
			after := w.proxy.Strikes()
			for _, rule := range rules {
				struck := 0
				for s, n := range after {
					if s.Action == rule.Action {
						struck += n - before[s]
					}
				}
				if struck == 0 {
					return rule.Action.String()
				}
			}
			return ""
		}
		w.proxy.Inject(1, rules...)
		w.livesUntil(t, d, func() bool { return missing() == "" })
		w.proxy.Inject(0)
		if never := missing(); never != "" {
			t.Errorf("%s never happened", never)
		}
	}
}

// pass lets time go by while the world does what it does: how long a kind lasts is part of it.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// livesFor lets time go by and demands that the process runs and says that it is live: a restart would not help.
func (w *world) livesFor(t *testing.T, d time.Duration) {
	t.Helper()
	w.livesUntil(t, d, func() bool { return true })
}

// livesUntil is livesFor that goes on, for a while, until something has happened.
func (w *world) livesUntil(t *testing.T, d time.Duration, happened func() bool) {
	t.Helper()
	end := time.Now().Add(d)
	for last := end.Add(settleBound); time.Now().Before(end) || !happened() && time.Now().Before(last); pass(t, 500*time.Millisecond) {
		if !w.inst.Running() {
			t.Fatalf("the instance has ended with exit code %d:\n%s", w.inst.Code, w.inst.tail(10))
		}
		if status, body, err := w.inst.get("/livez"); err == nil && status != 200 {
			t.Fatalf("/livez says %d %s", status, body)
		}
	}
}

// away does something to the broker during which nobody can reach it. What the feed has written just before is under way.
func (w *world) away(t *testing.T, do func(*kafkatest.Node) error) {
	t.Helper()
	w.feed.Pause()
	if err := do(w.cluster.Brokers()[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.feed.ResumeAfresh(); err != nil {
		t.Fatal(err)
	}
}

// quota bounds the instance's user; 0 lifts the bound.
func (w *world) quota(t *testing.T, key string, value float64) {
	t.Helper()
	name := user
	answer, err := w.admin.AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &name}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: key, Value: value, Remove: value == 0}},
	}})
	for _, a := range answer {
		if err == nil {
			err = a.Err
		}
	}
	if err != nil {
		t.Fatalf("quota %s: %v", key, err)
	}
}

// configure sets a topic's setting; "" takes it away.
func (w *world) configure(t *testing.T, topic, key, value string) {
	t.Helper()
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value}
	if value == "" {
		change = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
	}
	answer, err := w.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{change}, topic)
	for _, a := range answer {
		if err == nil {
			err = a.Err
		}
	}
	if err != nil {
		t.Fatalf("set %s of %s: %v", key, topic, err)
	}
	eventually(t, settleBound, fmt.Sprintf("%s=%q of %s", key, value, topic), func(ctx context.Context) (bool, string) {
		described, err := w.admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return false, err.Error()
		}
		for _, c := range described[0].Configs {
			if c.Key == key && (c.MaybeValue() == value || value == "") {
				return true, ""
			}
		}
		return false, fmt.Sprint(described[0].Err)
	})
}

// deleteRecords cuts the input off below the offsets.
func (w *world) deleteRecords(t *testing.T, below []int64) {
	t.Helper()
	var cut kadm.Offsets
	for p, offset := range below {
		cut.Add(kadm.Offset{Topic: names.Input, Partition: int32(p), At: offset})
	}
	answer, err := w.admin.DeleteRecords(t.Context(), cut)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// corrupting lets the proxy make record batches wrong.
func corrupting(d time.Duration, probability float64) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		before := w.proxy.Corrupted()
		w.proxy.Inject(1, proxy.Rule{Action: proxy.Corrupt, Probability: probability, Keys: []proxy.Key{proxy.Fetch}})
		w.livesUntil(t, d, func() bool { return w.proxy.Corrupted() > before })
		w.proxy.Inject(0)
		if w.proxy.Corrupted() == before {
			t.Error("no batch was made wrong")
		}
	}
}
