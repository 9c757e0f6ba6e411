package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// parks has records of a key wait for one that is "bad".
func parks() *topology.Topology {
	in, out, store := topology.Stream("item.seen.v1", codecs.String()), topology.Stream("item.kept.v1", codecs.String()), topology.Store("items", codecs.String())
	return topology.Define("parks", topology.Node("keep", topology.On(in, func(ctx topology.Context, key, v string) error {
		if v == "bad" {
			return errors.New("it is bad")
		}
		store.Set(ctx, key, v)
		out.Emit(ctx, key, v)
		return nil
	}), topology.Uses(store), topology.Emits(out), topology.Retry(topology.Backoff{Attempts: 1}), topology.Parking(true)))
}

// parking runs the topology until as many records were kept.
func (d *desk) parking(kept int64) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	root := New("parks", parks())
	root.SetOut(os.Stderr)
	root.SetErr(os.Stderr)
	done := make(chan error, 1)
	go func() {
		done <- Execute(ctx, root, []string{"run", "--brokers", d.addr, "--create-topics", "--state-dir", "state", "--commit-interval", "20ms", "--log-level", "error", "--stop-line-after", "0"})
	}()
	for until := time.Now().Add(time.Minute); ; {
		lag, err := d.admin.Lag(ctx, "parks")
		left := int64(-1)
		if l, ok := lag["parks"]; err == nil && ok && l.Error() == nil {
			left = l.Lag.Total()
		}
		if ends, err := d.admin.ListCommittedOffsets(ctx, "item.kept.v1"); err == nil && left == 0 {
			n := int64(0)
			ends.Each(func(o kadm.ListedOffset) { n += max(0, o.Offset) })
			if values := d.kept(); int64(len(values)) >= kept && n > 0 {
				break
			}
		}
		if time.Now().After(until) {
			d.t.Fatalf("kept: %v, lag %d", d.kept(), left)
		}
		select {
		case err := <-done:
			d.t.Fatal("the instance has ended: ", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	d.must(<-done)
}

// kept are the values of the output.
func (d *desk) kept() (values []string) {
	for _, r := range (&shop{desk: d}).read("item.kept.v1") {
		values = append(values, string(r.Key)+"="+string(r.Value))
	}
	return values
}

// A key whose letter the retention has removed is seen, and released, and its records follow in their order. Others are left alone.
//
// Mutations, each seen to fail it: a head that is not looked for among the letters; a release without the place of the head; a key of another state that is released; a trial that
// does not count what waits.
func TestAKeyWhoseLetterIsGoneIsReleased(t *testing.T) {
	d := newDesk(t, -1)
	t.Chdir(t.TempDir())
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "item.seen.v1")
	d.must(err)
	var records []*kgo.Record
	for _, kv := range [][2]string{{"a", "bad"}, {"a", "1"}, {"c", "0"}, {"a", "2"}} {
		records = append(records, &kgo.Record{Topic: "item.seen.v1", Key: []byte(kv[0]), Value: []byte(kv[1])})
	}
	d.must(d.client.ProduceSync(t.Context(), records...).FirstErr())
	d.parking(1)
	run := func(code int, args ...string) string {
		t.Helper()
		out, got := execute(append([]string{"dlq", "parked"}, append(args, "--brokers", d.addr)...), parks())
		if got != code {
			t.Fatalf("%v: exit %d: %s", args, got, out)
		}
		return out
	}
	listed := func() string {
		t.Helper()
		var keys []struct {
			Key, State string
			Waiting    int
		}
		d.data(run(0, "list", "--json"), &keys)
		return fmt.Sprint(keys)
	}
	if got := listed(); got != "[{a letter 2}]" {
		t.Fatalf("parked: %s", got)
	}
	again := "replay: again\nfrom: {topic: item.seen.v1}\ninto: topology\ntopology: parks\n"
	d.must(os.WriteFile("again.yaml", []byte(again), 0o600))
	for _, line := range []string{"plan again.yaml", "run again.yaml --state-dir state"} {
		if out, code := execute(append([]string{"replay"}, strings.Fields(line+" --brokers "+d.addr)...), parks()); code != exitRefused || !strings.Contains(out, "keys are parked in") {
			t.Errorf("replay %s: exit %d, %s", line, code, out)
		}
	}
	if out := run(exitFailure, "release", "--all", "--execute"); !strings.Contains(out, "redrive or discard that one") || !strings.Contains(out, "selected 0") {
		t.Errorf("with its letter: %s", out)
	}
	if out, code := execute([]string{"dlq", "try", "--topic", "item.seen.v1.dlq", "--all", "--brokers", d.addr}, parks()); code != 0 || !strings.Contains(out, "\n  2 records of their keys wait for them, and were not tried: ") {
		t.Errorf("tried: exit %d: %s", code, out)
	}
	deleted := kadm.Offsets{}
	deleted.AddOffset("item.seen.v1.dlq", 0, 1, -1)
	_, err = d.admin.DeleteRecords(t.Context(), deleted)
	d.must(err)
	d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: "item.seen.v1", Key: []byte("b"), Value: []byte("bad")}, &kgo.Record{Topic: "item.seen.v1", Key: []byte("b"), Value: []byte("3")}).FirstErr())
	d.parking(1)
	if got := listed(); got != "[{a gone 2} {b letter 1}]" {
		t.Fatalf("without its letter: %s", got)
	}
	if out := run(0, "list"); !strings.Contains(out, "item.seen.v1/0") || !strings.Contains(out, "gone") {
		t.Errorf("in words: %s", out)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"which keys?", []string{"release"}}, {"which keys?", []string{"release", "--all", "--key", "a"}},
	} {
		if out := run(exitUsage, c.args...); !strings.Contains(out, c.want) {
			t.Errorf("%v: %s", c.args, out)
		}
	}
	before := d.everything()
	if out := run(0, "release", "--all"); !strings.Contains(out, "selected 1, done 0; 2 records") {
		t.Errorf("without --execute: %s", out)
	}
	if after := d.everything(); before != after {
		t.Errorf("the cluster held\n%s\nand holds\n%s", before, after)
	}
	if out := run(0, "release", "--key", "a", "--execute"); !strings.Contains(out, "selected 1, done 1") {
		t.Errorf("released: %s", out)
	}
	if got := listed(); got != "[{a underway 2} {b letter 1}]" {
		t.Errorf("after the release: %s", got)
	}
	d.parking(3)
	kept := d.kept()
	if got := listed(); got != "[{b letter 1}]" || len(kept) != 3 || slices.Index(kept, "a=1") > slices.Index(kept, "a=2") || !slices.Contains(kept, "a=1") {
		t.Errorf("parked: %s, kept: %s", got, kept)
	}
	if out, code := execute([]string{"dlq", "parked", "list", "--brokers", d.addr}); code != exitUsage || !strings.Contains(out, "run the program of the topology") {
		t.Errorf("without a topology: %s", out)
	}
}

