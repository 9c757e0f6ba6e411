package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/system"
)

// desk is a cluster in which visit-counts has run, and the tool to look at it.
type desk struct {
	t      *testing.T
	addr   string
	client *kgo.Client
	admin  *kadm.Client
}

const (
	deskGroup = "visit-counts"
	deskLog   = "visit-counts-visits-changelog"
)

// emptyDesk is a cluster without topics.
func emptyDesk(t *testing.T, opts ...kgo.Opt) (*desk, *embedded.Broker) {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	d := &desk{t: t, addr: broker.Addrs()[0]}
	d.client, err = kgo.NewClient(append(opts, kgo.SeedBrokers(d.addr))...)
	d.must(err)
	t.Cleanup(d.client.Close)
	d.admin = kadm.NewClient(d.client)
	return d, broker
}

// newDesk has an input with 100 records in each partition, and a changelog whose state has read so far in them; -1 for
// partitions of which it says nothing.
func newDesk(t *testing.T, state ...int64) *desk {
	t.Helper()
	d, _ := emptyDesk(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	d.click(state...)
	return d
}

// fakeDesk is a cluster without topics in whose requests a test may look.
func fakeDesk(t *testing.T) (*desk, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	d := &desk{t: t, addr: cluster.ListenAddrs()[0]}
	d.client, err = kgo.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.SeedBrokers(d.addr))
	d.must(err)
	t.Cleanup(d.client.Close)
	d.admin = kadm.NewClient(d.client)
	return d, cluster
}

func (d *desk) click(state ...int64) {
	d.t.Helper()
	_, err := d.admin.CreateTopics(d.t.Context(), int32(len(state)), 1, nil, clicked.Name(), deskLog)
	d.must(err)
	for p, offset := range state {
		var records []*kgo.Record
		for range 100 {
			records = append(records, &kgo.Record{Topic: clicked.Name(), Partition: int32(p), Value: []byte("x")})
		}
		if offset >= 0 {
			records = append(records, changed(int32(p), offset))
		}
		d.must(d.client.ProduceSync(d.t.Context(), records...).FirstErr())
	}
}

// changed is a record of the changelog whose state has read so far.
func changed(partition int32, offset int64) *kgo.Record {
	said := offsets.Positions{clicked.Name(): {Offset: offset, Epoch: -1, From: offset}}.Encode(offsets.Owner{Topology: sound.Name()})
	return &kgo.Record{Topic: deskLog, Partition: partition, Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: offsets.Header, Value: said}}}
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// commit is an instance's commit with own, and another program's without.
func (d *desk) commit(partition int32, offset int64, own bool) {
	d.t.Helper()
	if own {
		d.commitAs(partition, offset, offsets.Mark{})
	} else {
		d.set(kadm.Offset{Topic: clicked.Name(), Partition: partition, At: offset, LeaderEpoch: -1})
	}
}

func (d *desk) commitAs(partition int32, offset int64, m offsets.Mark) {
	d.t.Helper()
	d.set(kadm.Offset{Topic: clicked.Name(), Partition: partition, At: offset, LeaderEpoch: -1, Metadata: m.String()})
}

func (d *desk) set(o kadm.Offset) {
	d.t.Helper()
	var set kadm.Offsets
	set.Add(o)
	answer, err := d.admin.CommitOffsets(d.t.Context(), deskGroup, set)
	d.must(err)
	d.must(answer.Error())
}

func (d *desk) tool(want int, args ...string) string {
	d.t.Helper()
	out, code := execute(append([]string{"offsets"}, append(args, "--brokers", d.addr)...), sound)
	if code != want {
		d.t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
	}
	return out
}

// committed are the group's offsets with their metadata.
func (d *desk) committed() (at map[int32]int64, metadata map[int32]string) {
	d.t.Helper()
	answer, err := d.admin.FetchOffsets(d.t.Context(), deskGroup)
	d.must(err)
	at, metadata = map[int32]int64{}, map[int32]string{}
	answer.Each(func(o kadm.OffsetResponse) { at[o.Partition], metadata[o.Partition] = o.At, o.Metadata })
	return at, metadata
}

