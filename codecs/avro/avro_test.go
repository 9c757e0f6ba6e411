package avro_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/registry"
)

// LevelDB ends this goroutine a moment after a database was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

type order struct {
	ID     string `avro:"id"`
	Amount int32  `avro:"amount"`
}

// newer has a field more, with a default, and a wider amount.
type newer struct {
	ID     string `avro:"id"`
	Amount int64  `avro:"amount"`
	Note   string `avro:"note,default=none"`
}

func prepare(t *testing.T, codec codecs.Prepared, register bool) error {
	t.Helper()
	return codec.Prepare(codecs.Preparation{Context: t.Context(), Record: codecs.Record{Topic: "order.placed.v1"}, Register: register})
}

const (
	olderSchema = `{"type":"record","name":"order","fields":[{"name":"id","type":"string"},{"name":"amount","type":"int"}]}`
	newerSchema = `{"type":"record","name":"order","fields":[{"name":"id","type":"string"},{"name":"amount","type":"long"},{"name":"note","type":"string","default":"none"}]}`
	brokenOne   = `{"type":"record","name":"order","fields":[{"name":"id","type":"string"},{"name":"amount","type":"int"},{"name":"must","type":"int"}]}`
)

// A value is written with the id, or with the GUID in a header, and both are read by who has a newer type: by Avro's resolution.
func TestOfOneVersionReadByAnother(t *testing.T) {
	_, client := registrytest.Start(t)
	for _, form := range []registry.Form{registry.InValue, registry.InHeader} {
		old := avro.Bound[order](client, registry.Binding{Form: form}, avro.Schema(olderSchema))
		if err := prepare(t, old, true); err != nil {
			t.Fatal(err)
		}
		value, headers, err := old.AppendIn(&codecs.Record{Topic: "order.placed.v1"}, nil, order{"a", 7})
		if err != nil {
			t.Fatal(err)
		}
		if (value[0] == 0) != (form == registry.InValue) || len(headers) != map[registry.Form]int{registry.InHeader: 1}[form] {
			t.Errorf("form %d: %x with %d headers", form, value, len(headers))
		}
		reader := avro.Bound[newer](client, registry.Binding{}, avro.Schema(newerSchema))
		got, err := reader.ParseIn(&codecs.Record{Topic: "order.placed.v1", Headers: headers}, value)
		if err != nil || got != (newer{"a", 7, "none"}) {
			t.Errorf("form %d: %+v, %v", form, got, err)
		}
	}
	plain := avro.Of[order]()
	data, err := plain.Append([]byte("x"), order{"a", 7})
	if err != nil || string(data) != "x\x02a\x0e" {
		t.Errorf("%q, %v", data, err)
	}
	if v, err := plain.Parse(data[1:]); err != nil || v != (order{"a", 7}) {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := plain.Parse(append(data[1:], 0)); err == nil {
		t.Error("what follows a value is passed over")
	}
}

// A schema that breaks readers is refused at the start with its reason, registered or checked; one that can be registered passes a check.
func TestAnIncompatibleSchemaIsRefusedAtTheStart(t *testing.T) {
	_, client := registrytest.Start(t)
	if err := prepare(t, avro.Bound[order](client, registry.Binding{}, avro.Schema(olderSchema)), false); !errors.Is(err, codecs.ErrUnregistered) {
		t.Errorf("a subject that is not there: %v", err)
	}
	if err := prepare(t, avro.Bound[order](client, registry.Binding{}, avro.Schema(olderSchema)), true); err != nil {
		t.Fatal(err)
	}
	for _, register := range []bool{true, false} {
		err := prepare(t, avro.Bound[order](client, registry.Binding{}, avro.Schema(brokenOne)), register)
		if err == nil || !strings.Contains(err.Error(), "READER_FIELD_MISSING_DEFAULT_VALUE: ") || !strings.Contains(err.Error(), "/fields/2") {
			t.Errorf("register %t: %v", register, err)
		}
	}
	if err := prepare(t, avro.Bound[newer](client, registry.Binding{}, avro.Schema(newerSchema)), false); !errors.Is(err, codecs.ErrUnregistered) {
		t.Errorf("a compatible one: %v", err)
	}
}

// While the registry is away records of known schemas are read, and others wait; so does one whose schema is not there yet, and becomes
// undecodable when it has not come in time. A value that was written with no registry is undecodable at once. That the registry does not have a path,
// as of GUIDs or where its URL is wrong, says nothing of a schema.
//
// Mutation seen to fail it: the client takes a 404 without a code of its own for ErrNotFound.
func TestWhoWaitsAndWhoFails(t *testing.T) {
	web, client := registrytest.Start(t)
	codec := avro.Bound[order](client, registry.Binding{MissingAfter: time.Minute}, avro.Schema(olderSchema))
	if err := prepare(t, codec, true); err != nil {
		t.Fatal(err)
	}
	now, old := codecs.Record{Topic: "order.placed.v1", Time: time.Now()}, codecs.Record{Topic: "order.placed.v1", Time: time.Now().Add(-time.Hour)}
	value, _, err := codec.AppendIn(&now, nil, order{"a", 7})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec.ParseIn(&now, value); err != nil {
		t.Fatal(err)
	}
	strange := append([]byte{0, 0, 0, 0, 99}, value[5:]...)
	waits := func(what string, r codecs.Record, data []byte, want bool) {
		t.Helper()
		if _, err := codec.ParseIn(&r, data); err == nil || errors.Is(err, codecs.ErrUnavailable) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	waits("a schema that is not there yet", now, strange, true)
	waits("a schema that has not come for an hour", old, strange, false)
	waits("a schema that is not there, at no time", codecs.Record{}, strange, true)
	waits("no schema", now, []byte(`{"id":"a"}`), false)
	strayed, err := registry.New(registry.Config{URLs: []string{web.URL + "/registry"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(strayed.Close)
	guid := codecs.Header{Key: framing.HeaderOf(false), Value: append([]byte{1}, make([]byte, 16)...)}
	for _, r := range []codecs.Record{now, old, {}, {Time: old.Time, Headers: []codecs.Header{guid}}} {
		if _, err := avro.Bound[order](strayed, registry.Binding{MissingAfter: time.Nanosecond}, avro.Schema(olderSchema)).ParseIn(&r, value); !errors.Is(err, codecs.ErrUnavailable) {
			t.Errorf("a registry's URL with a path that it does not have: %v", err)
		}
	}
	web.Close()
	waits("a registry that is away", now, strange, true)
	waits("a registry that is away, and an old record", old, strange, true)
	if v, err := codec.ParseIn(&old, value); err != nil || v.ID != "a" {
		t.Errorf("a known schema while the registry is away: %v", err)
	}
	if _, _, err := codec.AppendIn(&codecs.Record{Topic: "other.topic.v1"}, nil, order{}); !errors.Is(err, codecs.ErrUnavailable) {
		t.Errorf("written to a subject that is not known while the registry is away: %v", err)
	}
}

// A time in the future, or none, lets a record of an unknown schema wait no longer than another, counted from when the schema was looked for.
//
// Mutation seen to fail it: Find by the record's time alone.
func TestARecordOfTheFutureDoesNotWaitForEver(t *testing.T) {
	_, client := registrytest.Start(t)
	const after = 50 * time.Millisecond
	codec := avro.Bound[order](client, registry.Binding{MissingAfter: after, Wait: time.Minute}, avro.Schema(olderSchema))
	strange := []byte{0, 0, 0, 0, 1, 2}
	times := []time.Time{time.Now().Add(100 * 365 * 24 * time.Hour), {}}
	for _, at := range times {
		if _, err := codec.ParseIn(&codecs.Record{Topic: "t.a.v1", Time: at}, strange); !errors.Is(err, codecs.ErrUnavailable) {
			t.Errorf("%v, at first: %v", at, err)
		}
	}
	time.Sleep(2 * after)
	for _, at := range times {
		if _, err := codec.ParseIn(&codecs.Record{Topic: "t.a.v1", Time: at}, strange); err == nil || errors.Is(err, codecs.ErrUnavailable) {
			t.Errorf("%v, later: %v", at, err)
		}
	}
	if err := prepare(t, codec, true); err != nil { // which gives it that id
		t.Fatal(err)
	}
	if _, err := codec.ParseIn(&codecs.Record{Topic: "t.a.v1", Time: times[0]}, []byte{0, 0, 0, 0, 1, 2, 'a', 2}); err != nil {
		t.Errorf("a schema that has come: %v", err)
	}
}

// What a codec has compiled it needs no registry for, whatever else the client was asked for meanwhile.
//
// Mutation seen to fail it: Find before the codec's own schemas.
func TestWhatIsCompiledIsNotAskedForAgain(t *testing.T) {
	web, _ := registrytest.Start(t)
	client, err := registry.New(registry.Config{URLs: []string{web.URL}, CacheSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	codec := avro.Bound[order](client, registry.Binding{Wait: time.Minute}, avro.Schema(olderSchema))
	if err := prepare(t, codec, true); err != nil {
		t.Fatal(err)
	}
	r := codecs.Record{Topic: "order.placed.v1"}
	value, _, err := codec.AppendIn(&r, nil, order{"a", 7})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec.ParseIn(&r, value); err != nil {
		t.Fatal(err)
	}
	other, err := client.Register(t.Context(), "other", registry.Schema{Text: `"string"`})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ByID(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	web.Close()
	if _, err := codec.ParseIn(&r, value); err != nil {
		t.Error(err)
	}
}

// The subject follows the naming, and what the stream or the binding states.
func TestTheSubjectOfASchema(t *testing.T) {
	_, client := registrytest.Start(t)
	for want, c := range map[string]struct {
		with   registry.Binding
		record codecs.Record
	}{
		"t.a.v1-value":      {registry.Binding{}, codecs.Record{Topic: "t.a.v1"}},
		"t.a.v1-key":        {registry.Binding{}, codecs.Record{Topic: "t.a.v1", Key: true}},
		"shop.order":        {registry.Binding{Naming: registry.RecordName}, codecs.Record{Topic: "t.a.v1"}},
		"t.a.v1-shop.order": {registry.Binding{Naming: registry.TopicRecordName}, codecs.Record{Topic: "t.a.v1"}},
		"stated":            {registry.Binding{}, codecs.Record{Topic: "t.a.v1", Subject: "stated"}},
		"bound":             {registry.Binding{Subject: "bound"}, codecs.Record{Topic: "t.a.v1", Subject: "stated"}},
	} {
		schema := strings.Replace(olderSchema, `"name":"order"`, `"name":"order","namespace":"shop"`, 1)
		codec := avro.Bound[order](client, c.with, avro.Schema(schema))
		if err := codec.Prepare(codecs.Preparation{Context: t.Context(), Record: c.record, Register: true}); err != nil {
			t.Fatal(err)
		}
		if found, err := client.Latest(t.Context(), want); err != nil {
			t.Errorf("%s: %v, %v", want, found, err)
		}
	}
}

// A declaration that makes no sense is the error of each value, and no panic.
func TestADeclarationThatMakesNoSense(t *testing.T) {
	for _, codec := range []*avro.Codec[order]{avro.Of[order](avro.Schema(`{"type":"nothing"}`)), avro.Of[order](avro.Schema(`"string"`))} {
		if _, err := codec.Append(nil, order{}); err == nil {
			t.Error("encoded")
		}
		if _, err := codec.Parse([]byte("\x02a")); err == nil {
			t.Error("decoded")
		}
	}
	if _, err := avro.Of[int]().Append(nil, 1); err == nil {
		t.Error("a type that is no record has a schema")
	}
}

// A writer that may write what this program has no place for is read, but for the values that it has no place for.
func TestOneValueThatDoesNotFitLeavesTheOthers(t *testing.T) {
	_, client := registrytest.Start(t)
	made, err := client.Register(t.Context(), "order.placed.v1-value", registry.Schema{Text: strings.Replace(olderSchema, `"type":"string"`, `"type":["null","string"]`, 1)})
	if err != nil {
		t.Fatal(err)
	}
	codec := avro.Bound[order](client, registry.Binding{}, avro.Schema(olderSchema))
	framed := func(data string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(made.ID)), data...)
	}
	r := codecs.Record{Topic: "order.placed.v1"}
	for range 2 {
		if v, err := codec.ParseIn(&r, framed("\x02\x02a\x0e")); err != nil || v != (order{"a", 7}) {
			t.Errorf("%+v, %v", v, err)
		}
		want := fmt.Sprintf("decode Avro: written with schema %d: $.id: null was written, and it is read as string", made.ID)
		if v, err := codec.ParseIn(&r, framed("\x00\x0e")); err == nil || err.Error() != want || errors.Is(err, codecs.ErrUnavailable) || v != (order{}) {
			t.Errorf("%+v, %v\nwant %s", v, err, want)
		}
		if _, err := codec.ParseIn(&r, framed("\x02\x02a\x0e\x00")); err == nil || !strings.HasSuffix(err.Error(), "1 bytes follow the value") {
			t.Error(err)
		}
	}
}
