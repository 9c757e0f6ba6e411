//go:build unix

package command_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/embedded"
)

// framed is a value with the id of its schema before it.
func framed(id uint32, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), value...)
}

// graph is what `topology describe --output json` writes of two topologies, as far as it is read.
const graph = `{"topology":"totals","subgraphs":[{"nodes":[{"name":"count","reads":[{"kind":"stream","name":"order.placed.v1"}],"emits":[]}]}],"streams":[{"name":"order.placed.v1","codec":"avro","subject":"order.placed.v1-value"}]}
{"topology":"shop","subgraphs":[{"nodes":[{"name":"sell","reads":[],"emits":[{"kind":"stream","name":"order.placed.v1"}]}]}],"streams":[{"name":"order.placed.v1","codec":"json","subject":"order.placed.v1-value"}]}
{"topology":"other","subgraphs":[],"streams":[{"name":"x.y.v1","codec":"json","subject":"x.y.v1-value"}]}
`

// impact tells versions, topologies and real records that a schema breaks, and changes nothing; rollback registers an older schema again, under
// its id, and tells what was written with the newer one.
//
// Mutations seen to fail it: byID with one version of an id; Version as the last that has the schema; Impact that knows live versions only; Breaks that does not
// look at records, or at the level.
func TestImpactAndRollbackLookAtRealRecords(t *testing.T) {
	lines := commandsOf(t, "See what a change would break")
	orders(t)
	if err := os.WriteFile("graph.json", []byte(graph), 0o600); err != nil {
		t.Fatal(err)
	}
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	url := "http://" + serve(t, broker.Addrs())
	const subject = "order.placed.v1-value"
	for _, file := range []string{"order.v1.avsc", "order.v2.avsc"} {
		if out, code := execute(t, "schema", "register", subject, file, "--registry", url, "--execute"); code != 0 {
			t.Fatal(out)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DefaultProduceTopic("order.placed.v1"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 2, 1, nil, "order.placed.v1"); err != nil {
		t.Fatal(err)
	}
	for n, value := range [][]byte{
		framed(1, 2, 'a'), framed(1, 2, 'b'), framed(1, 2, 'c'), // of version 1
		framed(2, 2, 'd', 2, '!'), framed(2, 2, 'e', 0), // of version 2
		[]byte("{}"), nil, framed(99, 0), framed(1, 200), // no schema, a tombstone, an unknown id, a value that ends too early
	} {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Partition: int32(n % 2), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	common := []string{"--registry", url, "--brokers", strings.Join(broker.Addrs(), ",")}
	type written struct{ ID, Version, Records, Undecodable int }
	ask := func(want int, args ...string) (result struct {
		Allowed    bool
		Topologies []struct {
			Topology, Role string
			Breaks         []int `json:"breaks_with"`
			Instances      []struct{ Instance, Version string }
		}
		Records struct {
			Read, Undecodable, Unframed, Empty int
			By                                 []written `json:"written_with"`
		}
		Version, ID, Newer int
		Done               bool
	}) {
		t.Helper()
		out, code := execute(t, append(append([]string{"schema"}, args...), append(common, "--json")...)...)
		end := strings.LastIndexByte(out, '}')
		if err := json.Unmarshal([]byte(out[:end+1]), &result); err != nil || code != want {
			t.Fatalf("%v: exit code %d, want %d: %v\n%s", args, code, want, err, out)
		}
		return result
	}
	sound := ask(0, "impact", subject, "order.v2.avsc", "--topologies", "graph.json")
	if r := sound.Records; !sound.Allowed || r.Read != 9 || r.Undecodable != 2 || r.Unframed != 1 || r.Empty != 1 {
		t.Errorf("version 2 once more: %+v", sound)
	}
	broken := ask(0, "impact", subject, "broken.avsc", "--topologies", "graph.json")
	if r := broken.Records; broken.Allowed || r.Undecodable != 7 || len(r.By) != 3 || r.By[1] != (written{1, 1, 4, 4}) || r.By[2] != (written{2, 2, 2, 2}) || r.By[0] != (written{99, 0, 1, 1}) {
		t.Errorf("a broken schema: %+v", broken)
	}
	if u := broken.Topologies; len(u) != 2 || u[0].Topology != "totals" || u[0].Role != "reads" || len(u[0].Breaks) != 2 || u[1].Role != "writes" || len(u[1].Breaks) != 2 {
		t.Errorf("topologies: %+v", u)
	}
	// Running instances: one of a topology that the file has, too, one of another one, and one that is gone.
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact,delete")}, "_weir.status"); err != nil {
		t.Fatal(err)
	}
	described := strings.Split(graph, "\n")
	live := strings.Replace(described[0], "totals", "live", 1)
	for key, of := range map[string]struct {
		interval int
		graph    string
	}{"live/a": {60_000, live}, "live/gone": {1, live}, "shop/b": {60_000, described[1]}} {
		topology, instance, _ := strings.Cut(key, "/")
		value := fmt.Sprintf(`{"version":1,"topology":%q,"instance":%q,"interval_ms":%d,"build":{"version":"v7"},"graph":%s}`, topology, instance, of.interval, of.graph)
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "_weir.status", Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(10 * time.Millisecond) // what is gone may miss three announcements, a millisecond each
	if u := ask(0, "impact", subject, "broken.avsc", "--topologies", "graph.json").Topologies; len(u) != 3 || len(u[0].Instances) != 0 || len(u[1].Instances) != 1 || u[1].Instances[0].Version != "v7" ||
		u[2].Topology != "live" || u[2].Role != "reads" || len(u[2].Instances) != 1 || len(u[2].Breaks) != 2 {
		t.Errorf("with running instances: %+v", u)
	}
	ask(6, "impact", subject, "broken.avsc", "--exit-code")
	ask(6, "impact", subject, "order.v2.avsc", "--exit-code")                      // of two records
	for file, want := range map[string]int{"broken.avsc": 6, "order.v2.avsc": 0} { // by its level alone
		if out, code := execute(t, "schema", "impact", subject, file, "--registry", url, "--exit-code"); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", file, code, want, out)
		}
	}
	if few := ask(0, "impact", subject, "broken.avsc", "--last", "2"); few.Records.Read != 2 {
		t.Errorf("the newest 2 records are %d", few.Records.Read)
	}
	out, code := execute(t, append([]string{"schema", "impact", subject, "broken.avsc", "--topologies", "graph.json"}, common...)...)
	for _, want := range []string{"by the level BACKWARD it is refused", "topology totals reads order.placed.v1 (codec avro): it would break where it has version [1 2]",
		"of the newest 9 records of order.placed.v1 the new schema cannot read 7; 1 name no schema, 1 are empty", "written with version 2: 2, of which 2 cannot be read", "not known: "} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, without %q:\n%s", code, want, out)
		}
	}

	docs := strings.NewReplacer("http://127.0.0.1:8081", url, "localhost:9092", strings.Join(broker.Addrs(), ","))
	for n, want := range []string{"by the level BACKWARD it is allowed", "version 3 would be the schema of version 1, id 1\n  - /fields[note]"} {
		if out, code := execute(t, strings.Fields(docs.Replace(lines[n]))...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, without %q:\n%s", lines[n], code, want, out)
		}
	}

	plan := ask(0, "rollback", subject, "--to", "1")
	if plan.Done || plan.Version != 3 || plan.ID != 1 || plan.Newer != 2 || plan.Records.Undecodable != 2 {
		t.Errorf("the plan: %+v", plan)
	}
	if _, body := get(strings.TrimPrefix(url, "http://"), "/subjects/"+subject+"/versions"); body != "[1,2]" {
		t.Errorf("the plan has changed something: %s", body)
	}
	if done := ask(0, "rollback", subject, "--to", "1", "--execute"); !done.Done || done.Version != 3 || done.ID != 1 {
		t.Errorf("done: %+v", done)
	}
	if _, body := get(strings.TrimPrefix(url, "http://"), "/subjects/"+subject+"/versions/latest"); !strings.Contains(body, `"version":3,"id":1`) {
		t.Errorf("the latest version: %s", body)
	}
	if again := ask(0, "rollback", subject, "--to", "1", "--execute"); again.Done || again.Version != 3 {
		t.Errorf("a second time: %+v", again)
	}
	// Its records are of both versions that have the schema now, and none of them is later than version 2, which comes back.
	for _, verb := range []string{"impact " + subject + " order.v2.avsc", "rollback " + subject + " --to 2"} {
		out, code := execute(t, append(append([]string{"schema"}, strings.Fields(verb)...), common...)...)
		if code != 0 || !strings.Contains(out, "written with version 1 and 3: 4, of which ") || strings.Contains(verb, "rollback") && !strings.Contains(out, "\n0 of the newest records were written with a later version") {
			t.Errorf("%s: exit code %d: %s", verb, code, out)
		}
	}
	if out, code := execute(t, "schema", "register", subject, "order.v2.avsc", "--registry", url, "--execute", "--json"); code != 0 || !strings.Contains(out, `"latest": 3`) {
		t.Errorf("exit code %d: %s", code, out)
	}
	// The level FORWARD forbids that a field goes away that readers need.
	for _, args := range []string{"compat other-value --set NONE --execute", "register other-value order.v1.avsc --execute", "register other-value broken.avsc --execute", "compat other-value --set BACKWARD --execute"} {
		if out, code := execute(t, append([]string{"schema"}, strings.Fields(args+" --registry "+url)...)...); code != 0 {
			t.Fatal(out)
		}
	}
	out, code = execute(t, "schema", "rollback", "other-value", "--to", "1", "--registry", url, "--execute")
	if code != 1 || !strings.Contains(out, "TYPE_MISMATCH") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, body := get(strings.TrimPrefix(url, "http://"), "/subjects/other-value/versions"); body != "[1,2]" {
		t.Errorf("a refused rollback has changed something: %s", body)
	}
}