func (d *desk) has(want map[int32]int64) {
	d.t.Helper()
	if at, _ := d.committed(); !maps.Equal(at, want) {
		d.t.Errorf("committed %v, want %v", at, want)
	}
}

// Partitions: 0 was read further than its state by Weir, 1 was set back by another program, 2 was never read, 3 has a state that has
// read nothing, and no offset.
//
// Mutations seen to fail it: show that always exits 0; Record without Metadata, or with the state as committed; a second partition of
// the topic of jobs that is refused, or read; Plan that fails for partition 2.
func TestOffsetsAreShownSetAndSetBack(t *testing.T) {
	d := newDesk(t, 50, 50, -1, 0)
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, map[string]*string{"cleanup.policy": new("compact")}, system.Jobs.Name)
	d.must(err)
	d.commit(0, 70, true)
	d.commit(1, 20, false)
	out := d.tool(exitDisagrees, "show")
	for _, want := range []string{"not one of Weir's", "shop: committed offsets and state disagree in 2 of 4 partitions"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q: %s", want, out)
		}
	}
	out = d.tool(0, "reset", "--to", "state", "--why", "a test", "--execute")
	for _, want := range []string{
		"page.clicked.v1/0 is kept as it is: Weir itself has read up to offset 70, and from offset 50 on no record has changed the state\n",
		"page.clicked.v1/2 is kept as it is: the state does not say how far",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q: %s", want, out)
		}
	}
	d.has(map[int32]int64{0: 70, 1: 50, 3: 0})
	if out := d.tool(0, "show"); strings.Contains(out, "false") {
		t.Error(out)
	}
	_, metadata := d.committed()
	if s, ok := offsets.ParseSet(metadata[1]); !ok || s.Why != "a test" || s.Who == "" || s.Read != -1 {
		t.Errorf("the offset says %q", metadata[1])
	}
	// Back to the start and to the state again: what Weir had read beyond it is remembered.
	d.tool(0, "reset", "--to", "earliest", "--why", "a replay", "--execute")
	d.has(map[int32]int64{0: 0, 1: 0, 2: 0, 3: 0})
	if out := d.tool(0, "show"); !strings.Contains(out, "recorded by ") || !strings.Contains(out, ": a replay\n") || strings.Contains(out, "accepted") {
		t.Errorf("a reset is shown so: %s", out)
	}
	d.tool(0, "reset", "--to", "10", "--partition", "0", "--why", "less of it", "--execute")
	d.tool(0, "reset", "--to", "state", "--why", "a mistake", "--execute")
	d.has(map[int32]int64{0: 70, 1: 50, 2: 0, 3: 0})
	if out := d.tool(0, "show"); strings.Contains(out, "recorded by") {
		t.Errorf("a record is still needed: %s", out)
	}

	var said struct {
		Executed bool
		Changes  []offsets.Change
		Kept     []offsets.Kept
	}
	d.must(json.Unmarshal([]byte(d.tool(0, "reset", "--to", "latest", "--partition", "1", "--why", "w", "--json")), &said))
	if said.Executed || len(said.Changes) != 1 || *said.Changes[0].New != 100 || said.Kept == nil {
		t.Errorf("%+v", said)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.DisableFetchSessions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{system.Jobs.Name: {0: kgo.NewOffset().AtStart()}}))
	d.must(err)
	defer reader.Close()
	var first offsets.Reset
	d.must(json.Unmarshal(reader.PollFetches(t.Context()).Records()[0].Value, &first))
	if first.Partition != 1 || *first.Committed != 20 || *first.Old != 50 || *first.New != 50 || first.Why != "a test" {
		t.Errorf("recorded as %+v", first)
	}
}

