package avro_test

import (
	"testing"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

type linked struct {
	Part struct {
		N int64 `avro:"n"`
	} `avro:"part"`
}

// An id is one schema in one context and another in the next. A codec reads what it wrote whichever its subject is in, with what the schema refers to
// there, and one codec reads topics of several contexts.
//
// Mutations seen to fail it: Find that asks by the id alone; Of without the topic; ByIDOf that keeps by the id alone; imports without the context;
// ByGUID without referenceFormat; schema that looks for what it refers to in the default context.
func TestAnIdIsThatOfItsContext(t *testing.T) {
	_, client := registrytest.Start(t)
	// The default context has other schemas under the ids and the name of the other one's.
	for subject, text := range map[string]string{"part": `{"type":"record","name":"Part","fields":[{"name":"other","type":"string"}]}`, "more": `"bytes"`} {
		if _, err := client.Register(t.Context(), subject, registry.Schema{Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	schema := []avro.Option{avro.Schema(`{"type":"record","name":"linked","fields":[{"name":"part","type":"Part"}]}`),
		avro.References(registry.Dependency{Subject: "part", Text: `{"type":"record","name":"Part","fields":[{"name":"n","type":"long"}]}`})}
	var want linked
	want.Part.N = 7
	record := func(topic string) *codecs.Record { return &codecs.Record{Topic: topic} }
	for _, form := range []registry.Form{registry.InValue, registry.InHeader} {
		codec := avro.Bound[linked](client, registry.Binding{Subject: ":.bb:linked.v1-value", Form: form}, schema...)
		if err := prepare(t, codec, true); err != nil {
			t.Fatal(err)
		}
		value, headers, err := codec.AppendIn(record("a"), nil, want)
		if err != nil {
			t.Fatal(err)
		}
		for name, reader := range map[string]*avro.Codec[linked]{
			"the same codec":       codec,
			"a new one":            avro.Bound[linked](client, registry.Binding{Subject: ":.bb:linked.v1-value"}, schema...),
			"one of another topic": avro.Bound[linked](client, registry.Binding{Subject: ":.bb:other-value"}, schema...),
			"one by the topic":     avro.Bound[linked](client, registry.Binding{}, schema...),
		} {
			r := record("linked.v1")
			r.Headers = headers
			if got, err := reader.ParseIn(r, value); err != nil || got != want {
				t.Errorf("%s, form %d: %+v, %v", name, form, got, err)
			}
		}
	}
	// One codec reads a topic of the default context and one whose subject is in another context, under one id.
	const small, large = `{"type":"record","name":"R","fields":[{"name":"n","type":"int"}]}`, `{"type":"record","name":"R","fields":[{"name":"n","type":"int"},{"name":"m","type":"int"}]}`
	for _, made := range []struct {
		subject, text string
		id            int
	}{{"default-value", small, 3}, {":.cc:one", `"int"`, 1}, {":.cc:two", `"long"`, 2}, {":.cc:only-value", large, 3}} {
		if r, err := client.Register(t.Context(), made.subject, registry.Schema{Text: made.text}); err != nil || r.ID != made.id {
			t.Fatalf("%s: %+v, %v", made.subject, r, err)
		}
	}
	codec := avro.Bound[map[string]any](client, registry.Binding{}, avro.Schema(`{"type":"record","name":"R","fields":[{"name":"n","type":"int"},{"name":"m","type":"int","default":5}]}`))
	for topic, c := range map[string]struct {
		value string
		m     any
	}{"default": {"\x00\x00\x00\x00\x03\x02", int32(5)}, "only": {"\x00\x00\x00\x00\x03\x02\x04", int32(2)}} {
		if got, err := codec.ParseIn(record(topic), []byte(c.value)); err != nil || got["m"] != c.m {
			t.Errorf("topic %s: %v, %v", topic, got, err)
		}
	}
}
