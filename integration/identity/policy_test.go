//go:build integration && unix

package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// policyEnv makes the program under test one with another failure policy, and troubleEnv names a file: while it is there, records
// whose value begins with "fails" do. While one of that name with .hold is there, records that say "holds" have their partition wait.
const policyEnv, troubleEnv = "WEIR_TEST_POLICY", "WEIR_TEST_TROUBLE"

// quick has a group go on soon after a kill.
var quick = []string{"--session.timeout.ms", "6000", "--heartbeat.interval.ms", "1000"}

// policed counts and passes on the records of each key, and fails by its policy.
func policed(name, store, policy string) *topology.Topology {
	in := topology.Stream(name+".in.v1", codecs.String())
	out := topology.Stream(name+".out.v1", codecs.String())
	counts := topology.Store(store, codecs.Int64())
	parts := []topology.Part{
		topology.On(in, func(ctx topology.Context, key, value string) error {
			if _, err := os.Stat(os.Getenv(troubleEnv)); err == nil && strings.HasPrefix(value, "fails") {
				if policy == "world" {
					return topology.World(errors.New("the service is down"))
				}
				return errors.New("the service is down")
			}
			if _, err := os.Stat(os.Getenv(troubleEnv) + ".hold"); err == nil && value == "holds" {
				return topology.World(errors.New("the test holds it"))
			}
			n, err := counts.Get(ctx, key)
			if err != nil {
				return err
			}
			counts.Set(ctx, key, n+1)
			out.Emit(ctx, key, fmt.Sprintf("%d %s", n+1, value))
			return nil
		}),
		topology.Uses(counts), topology.Emits(out), topology.Retry(topology.Backoff{Attempts: 2, First: 10 * time.Millisecond}),
	}
	if policy == "later" {
		parts = append(parts, topology.RetryLater(time.Second, 2*time.Second))
	}
	return topology.Define(name, topology.Node("count", parts...))
}

// troubled is a place whose program has a failure policy, runs, and is in trouble until mend is called.
func troubled(t *testing.T, policy string, args ...string) (p *place, l *life, mend func()) {
	p = newPlace(t)
	p.policy, p.trouble = policy, filepath.Join(t.TempDir(), "trouble")
	p.must(os.WriteFile(p.trouble, nil, 0o600))
	l = p.start(append([]string{"--create-topics"}, args...)...)
	l.logs("tasks assigned")
	return p, l, func() { p.must(os.Remove(p.trouble)) }
}

// sendEach writes n records of each of ten keys a partition; those of the numbers given fail.
func (p *place) sendEach(n int, fails ...int) {
	p.t.Helper()
	for i := range n {
		for k := range 10 * int(p.parts) {
			value := fmt.Sprintf("fine %d", i)
			for _, f := range fails {
				if f == i {
					value = fmt.Sprintf("fails %d", i)
				}
			}
			part := int32(k) % p.parts
			p.client.Produce(p.context(), &kgo.Record{Topic: p.in(), Partition: part, Key: fmt.Appendf(nil, "%d-%d", part, k), Value: []byte(value)}, func(_ *kgo.Record, err error) {
				if err != nil {
					p.t.Error(err)
				}
			})
		}
	}
	p.must(p.client.Flush(p.context()))
}

// kill ends a life with SIGKILL.
func (l *life) kill() {
	l.p.t.Helper()
	l.p.must(l.cmd.Process.Kill())
	l.code()
}