// What a retry topic still holds of a head that has become a letter since says nothing of where it is.
//
// Mutation, seen to fail it: a head that a retry topic holds is taken for one that is delayed, whatever the state says.
func TestAKeyWhoseLetterIsGoneAfterADelayIsReleased(t *testing.T) {
	d := newDesk(t, -1)
	t.Chdir(t.TempDir())
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "item.seen.v1")
	d.must(err)
	in, out, store := topology.Stream("item.seen.v1", codecs.String()), topology.Stream("item.kept.v1", codecs.String()), topology.Store("items", codecs.String())
	graph := topology.Define("parks", topology.Node("keep", topology.On(in, func(ctx topology.Context, key, v string) error {
		if v == "bad" {
			return errors.New("it is bad")
		}
		out.Emit(ctx, key, v)
		return nil
	}), topology.Uses(store), topology.Emits(out), topology.Retry(topology.Backoff{Attempts: 1}), topology.RetryLater(10*time.Millisecond)))
	d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: "item.seen.v1", Key: []byte("a"), Value: []byte("bad")}, &kgo.Record{Topic: "item.seen.v1", Key: []byte("a"), Value: []byte("1")}).FirstErr())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	root := New("parks", graph)
	root.SetOut(os.Stderr)
	root.SetErr(os.Stderr)
	done := make(chan error, 1)
	go func() {
		done <- Execute(ctx, root, []string{"run", "--brokers", d.addr, "--create-topics", "--state-dir", "state", "--commit-interval", "20ms", "--log-level", "error", "--stop-line-after", "0"})
	}()
	state := func() string {
		out, _ := execute([]string{"dlq", "parked", "list", "--json", "--brokers", d.addr}, graph)
		var keys []struct{ Key, State string }
		d.data(out, &keys)
		return fmt.Sprint(keys)
	}
	for until := time.Now().Add(time.Minute); state() != "[{a letter}]"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("no letter: ", state())
		}
	}
	deleted := kadm.Offsets{}
	deleted.AddOffset("item.seen.v1.dlq", 0, 1, -1)
	_, err = d.admin.DeleteRecords(t.Context(), deleted)
	d.must(err)
	if got := state(); got != "[{a gone}]" {
		t.Errorf("without its letter: %s", got)
	}
	if out, _ := execute([]string{"dlq", "parked", "release", "--all", "--execute", "--brokers", d.addr}, graph); !strings.Contains(out, "selected 1, done 1") {
		t.Errorf("released: %s", out)
	}
	cancel()
	d.must(<-done)
}

