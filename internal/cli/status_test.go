package cli

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/system"
)

// starts runs an instance of the program until the function that it returns is called.
func (d *desk) starts(args ...string) (stop func()) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	root := New("shop", sound)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() {
		ended <- Execute(ctx, root, append([]string{"run", "--brokers", d.addr, "--state-dir", d.t.TempDir(), "--create-topics", "--partitions", "2", "--accept-empty-state"}, args...))
	}()
	return func() {
		d.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			d.t.Errorf("the instance ended with %v", err)
		}
	}
}

// until waits for what must come.
func (d *desk) until(what string, is func() bool) {
	d.t.Helper()
	for range 1200 {
		if is() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.t.Fatalf("it did not come: %s", what)
}

// says is what a command of the program prints, which must exit so.
func (d *desk) says(want int, args ...string) string {
	d.t.Helper()
	out, code := execute(append(args, "--brokers", d.addr), sound)
	if code != want {
		d.t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
	}
	return out
}

// TestStatusListsInstances of all programs, those that are gone as such, with all that they say.
//
// Mutations seen to fail it: MarshalJSON of the Announcement alone; Gone that is always false; List that leaves deleted ones; a prefix
// that names has and the instance's topic has not.
func TestStatusListsInstances(t *testing.T) {
	d := newDesk(t, -1, -1)
	if out := d.says(0, "status"); !strings.Contains(out, "no instance") {
		t.Errorf("before any: %s", out)
	}
	stop := d.starts("--instance-id", "shop-0", "--topic.prefix", "test.")
	d.until("an instance with two tasks", func() bool {
		return strings.Contains(d.says(0, "status", "--topic.prefix", "test."), "2 running")
	})
	type listed struct {
		Topology, Instance, State, Group string
		Gone                             bool
		Later                            int `json:"from_a_later_version"`
		Graph                            struct{ Topology string }
		Build                            struct{ Weir string }
	}
	var list []listed
	d.data(d.says(0, "status", "--json", "--topic.prefix", "test."), &list)
	if len(list) != 1 || list[0].Topology != "visit-counts" || list[0].Instance != "shop-0" || list[0].Gone || list[0].Group != "test.visit-counts" || list[0].Graph.Topology != "visit-counts" || list[0].Build.Weir == "" {
		t.Errorf("listed %+v", list)
	}
	if out := d.says(0, "status", "--topic.prefix", "test.", "--topology", "other"); strings.Contains(out, "shop-0") {
		t.Errorf("of another topology: %s", out)
	}
	other, err := json.Marshal(map[string]any{"version": 2, "topology": "other", "instance": "o", "state": "running", "interval_ms": 1, "from_a_later_version": 7})
	d.must(err)
	topic := "test." + system.Status.Name
	d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("other/o"), Value: other},
		&kgo.Record{Topic: topic, Key: []byte("strange"), Value: other}).FirstErr())
	d.until("one that is gone", func() bool {
		out := d.says(0, "status", "--topic.prefix", "test.")
		return strings.Contains(out, "gone") && strings.Contains(out, "1 records")
	})
	d.data(strings.SplitN(d.says(0, "status", "--json", "--topic.prefix", "test."), "\n", 2)[1], &list)
	if len(list) != 2 || list[0].Later != 7 || !list[0].Gone || list[1].Gone {
		t.Errorf("with one of a later version: %+v", list)
	}
	stop()
	if out := d.says(0, "status", "--topic.prefix", "test."); strings.Contains(out, "shop-0") {
		t.Errorf("after its end: %s", out)
	}
}