// TestTheOrderOfAKeyHoldsWhateverIsKilled: records are delayed, become dead letters, and are redriven, with others of their keys waiting; the
// instance is killed while records are delayed, while they are parked, and while they come back. In the end each is emitted once, in the
// order of its key. So it is with a replay that rebuilds the state while the records fail: it is killed while it delays and parks, is resumed, and instances
// go on with what it has set aside.
//
// Mutations of the replay, each seen to fail it: RunReplay without aside; bound that forgets what was counted before.
func TestTheOrderOfAKeyHoldsWhateverIsKilled(t *testing.T) {
	t.Parallel()
	p, l, mend := troubled(t, "later", quick...)
	const each, keys = 8, 20
	p.sendEach(each, 1, 4)
	p.until("records are delayed for the second time", func() (bool, string) {
		n := len(p.read(p.name + "-" + p.in() + "-retry-2s"))
		return n > 0, fmt.Sprint(n)
	})
	l.kill()
	l = p.start(quick...)
	p.until("a record of each key is a dead letter", func() (bool, string) { n := p.open(); return n == keys, fmt.Sprint(n) })
	p.done()
	l.kill()
	if out := p.read(p.name + ".out.v1"); len(out) != keys {
		t.Fatalf("%d records are emitted, and all but the first of each of %d keys wait", len(out), keys)
	}
	mend()
	l = p.start(quick...)
	fingerprint := p.groups()[0].Fingerprint
	if r, _ := p.dlq("redrive", fingerprint, "--execute"); r.Done != keys {
		t.Fatalf("redriven: %+v", r)
	}
	p.until("some have come back", func() (bool, string) {
		n := len(p.read(p.name + ".out.v1"))
		return n > keys, fmt.Sprint(n)
	})
	l.kill()
	l = p.start(quick...)
	p.until("all are emitted", func() (bool, string) {
		n := len(p.read(p.name + ".out.v1"))
		return n >= each*keys, fmt.Sprint(n)
	})
	for part := range p.parts {
		p.must(p.client.ProduceSync(p.context(), &kgo.Record{Topic: p.in(), Partition: part, Key: fmt.Appendf(nil, "%d-holds", part), Value: []byte("holds")}).FirstErr())
	}
	p.sendEach(1)
	all := (each+1)*keys + int(p.parts)
	p.until("what comes later is, too", func() (bool, string) {
		n := len(p.read(p.name + ".out.v1"))
		return n >= all, fmt.Sprint(n)
	})
	inOrder := func(out []*kgo.Record) {
		t.Helper()
		seen := map[string]int{}
		for _, r := range out {
			i := seen[string(r.Key)]
			want := fmt.Sprintf("%d fine %d", i+1, i%each)
			switch {
			case strings.HasSuffix(string(r.Key), "-holds"):
				want = "1 holds"
			case i == 1 || i == 4:
				want = fmt.Sprintf("%d fails %d", i+1, i)
			}
			if string(r.Value) != want {
				t.Errorf("record %d of key %s is %q, want %q", i, r.Key, r.Value, want)
			}
			seen[string(r.Key)]++
		}
		if len(out) != all || len(seen) != keys+int(p.parts) {
			t.Errorf("%d records of %d keys are emitted, want %d of %d", len(out), len(seen), all, keys+int(p.parts))
		}
	}
	before := p.read(p.name + ".out.v1")
	inOrder(before)
	if n := p.open(); n != 0 {
		t.Errorf("%d letters are open", n)
	}
	p.done()
	l.stop()

	const retry = "-retry-1s"
	delayed := p.read(p.name + "-" + p.in() + retry)
	p.must(os.WriteFile(p.trouble, nil, 0o600), os.WriteFile(p.trouble+".hold", nil, 0o600)) // the replay cannot come to its end
	file := p.file("replay: "+p.name, "from: {topic: "+p.in()+"}", "into: topology", "topology: "+p.name, "state: reset", "rate: 100/s")
	p.killedWhen(file, func(r receipt) bool { return r.Parked > 0 })
	p.must(os.Remove(p.trouble + ".hold"))
	r := p.replayed("resume", file)
	if int(r.Read) != all || r.Replayed != r.Read || r.Delayed != keys || r.Parked != (each-1)*keys || r.Dead_lettered != 0 || r.Filtered != 0 {
		t.Errorf("%+v", r)
	}
	heads := map[string]bool{}
	for _, r := range newer(p.read(p.name+"-"+p.in()+retry), delayed) {
		if string(r.Value) != "fails 1" || heads[string(r.Key)] {
			t.Errorf("%q of key %s is delayed", r.Value, r.Key)
		}
		heads[string(r.Key)] = true
	}
	if n := len(p.read(p.name+".out.v1")) - len(before); len(heads) != keys || n != keys+int(p.parts) {
		t.Errorf("%d keys have a delayed record, and %d records are emitted, want %d and %d", len(heads), n, keys, keys+int(p.parts))
	}
	mend()
	l = p.start(quick...)
	p.until("what the replay has set aside is emitted", func() (bool, string) {
		n := len(p.read(p.name+".out.v1")) - len(before)
		return n >= all, fmt.Sprint(n)
	})
	p.done()
	l.stop()
	inOrder(newer(p.read(p.name+".out.v1"), before))
	if n := p.open(); n != 0 {
		t.Errorf("%d letters are open", n)
	}
}