// A changelog that is missing, or has another number of partitions, is told: a start is refused for it, and no reset of offsets helps.
// A topology that has processed nothing yet needs none.
//
// Mutations seen to fail it: lost without used, without the case of a missing changelog, or without that of its partitions; Accept that
// takes what is lost; missing with the other way out; change that ends well, or that leaves what is changed aside.
func TestAMissingChangelogIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(d *desk)
		why  string
		way  string // of show
	}{
		{"there", func(d *desk) { d.commit(0, 50, true) }, "", ""},
		{"missing", func(d *desk) { d.commit(0, 50, true); d.drop() }, deskLog + " does not exist", "restore the topic, rebuild the state, or go on without it with shop run --accept-empty-state"},
		{"missing, nothing processed", func(d *desk) { d.drop() }, "", ""},
		{"recreated", func(d *desk) {
			d.commitAs(0, 50, offsets.Mark{Logs: map[string]offsets.Log{"visits": {TopicID: "another", End: 1}}})
		}, "it was deleted and created again", "--accept-empty-state"},
		{"with more partitions", func(d *desk) {
			d.commit(0, 50, true)
			d.drop()
			_, err := d.admin.CreateTopics(d.t.Context(), 3, 1, nil, deskLog)
			d.must(err)
		}, deskLog + " has 3 partitions, and its input 2", "docs/adding-partitions.md tells"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, 50, -1)
			c.do(d)
			if c.why == "" {
				d.tool(0, "show")
				return
			}
			out := d.tool(exitDisagrees, "show", "--json")
			var rows []offsets.Row
			d.must(json.NewDecoder(strings.NewReader(out)).Decode(&rows))
			if len(rows) != 2 || rows[0].Agrees || !strings.Contains(rows[0].Why, c.why) || rows[1].Agrees != (c.name == "recreated") {
				t.Errorf("%+v", rows)
			}
			for _, args := range [][]string{{"accept", "--why", "t", "--execute"}, {"reset", "--to", "state", "--why", "t", "--execute"}} {
				if out := d.tool(exitDisagrees, args...); !strings.Contains(out, c.way) || strings.Contains(out, "nothing to do") || strings.Contains(out, "--help") {
					t.Error(out)
				}
			}
			// An offset that is set for a state that is to be rebuilt is no failure; one beside a changelog that does not fit is.
			want, note := 0, "start once with --accept-empty-state\n"
			if strings.Contains(c.why, "has 3 partitions") {
				want, note = exitDisagrees, c.way
			}
			if out := d.tool(want, "reset", "--to", "earliest", "--why", "t", "--execute"); !strings.Contains(out, note) || !strings.Contains(out, "done: recorded and set in 2 partitions\n") {
				t.Error(out)
			}
		})
	}
}

func (d *desk) drop() {
	d.t.Helper()
	_, err := d.admin.DeleteTopics(d.t.Context(), deskLog)
	d.must(err)
}

// A topic of recorded resets that forgets them is refused by whoever needs to know, with the line that mends it.
//
// Mutations seen to fail it: UnfitError left as it is, in show or in reset.
func TestATopicOfResetsThatForgetsIsRefused(t *testing.T) {
	d := newDesk(t, 50)
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": new("delete")}, system.Jobs.Name)
	d.must(err)
	for _, args := range [][]string{{"show"}, {"accept", "--why", "t"}, {"reset", "--to", "state", "--why", "t"}} {
		if out := d.tool(exitRefused, args...); !strings.Contains(out, "kafka-configs.sh --bootstrap-server "+d.addr+" --alter --entity-type topics --entity-name _weir.jobs --add-config cleanup.policy=compact") {
			t.Error(out)
		}
	}
}

// Whoever forgets the prefix of the environment is reminded of it.
//
// Mutation seen to fail it: the error without its second half.
func TestAnInputThatDoesNotExistMayHaveAPrefix(t *testing.T) {
	d := newDesk(t, 50)
	_, err := d.admin.DeleteTopics(t.Context(), clicked.Name())
	d.must(err)
	if out := d.tool(exitFailure, "show"); !strings.Contains(out, "input topic page.clicked.v1 does not exist") || !strings.Contains(out, "give --topic.prefix") {
		t.Error(out)
	}
	// With one, names are those in the cluster.
	out := d.tool(exitUsage, "accept", "--why", "t", "--topic.prefix", "staging.", "--topic", clicked.Name())
	if !strings.Contains(out, "there is staging.page.clicked.v1") {
		t.Error(out)
	}
}

