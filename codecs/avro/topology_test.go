package avro_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/replay"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/registry"
	"github.com/weirstream/weir/topology"
)

// customer is a key: of its second version a field has a default, so that old keys are read as new ones.
type customer struct {
	ID   string `avro:"id"`
	Shop string `avro:"shop"`
}

const (
	oldKey = `{"type":"record","name":"customer","fields":[{"name":"id","type":"string"}]}`
	newKey = `{"type":"record","name":"customer","fields":[{"name":"id","type":"string"},{"name":"shop","type":"string","default":"main"}]}`
)

// A topology reads and writes Avro by a registry. Its start registers what it writes and refuses what breaks readers; a key is one key of
// its store, whichever version of its schema it was written with, and on the wire it has a schema; a record of a schema that is not there
// yet waits until it is.
func TestATopologyByARegistry(t *testing.T) {
	web, client := registrytest.Start(t)
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	if err := wire.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: "order.placed.v1", Partitions: 1, ReplicationFactor: 1}, {Name: "order.summed.v1", Partitions: 1, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	graph := func(outSchema string) *topology.Topology {
		bound := registrytest.Client(t, web.URL)
		keys := topology.KeyCodec(avro.Bound[customer](bound, registry.Binding{}, avro.Schema(newKey)))
		in := topology.Stream("order.placed.v1", avro.Bound[order](bound, registry.Binding{}, avro.Schema(olderSchema)), keys)
		out := topology.Stream("order.summed.v1", avro.Bound[order](bound, registry.Binding{Form: registry.InHeader}, avro.Schema(outSchema)), keys)
		sums := topology.Store("sums", codecs.Int64())
		return topology.Define("sums", topology.Node("sum", topology.On(in, func(ctx topology.Context, key string, v order) error {
			sum, err := sums.Get(ctx, key)
			if err != nil {
				return err
			}
			sum += int64(v.Amount)
			sums.Set(ctx, key, sum)
			out.Emit(ctx, key, order{v.ID, int32(sum)})
			return nil
		}), topology.Uses(sums), topology.Emits(out)))
	}
	run := func(ctx context.Context, t *testing.T, schemas, outSchema string) error {
		return weir.Run(ctx, graph(outSchema), weir.Options{Brokers: broker.Addrs(), StateDir: t.TempDir(), CommitInterval: 10 * time.Millisecond, Settings: map[string]string{"schemas": schemas}})
	}

	if _, err := client.Register(t.Context(), "order.summed.v1-value", registry.Schema{Text: olderSchema}); err != nil {
		t.Fatal(err)
	}
	for _, schemas := range []string{"check", "register"} {
		err := run(t.Context(), t, schemas, brokenOne)
		if err == nil || !strings.Contains(err.Error(), "topic order.summed.v1: the schema of this program is not compatible") || !strings.Contains(err.Error(), "READER_FIELD_MISSING_DEFAULT_VALUE") {
			t.Fatalf("schemas %s: %v", schemas, err)
		}
	}

	// The producer's schemas: two versions of the key, and of the value one that comes later.
	register := func(subject, text string) int {
		t.Helper()
		made, err := client.Register(t.Context(), subject, registry.Schema{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	oldID, newID := register("order.placed.v1-key", oldKey), register("order.placed.v1-key", newKey)
	valueID := register("order.placed.v1-value", olderSchema)
	framed := func(id int, data string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), data...)
	}
	late := strings.Replace(newerSchema, `"long"`, `"int"`, 1)
	var lateID int

	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(running, t, "register", olderSchema) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DisableFetchSessions(), kgo.ConsumeTopics("order.summed.v1"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	send := func(key, value []byte) {
		t.Helper()
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "order.placed.v1", Key: key, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var got []*kgo.Record
	reads := func(n int) {
		t.Helper()
		for len(got) < n {
			fetched := cl.PollFetches(t.Context())
			if err := fetched.Err0(); err != nil {
				t.Fatal(err)
			}
			got = append(got, fetched.Records()...)
		}
	}
	send(framed(oldID, "\x02a"), framed(valueID, "\x02x\x06"))
	send(framed(newID, "\x02a\x08main"), framed(valueID, "\x02y\x08"))
	reads(2)
	back := avro.Bound[order](client, registry.Binding{}, avro.Schema(olderSchema))
	for i, want := range []order{{"x", 3}, {"y", 7}} {
		r := codecs.Record{Topic: "order.summed.v1"}
		for _, h := range got[i].Headers {
			r.Headers = append(r.Headers, codecs.Header{Key: h.Key, Value: h.Value})
		}
		if v, err := back.ParseIn(&r, got[i].Value); err != nil || v != want {
			t.Errorf("%+v, %v, want %+v", v, err, want)
		}
		if key, err := avro.Bound[customer](client, registry.Binding{}, avro.Schema(newKey)).ParseIn(&codecs.Record{Key: true}, got[i].Key); err != nil || key != (customer{"a", "main"}) || got[i].Key[0] != 0 {
			t.Errorf("key %x: %+v, %v", got[i].Key, key, err)
		}
	}
	if names, err := client.Subjects(t.Context(), false); err != nil || strings.Join(names, " ") != "order.placed.v1-key order.placed.v1-value order.summed.v1-key order.summed.v1-value" {
		t.Errorf("subjects %q, %v", names, err)
	}
	for id := 1; ; id++ { // the next id that there is not
		if _, err := client.ByID(t.Context(), id); err != nil {
			lateID = id
			break
		}
	}
	send(framed(newID, "\x02a\x08main"), framed(lateID, "\x02z\x02\x00"))
	if id := register("order.placed.v1-value", late); id != lateID {
		t.Fatalf("the late schema has the id %d, and %d is waited for", id, lateID)
	}
	reads(3)
	if v, err := back.ParseIn(&codecs.Record{Headers: []codecs.Header{{Key: got[2].Headers[0].Key, Value: got[2].Headers[0].Value}}}, got[2].Value); err != nil || v != (order{"z", 8}) {
		t.Errorf("%+v, %v", v, err)
	}

	// A shadow writes what production has written, by the same schemas, and registers none.
	names, err := client.Subjects(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	tool := &replay.Tool{Client: wire, Options: processors.Options{Schemas: processors.SchemasRegister},
		Topology: func(_ string, names plan.Names) (*plan.Plan, error) { return graph(olderSchema).Plan(names) }}
	job := filepath.Join(t.TempDir(), "shadow.yaml")
	if err := os.WriteFile(job, []byte("replay: shadow\nfrom: {topic: order.placed.v1}\ninto: shadow\ntopology: sums\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := replay.ReadFile(job)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := tool.Run(t.Context(), j, replay.RunOptions{}); err != nil || r.State != replay.Done || r.Read != 3 || r.DownstreamUnchanged == nil || !*r.DownstreamUnchanged {
		t.Errorf("the shadow: %+v, %v", r, err)
	}
	if after, err := client.Subjects(t.Context(), false); err != nil || !slices.Equal(after, names) {
		t.Errorf("subjects %q became %q, %v", names, after, err)
	}
}

// assigned is told when an instance has partitions: its start is done.
type assigned chan struct{}

func (a assigned) OnRebalanced(processors.Rebalanced) { a <- struct{}{} }

// A start that only checks schemas says which topics it will not write to, and goes on: somebody is to register them. Of what is read nothing is
// missing, and with what is registered nothing is said.
//
// Mutations, each seen to fail it: prepare without ErrUnregistered; a warning for what is read too.
func TestAStartSaysWhichSchemasAreNotRegistered(t *testing.T) {
	web, _ := registrytest.Start(t)
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	for _, c := range []struct{ schemas, want string }{
		{"check", `order.summed.v1 the schema is not registered in subject "order.summed.v1-value": register it (weir schema register), or start once with --schemas register`},
		{"register", ""},
		{"check", ""},
	} {
		core, logs := observer.New(zap.WarnLevel)
		bound := registrytest.Client(t, web.URL)
		in := topology.Stream("order.placed.v1", avro.Bound[order](bound, registry.Binding{}, avro.Schema(olderSchema)))
		out := topology.Stream("order.summed.v1", avro.Bound[order](bound, registry.Binding{}, avro.Schema(olderSchema)))
		graph := topology.Define("sums", topology.Node("sum", topology.On(in, func(ctx topology.Context, key string, v order) error {
			out.Emit(ctx, key, v)
			return nil
		}), topology.Emits(out)))
		ctx, stop := context.WithCancel(t.Context())
		ready := make(chan struct{}, 100)
		ended := make(chan error, 1)
		go func() {
			ended <- weir.Run(ctx, graph, weir.Options{Brokers: broker.Addrs(), CreateTopics: true, Logger: zap.New(core), Settings: map[string]string{"schemas": c.schemas}, Hooks: []processors.Hook{assigned(ready)}})
		}()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		said := []string{}
		for _, l := range logs.FilterMessageSnippet("is not registered").All() {
			said = append(said, fmt.Sprint(l.ContextMap()["topic"], " ", l.ContextMap()["error"]))
		}
		if strings.Join(said, "\n") != c.want {
			t.Errorf("%s: %q, want %q", c.schemas, said, c.want)
		}
	}
}