// newer are the records of a topic after those that were read before, in order.
func newer(all, before []*kgo.Record) (list []*kgo.Record) {
	next := map[int32]int64{}
	for _, r := range before {
		next[r.Partition] = max(next[r.Partition], r.Offset+1)
	}
	for _, r := range all {
		if r.Offset >= next[r.Partition] {
			list = append(list, r)
		}
	}
	return list
}

// TestAPartitionWaitsForADependencyWhateverIsKilled: nothing becomes a dead letter while a dependency is down, also where the instance is
// killed meanwhile, and each record is processed once when it is back.
func TestAPartitionWaitsForADependencyWhateverIsKilled(t *testing.T) {
	t.Parallel()
	p, l, mend := troubled(t, "world", quick...)
	p.sendEach(2, 1)
	l.logs("a partition waits")
	l.kill()
	l = p.start(quick...)
	l.logs("a partition waits")
	if n := len(p.read(p.in() + ".dlq")); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	mend()
	p.until("all are emitted", func() (bool, string) { n := len(p.read(p.name + ".out.v1")); return n >= 40, fmt.Sprint(n) })
	p.done()
	l.stop()
	if n := len(p.read(p.name + ".out.v1")); n != 40 {
		t.Errorf("%d records are emitted, want 40", n)
	}
}

// TestTheLineIsStoppedWhateverIsKilled: where all records of a partition fail in one way, some become dead letters and the others wait,
// and again so many after a kill. When the cause is mended they pass: each record is a letter or emitted, once.
func TestTheLineIsStoppedWhateverIsKilled(t *testing.T) {
	t.Parallel()
	const after = 5
	flag := append([]string{"--stop-line-after", fmt.Sprint(after)}, quick...)
	p, l, mend := troubled(t, "line", flag...)
	waits := func(l *life) {
		p.until("both partitions wait", func() (bool, string) {
			n := strings.Count(l.said(), "a partition waits")
			return n >= 2, fmt.Sprint(n)
		})
	}
	p.sendEach(2, 0, 1)
	for lives := 1; lives <= 2; lives++ {
		waits(l)
		p.until("the letters are committed", func() (bool, string) {
			n := len(p.read(p.in() + ".dlq"))
			return n == lives*after*int(p.parts), fmt.Sprint(n)
		})
		l.kill()
		if lives == 2 {
			mend()
		}
		l = p.start(flag...)
	}
	p.done()
	l.stop()
	ends := map[string]int{}
	for _, topic := range []string{p.in() + ".dlq", p.name + ".out.v1"} {
		for _, r := range p.read(topic) {
			_, value, _ := strings.Cut(string(r.Value), "fails")
			ends[string(r.Key)+value]++
		}
	}
	for what, n := range ends {
		if n != 1 {
			t.Errorf("%s ended %d times", what, n)
		}
	}
	if len(ends) != 40 {
		t.Errorf("%d records ended, want 40", len(ends))
	}
}