// A key waits for a record in the topic of a delay that the build at hand does not have: it is not released, and no replay goes over it.
//
// Mutations, each seen to fail it: heads that looks at the plan's own topics; a replay that does.
func TestAKeyBehindAFormerDelayIsNotReleased(t *testing.T) {
	for _, parking := range []bool{true, false} {
		t.Run(fmt.Sprint("parking ", parking), func(t *testing.T) {
			d := newDesk(t, -1)
			t.Chdir(t.TempDir())
			_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "item.seen.v1")
			d.must(err)
			d.must(os.WriteFile("again.yaml", []byte("replay: again\nfrom: {topic: item.seen.v1}\ninto: topology\ntopology: parks\nstate: reset\n"), 0o600))
			graph := func(delay time.Duration) *topology.Topology {
				in, store := topology.Stream("item.seen.v1", codecs.String()), topology.Store("items", codecs.String())
				return topology.Define("parks", topology.Node("keep", topology.On(in, func(ctx topology.Context, key, v string) error {
					if v == "bad" {
						return errors.New("it is bad")
					}
					store.Set(ctx, key, v)
					return nil
				}), topology.Uses(store), topology.Retry(topology.Backoff{Attempts: 1}), topology.RetryLater(delay), topology.Parking(parking)))
			}
			for _, v := range []string{"bad", "1"} {
				d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: "item.seen.v1", Key: []byte("a"), Value: []byte(v)}).FirstErr())
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			root := New("parks", graph(time.Hour))
			root.SetOut(os.Stderr)
			root.SetErr(os.Stderr)
			done := make(chan error, 1)
			go func() {
				done <- Execute(ctx, root, []string{"run", "--brokers", d.addr, "--create-topics", "--state-dir", "state", "--commit-interval", "20ms", "--log-level", "error", "--stop-line-after", "0"})
			}()
			changed := graph(2 * time.Hour)
			ask := func(args ...string) (string, int) { return execute(append(args, "--brokers", d.addr), changed) }
			args, want := []string{"replay", "plan", "again.yaml"}, "parks-item.seen.v1-retry-1h"
			if parking {
				args, want = []string{"dlq", "parked", "list", "--json"}, `"waiting": 1`
			}
			out, code := ask(args...)
			for until := time.Now().Add(time.Minute); !strings.Contains(out, want); out, code = ask(args...) {
				if time.Now().After(until) {
					t.Fatalf("%v: exit %d, without %s: %s", args, code, want, out)
				}
				time.Sleep(50 * time.Millisecond)
			}
			cancel()
			d.must(<-done)
			if !parking {
				if code != exitRefused {
					t.Errorf("exit %d: %s", code, out)
				}
				return
			}
			if out, _ := ask(args...); !strings.Contains(out, `"state": "delayed"`) {
				t.Error(out)
			}
			if out, code := ask("dlq", "parked", "release", "--all", "--execute"); code != exitFailure || !strings.Contains(out, "selected 0") {
				t.Errorf("exit %d: %s", code, out)
			}
		})
	}
}