// What is waited for is said at once.
//
// Mutation seen to fail it: a log that is given errors only.
func TestOffsetsSayWhatTheyWaitFor(t *testing.T) {
	out, code := execute(strings.Fields("offsets show --brokers 127.0.0.1:1 --startup-timeout 300ms"), sound)
	if code != exitFailure || !strings.Contains(out, "no broker answers yet, trying again") || !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// Mutation seen to fail it: reason without TrimSpace.
func TestABlankReasonIsNone(t *testing.T) {
	for _, verb := range []string{"accept", "reset --to state"} {
		args := append(strings.Fields("offsets "+verb+" --brokers 127.0.0.1:1 --why"), " \t")
		if out, code := execute(args, sound); code != exitUsage || !strings.Contains(out, "why?") {
			t.Errorf("%s: exit %d, %s", verb, code, out)
		}
	}
}

// A refused start prints commands that find the cluster as the start did.
//
// Mutation seen to fail it: prepare without Target.
func TestARefusalCallsCommandsAsTheStartWasCalled(t *testing.T) {
	d := newDesk(t, 50)
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, visited.Name(), clicked.Name()+".dlq")
	d.must(err)
	_, err = d.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: new("compact")}}, deskLog)
	d.must(err)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	d.must(os.WriteFile(file, []byte("brokers: "+d.addr+"\nstate-dir: "+t.TempDir()+"\n"), 0o600))
	out, code := execute([]string{"run", "--config", file, "--session.timeout.ms", "6s"}, sound)
	want := "offsets reset --config " + file + " --topology visit-counts --to state"
	if code != exitRefused || !strings.Contains(out, want) || strings.Contains(out, "--brokers") {
		t.Errorf("exit %d, want %q: %s", code, want, out)
	}
}

// TestWhatWaitsBesideTheInputsIsShown: redrive and retry topics have rows with their lag, and change nothing else: neither the exit code nor what reset and accept choose.
//
// Mutations, each seen to fail it: a graph without Asides; a lag from the start; goesAlong where the group has an offset.
func TestWhatWaitsBesideTheInputsIsShown(t *testing.T) {
	d := newDesk(t, 50, -1)
	redrive := "visit-counts-" + clicked.Name() + "-redrive"
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, redrive)
	d.must(err)
	for range 7 {
		d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: redrive, Partition: 1, Value: []byte("x")}).FirstErr())
	}
	d.commit(0, 50, true)
	d.set(kadm.Offset{Topic: redrive, Partition: 1, At: 4, LeaderEpoch: -1})
	var rows []offsets.Row
	d.data(d.tool(0, "show", "--json"), &rows)
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r.Topic, "/", r.Partition, " ", orNone(r.Committed), " ", r.Lag, " ", r.Agrees))
	}
	want := []string{clicked.Name() + "/0 50 50 true", clicked.Name() + "/1 none 100 true", redrive + "/0 none 0 true", redrive + "/1 4 3 true"}
	if !slices.Equal(got, want) {
		t.Errorf("shown are %q, want %q", got, want)
	}
	if out := d.tool(0, "reset", "--to", "earliest", "--why", "x"); strings.Contains(out, redrive) {
		t.Error(out)
	}
}

// An instance that works may commit while the offsets are looked at: its state is read after the offsets then, and nothing has gone back. What really disagrees is shown all
// the same.
//
// Mutations, each seen to fail it: Show that does not ask again; that asks again and judges by the first answer; that takes every refused row for one that agrees.
func TestOffsetsBesideAnInstanceThatCommitsAgree(t *testing.T) {
	d, cluster := fakeDesk(t)
	d.click(50, 50)
	d.commit(0, 50, true)
	d.commit(1, 40, true) // it went back
	var once atomic.Bool
	cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if once.Swap(true) { // what the test asks comes here too
			return nil, nil, false
		}
		cluster.SleepControl(func() {
			d.must(d.client.ProduceSync(t.Context(), changed(0, 60)).FirstErr())
			d.commit(0, 60, true)
		})
		return nil, nil, false
	})
	var rows []offsets.Row
	d.data(d.tool(exitDisagrees, "show", "--json"), &rows)
	if !once.Load() || len(rows) != 2 || !rows[0].Agrees || *rows[0].Committed != 60 || *rows[0].State != 60 || rows[1].Agrees || rows[1].Mend != offsets.MendOffsets {
		t.Errorf("%+v", rows)
	}
}
