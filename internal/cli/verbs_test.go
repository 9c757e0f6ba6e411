package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// verbs are the command lines of operators, each with what else it needs. FOLDER is a snapshot that is there, FILE a replay.
var verbs = []string{
	"dlq list --topic " + lettersOf,
	"dlq show --topic " + lettersOf,
	"dlq export --file - --topic " + lettersOf,
	"dlq try --all --topic " + lettersOf,
	"dlq redrive --all --execute --topic " + lettersOf,
	"dlq discard --all --execute --topic " + lettersOf,
	"dlq parked list",
	"dlq parked release --all --execute",
	"replay list",
	"replay plan FILE",
	"replay run FILE --state-dir STATE",
	"replay resume FILE --state-dir STATE",
	"replay status FILE",
	"replay stop FILE",
	"state snapshot --folder NEW",
	"state capture --folder FOLDER",
	"state restore --folder FOLDER --why w --execute",
	"offsets show",
	"offsets accept --why w --execute",
	"offsets reset --to earliest --why w --execute",
	"topology pause visit-counts --reason w --execute",
	"topology resume visit-counts --execute",
	"status",
}

// changes says whether a verb writes to the cluster of a ward, where nothing is parked and no job has begun.
func changes(line string) bool {
	return strings.Contains(line, "--execute") && !strings.Contains(line, "parked") && !strings.Contains(line, "accept") || strings.HasPrefix(line, "replay run")
}

// waits is visit-counts whose keys wait for their dead letters.
var waits = topology.Define("visit-counts",
	topology.Node("count", topology.On(clicked, func(topology.Context, string, string) error { return nil }), topology.Uses(visits), topology.Emits(visited), topology.Parking(true)))

// answered is what a command line has printed.
type answered struct {
	out, messages string
	code          int
}

// ask runs a command line with --json.
func ask(ctx context.Context, line string, more ...string) answered {
	var out, messages strings.Builder
	root := New("shop", waits)
	root.SetOut(&out)
	root.SetErr(&messages)
	err := Execute(ctx, root, append(append(strings.Fields(line), "--json"), more...))
	report(&messages, "shop", err)
	return answered{out.String(), messages.String(), ExitCode(err)}
}

// fails checks that a command has failed with a code, and has said why as JSON and as text.
func (a answered) fails(t *testing.T, line string, code int, why string) {
	t.Helper()
	var f failure
	d := json.NewDecoder(strings.NewReader(a.out))
	if err := d.Decode(&f); err != nil || d.More() {
		t.Errorf("%s: %v, not one document of JSON: %q, and %s", line, err, a.out, a.messages)
	}
	if a.code != code || f.ExitCode != code || !strings.Contains(f.Error, why) || !strings.Contains(a.messages, why) {
		t.Errorf("%s: exit %d, want %d and %q: %s, and %s", line, a.code, code, why, a.out, a.messages)
	}
}

// ward is a cluster with ACLs, in which visit-counts has run, with a letter, a snapshot and the file of a replay. Of its users root may do everything, reader
// may read everything, and nobody has no rights.
type ward struct {
	t       *testing.T
	cluster *kfake.Cluster
	replace *strings.Replacer
}

func newWard(t *testing.T, more ...kfake.Opt) *ward {
	t.Setenv("WEIR_SASL_PASSWORD", "pw")
	p, err := waits.Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	topics := []string{clicked.Name(), lettersOf, "order.placed.v1"}
	for _, store := range p.Subgraphs[0].Stores {
		topics = append(topics, p.Changelog(store))
	}
	var reads []kfake.ACL
	for _, kind := range []kmsg.ACLResourceType{kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeCluster} {
		for _, op := range []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationDescribe} {
			reads = append(reads, kfake.ACL{Resource: kind, Name: "*", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
		}
	}
	cluster, err := kfake.NewCluster(append(more, kfake.NumBrokers(1), kfake.EnableACLs(), kfake.EnableSASL(), kfake.Superuser("PLAIN", "root", "pw"), kfake.User("PLAIN", "nobody", "pw"),
		kfake.User("PLAIN", "reader", "pw", reads...), kfake.SeedTopics(1, topics...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: "root", Pass: "pw"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), letter(0, 1, "no customer"), &kgo.Record{Topic: clicked.Name(), Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "replay.yaml")
	if err := os.WriteFile(file, []byte("replay: again\nfrom: {topic: "+clicked.Name()+"}\ninto: topology\ntopology: visit-counts\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &ward{t, cluster, strings.NewReplacer("FOLDER", filepath.Join(dir, "snapshot"), "NEW", filepath.Join(dir, "new"), "STATE", filepath.Join(dir, "state"), "FILE", file)}
	if a := w.ask(t.Context(), "root", "state snapshot --folder FOLDER"); a.code != 0 {
		t.Fatal(a)
	}
	return w
}

func (w *ward) ask(ctx context.Context, user, line string) answered {
	return w.askAt(ctx, w.cluster.ListenAddrs()[0], user, line)
}

func (w *ward) askAt(ctx context.Context, addr, user, line string) answered {
	return ask(ctx, w.replace.Replace(line), "--brokers", addr, "--security.protocol", "SASL_PLAINTEXT", "--sasl.mechanism", "PLAIN", "--sasl.username", user)
}

// Whatever an operator may not do is said with what to allow, whatever interrupts a verb is said to have interrupted it, and with --json standard output is one
// document in either case, as it is where no broker answers and where the command line is wrong.
//
// Mutations, each seen to fail it: Execute that prints no failure; asksForJSON that looks at the flag alone; WithClient without the remedy, or without the
// interruption, or with what the context says; CreateTopics without what to allow; pause with null for no holds.
func TestEveryVerbSaysWhyItFails(t *testing.T) {
	w := newWard(t)
	for _, line := range verbs {
		w.ask(t.Context(), "nobody", line).fails(t, line, exitFailure, "allow this principal to")
		if changes(line) {
			w.ask(t.Context(), "reader", line).fails(t, line, exitFailure, "allow this principal to")
		}
		w.ask(t.Context(), "root", line+" --nonsense").fails(t, line, exitUsage, "unknown flag --nonsense")
		w.askAt(t.Context(), "127.0.0.1:1", "root", line+" --startup-timeout 100ms").fails(t, line, exitFailure, "no broker answered within")
		for _, at := range []int32{3, 7, 11, 16} {
			ctx, cancel := context.WithCancel(t.Context())
			var seen atomic.Int32
			w.cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				if seen.Add(1) == at {
					cancel()
				}
				return nil, nil, false
			})
			a := w.ask(ctx, "root", line)
			cancel()
			var any any
			if d := json.NewDecoder(strings.NewReader(a.out)); d.Decode(&any) != nil || d.More() {
				t.Errorf("%s, interrupted: not one document of JSON: %q", line, a.out)
			}
			if a.code != 0 && (a.code != exitFailure || !strings.Contains(a.messages, ": interrupted") && !strings.Contains(a.messages, "there is no job") ||
				strings.Contains(a.messages, "context canceled")) {
				t.Errorf("%s, interrupted at request %d: exit %d, %s", line, at, a.code, a.messages)
			}
		}
	}
	if a := w.ask(t.Context(), "root", "topology pause visit-counts"); !strings.Contains(a.out, `"holds": []`) {
		t.Errorf("no holds are not an empty list: %s", a.out)
	}
}