// TestATopologyIsPausedAndResumed by commands, each of which shows how things are before it does anything. Offsets may be set meanwhile, and
// who did it and why is recorded.
//
// Mutations seen to fail it: Set without the audit; set without f.execute; merged without the fields of before.
func TestATopologyIsPausedAndResumed(t *testing.T) {
	d := newDesk(t, -1, -1)
	_, err := d.admin.DeleteTopics(t.Context(), deskLog)
	d.must(err)
	stop := d.starts("--instance-id", "shop-0", "--group.instance.id", "shop-0")
	defer func() { stop() }()
	running := func() bool { return strings.Contains(d.says(0, "status"), "2 running") }
	d.until("an instance with two tasks", running)
	group := func() int {
		answer, err := d.admin.DescribeGroups(t.Context(), sound.Name())
		d.must(err)
		return len(answer[sound.Name()].Members)
	}
	if out := d.says(0, "topology", "pause", sound.Name()); !strings.Contains(out, "not paused") || !strings.Contains(out, "nothing was changed") || !strings.Contains(out, "1 members") {
		t.Errorf("shown: %s", out)
	}
	if out := d.says(2, "topology", "pause", sound.Name(), "--execute"); !strings.Contains(out, "why?") {
		t.Errorf("without a reason: %s", out)
	}
	if out := d.says(0, "topology", "pause", "vist-counts", "--reason", "x"); !strings.Contains(out, "is the name right?") {
		t.Errorf("another name: %s", out)
	}
	d.says(1, "offsets", "reset", "--to", "10", "--why", "again", "--execute")
	if out := d.says(0, "topology", "pause", sound.Name(), "--reason", "a bad hour", "--execute"); !strings.Contains(out, "is paused") || !strings.Contains(out, "a bad hour") {
		t.Errorf("paused: %s", out)
	}
	if n := group(); n != 0 {
		t.Errorf("the group has %d members", n)
	}
	d.says(0, "offsets", "reset", "--to", "10", "--why", "again", "--execute")
	d.until("it says so", func() bool {
		out := d.says(0, "status")
		return strings.Contains(out, "  paused  ") && strings.Contains(out, "is paused by") && strings.Contains(out, "a bad hour")
	})
	stop() // it holds across restarts
	stop = d.starts("--instance-id", "shop-0")
	d.until("it is paused when it starts", func() bool { return strings.Contains(d.says(0, "status"), "  paused  ") })
	topic := system.Desired.Name
	later := `{"version":1,"topology":"visit-counts","owner":"operator","paused":true,"who":"x","why":"y","at":"2026-01-01T00:00:00Z","from_a_later_version":7}`
	d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("visit-counts/pause/operator"), Value: []byte(later)}).FirstErr())
	if out := d.says(0, "topology", "resume", sound.Name(), "--execute"); !strings.Contains(out, "is not paused") {
		t.Errorf("resumed: %s", out)
	}
	d.until("it goes on", running)
	if all := d.all(topic); len(all) != 3 || !strings.Contains(all[2], "from_a_later_version") {
		t.Errorf("%s holds %q", topic, all)
	}
	if all := strings.Join(d.all(system.Audit.Name), "\n"); strings.Count(all, `"topology pause"`) != 1 || strings.Count(all, `"topology resume"`) != 1 || !strings.Contains(all, "a bad hour") {
		t.Errorf("the audit says %s", all)
	}
}

// all are the values of a topic's first partition, as read-committed readers see them.
func (d *desk) all(topic string) (values []string) {
	d.t.Helper()
	ends, err := d.admin.ListEndOffsets(d.t.Context(), topic)
	d.must(err)
	end, _ := ends.Lookup(topic, 0)
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.DisableFetchSessions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	d.must(err)
	defer reader.Close()
	for at := int64(0); at < end.Offset; {
		fetches := reader.PollFetches(d.t.Context())
		d.must(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if at = r.Offset + 1; !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		})
	}
	return values
}

// A problem is as it was when the instance was last heard of: since when something waits, for instance, was counted then.
//
// Mutation seen to fail it: printStatus that says the cause alone.
func TestProblemsAreAsOfWhenTheyWereSaid(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 1, 0, 0, time.UTC)
	var out strings.Builder
	one := &announced.Announcement{Topology: "t", Instance: "i", Heard: now.Add(-28 * time.Second), Problems: []announced.Problem{{Kind: "service", Cause: "a/0 waits at offset 7 since 2s"}}}
	if err := printStatus(&out, []announced.Listed{{Announcement: one}}, now); err != nil || !strings.HasSuffix(out.String(), "\ni, 28s ago: service: a/0 waits at offset 7 since 2s\n") {
		t.Errorf("%v: %s", err, out.String())
	}
}
