package avro_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
	"github.com/weirstream/weir/topology"
)

type price struct {
	Amount   int64  `avro:"amount" json:"amount"`
	Currency string `avro:"currency" json:"currency"`
}

type priced struct {
	ID    string `avro:"id" json:"id"`
	Price price  `avro:"price" json:"price"`
}

// What teams share: a currency, in which a price is, in which orders are.
var (
	currency = registry.Dependency{Text: `{"type":"enum","name":"Currency","namespace":"shop","symbols":["EUR","USD"]}`}
	money    = registry.Dependency{Subject: "money", Uses: []registry.Dependency{currency},
		Text: `{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"amount","type":"long"},{"name":"currency","type":"Currency"}]}`}
	amount = registry.Dependency{Name: "amount.json", Subject: "amount", Text: `{"type":"integer","minimum":0}`}
)

const (
	pricedAvro = `{"type":"record","name":"Priced","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"price","type":"Money"}]}`
	pricedJSON = `{"type":"object","required":["id","price"],"properties":{"id":{"type":"string"},
		"price":{"type":"object","required":["amount"],"properties":{"amount":{"$ref":"amount.json"},"currency":{"type":"string"}}}}}`
)

// A topology reads and writes by schemas that refer to others. Its start registers what they refer to first, each in its own subject, and
// another client that knows no more than the registry reads the values.
//
// Mutations seen to fail it: References that are not parsed with the schema; a Dependency whose Uses are not registered; a Dependency
// registered in the subject of its name where it has a Subject.
func TestATopologyBySchemasThatReferToOthers(t *testing.T) {
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
	if err := wire.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: "order.asked.v1", Partitions: 1, ReplicationFactor: 1}, {Name: "order.priced.v1", Partitions: 1, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	bound := registrytest.Client(t, web.URL)
	in := topology.Stream("order.asked.v1", jsonschema.Bound[priced](bound, registry.Binding{}, pricedJSON, jsonschema.References(amount)))
	out := topology.Stream("order.priced.v1", avro.Bound[priced](bound, registry.Binding{}, avro.Schema(pricedAvro), avro.References(money)))
	run := func(ctx context.Context) error {
		return weir.Run(ctx, topology.Define("prices", topology.Node("price", topology.On(in, func(ctx topology.Context, key string, v priced) error {
			out.Emit(ctx, key, v)
			return nil
		}), topology.Emits(out))), weir.Options{Brokers: broker.Addrs(), StateDir: t.TempDir(), CommitInterval: 10 * time.Millisecond, Settings: map[string]string{"schemas": "register"}})
	}

	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		defer stop() // nobody waits for a topology that has ended
		ended <- run(running)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	producer := jsonschema.Bound[priced](client, registry.Binding{Wait: time.Minute}, pricedJSON, jsonschema.References(amount))
	asks := codecs.Record{Topic: "order.asked.v1"}
	if err := producer.Prepare(codecs.Preparation{Context: t.Context(), Record: asks, Register: true}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := producer.AppendIn(&asks, nil, priced{"a", price{-1, "EUR"}}); err == nil || !strings.Contains(err.Error(), "$.price.amount") {
		t.Errorf("an amount below what the schema that is referred to allows: %v", err)
	}
	value, _, err := producer.AppendIn(&asks, nil, priced{"a", price{7, "EUR"}})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DisableFetchSessions(), kgo.ConsumeTopics("order.priced.v1"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "order.asked.v1", Key: []byte("a"), Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got []*kgo.Record
	for len(got) < 1 {
		fetched := cl.PollFetches(running)
		if err := fetched.Err0(); err != nil {
			t.Fatal(err)
		}
		got = append(got, fetched.Records()...)
	}
	reader := avro.Bound[map[string]any](registrytest.Client(t, web.URL), registry.Binding{Wait: time.Minute}, avro.Schema(pricedAvro), avro.References(money))
	v, err := reader.ParseIn(&codecs.Record{Topic: "order.priced.v1"}, got[0].Value)
	if p, _ := v["price"].(map[string]any); err != nil || v["id"] != "a" || p["amount"] != int64(7) || p["currency"] != "EUR" {
		t.Errorf("%v, %v", v, err)
	}
	if names, err := client.Subjects(t.Context(), false); err != nil || strings.Join(names, " ") != "amount money order.asked.v1-value order.priced.v1-value shop.Currency" {
		t.Errorf("subjects %q, %v", names, err)
	}
	written, err := client.Latest(t.Context(), "order.priced.v1-value")
	if err != nil || len(written.References) != 1 || written.References[0] != (registry.Reference{Name: "shop.Money", Subject: "money", Version: 1}) || len(written.Imports) != 2 {
		t.Errorf("%+v, %v", written, err)
	}
}

// A start in the mode check changes nothing, and refuses a schema that is referred to and breaks readers of its own subject.
//
// Mutation seen to fail it: checked that compares nothing.
func TestASchemaThatIsReferredToIsChecked(t *testing.T) {
	_, client := registrytest.Start(t)
	r := codecs.Record{Topic: "order.priced.v1"}
	prepare := func(register bool, uses registry.Dependency) error {
		return avro.Bound[priced](client, registry.Binding{}, avro.Schema(pricedAvro), avro.References(uses)).
			Prepare(codecs.Preparation{Context: t.Context(), Record: r, Register: register})
	}
	if err := prepare(false, money); !errors.Is(err, codecs.ErrUnregistered) {
		t.Errorf("nothing is registered yet: %v", err)
	}
	if names, err := client.Subjects(t.Context(), true); err != nil || len(names) > 0 {
		t.Errorf("a check has registered %q, %v", names, err)
	}
	if _, _, err := avro.Bound[priced](client, registry.Binding{Wait: time.Minute}, avro.Schema(pricedAvro), avro.References(money)).AppendIn(&r, nil, priced{}); !errors.Is(err, codecs.ErrUnavailable) ||
		!strings.Contains(err.Error(), `shop.Currency, which the schema refers to: the schema is not registered in subject "shop.Currency"`) {
		t.Errorf("a value whose schema refers to one that is not registered: %v", err)
	}
	if err := prepare(true, money); err != nil {
		t.Fatal(err)
	}
	broken := money
	broken.Text = strings.Replace(money.Text, `"long"`, `"string"`, 1)
	for _, register := range []bool{false, true} {
		if err := prepare(register, broken); err == nil || !strings.Contains(err.Error(), `shop.Money, which the schema refers to: the schema of this program is not compatible with subject "money"`) ||
			!strings.Contains(err.Error(), "TYPE_MISMATCH") {
			t.Errorf("register %t, a reference that breaks readers: %v", register, err)
		}
	}
}

// What is wrong with references is the error of every value, and says what to do.
func TestReferencesThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]struct {
		codec *avro.Codec[priced]
		want  string
	}{
		"of a Go type's schema": {avro.Of[priced](avro.References(money)), "with Schema"},
		"that is no schema":     {avro.Of[priced](avro.Schema(pricedAvro), avro.References(registry.Dependency{Text: "{"})), "a schema that is referred to"},
		"none":                  {avro.Of[priced](avro.Schema(pricedAvro)), "Money"},
	} {
		if _, err := c.codec.Append(nil, priced{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
