//go:build unix

package command_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/kafka"
	schemaserver "github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

// An incompatible change is stopped by the check of files, by the verbs that ask a registry, by the registry, by the gateway where a producer sends the schema, and at the start of a
// topology, and each says the same of it: what is wrong, where, and what would be allowed.
//
// Mutations seen to fail it: byText that does not ask why; the check of files, or the verbs, without Explain; Allowed that does not look at who reads.
func TestEveryDoorGivesTheSameExplanation(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	url := "http://" + serve(t, broker.Addrs())
	client := registrytest.Client(t, url)
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	reader, err := schemaserver.OpenReader(t.Context(), wire, "_schemas", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Close)
	var gateways []*gateway.Gateway
	for _, source := range []registry.Source{client, reader} { // it may have either
		g, err := gateway.New(t.Context(), gateway.Config{Client: wire, Schemas: source, Log: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close(t.Context()) })
		gateways = append(gateways, g)
	}
	for n, c := range []struct {
		kind              registry.Type
		level, old, next  string
		codec             codecs.Prepared
		what, at, allowed string
		reads, written    string // new or old
	}{
		{registry.Avro, "BACKWARD", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`, brokenAvro, avro.Bound[map[string]any](client, registry.Binding{}, avro.Schema(brokenAvro)),
			"the field 'b' is read, was not written, and has no default", "/fields/1", "give the field a default", "new", "old"},
		{registry.Avro, "FORWARD", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"},{"name":"c","type":"int"}]}`, brokenAvro,
			avro.Bound[map[string]any](client, registry.Binding{}, avro.Schema(brokenAvro)), "the field 'c' is read, was not written, and has no default", "/fields/2",
			"leave what is at this path as it was, or have the readers take the new schema first, at a level that asks for no more than BACKWARD", "old", "new"},
		{registry.JSON, "BACKWARD", `{"type":"object","properties":{"a":{"type":"number"}}}`, brokenJSON, jsonschema.Bound[map[string]any](client, registry.Binding{}, brokenJSON),
			"maximum is 5, and there was none", "#/properties/a/maximum", "leave it out: there was none", "new", "old"},
	} {
		topic := fmt.Sprintf("door.opened.v%d", n+1)
		subject := topic + "-value"
		if err := wire.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: 1, ReplicationFactor: 1}}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Register(t.Context(), subject, registry.Schema{Type: c.kind, Text: c.old}); err != nil {
			t.Fatal(err)
		}
		if err := client.SetLevel(t.Context(), subject, registry.Level(c.level)); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		files := map[string]string{"old": filepath.Join(dir, "old"), "new": filepath.Join(dir, "new")}
		for name, text := range map[string]string{"old": c.old, "new": c.next} {
			if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(door, said string, names map[string]string) {
			t.Helper()
			want := fmt.Sprintf("%s at path '%s': %s cannot read what is written with %s; allowed is: %s", c.what, c.at, names[c.reads], names[c.written], c.allowed)
			if !strings.Contains(said, want) {
				t.Errorf("%s says %s\nand not %s", door, said, want)
			}
		}
		said, code := execute(t, "schema", "check", "--type", string(c.kind), "--level", c.level, files["old"], files["new"])
		if code != 1 {
			t.Errorf("the check ends with code %d", code)
		}
		expect("the check of files", said, files)

		names := map[string]string{"old": "version 1", "new": "the new schema"}
		for verb, args := range map[string][]string{"compat": nil, "register": {"--execute"}} {
			said, code := execute(t, append([]string{"schema", verb, subject, files["new"], "--type", string(c.kind), "--registry", url}, args...)...)
			if code != 1 {
				t.Errorf("%s ends with code %d", verb, code)
			}
			expect(verb, said, names)
		}
		status, said := answered(t, url+"/subjects/"+subject+"/versions", "application/json", map[string]any{"schema": c.next, "schemaType": c.kind})
		if status != 409 {
			t.Errorf("the registry answers with status %d", status)
		}
		expect("the registry", said, names)
		for _, g := range gateways {
			web := httptest.NewServer(g)
			kind := map[registry.Type]string{registry.Avro: "avro", registry.JSON: "jsonschema"}[c.kind]
			status, said = answered(t, web.URL+"/topics/"+topic, "application/vnd.kafka."+kind+".v2+json",
				map[string]any{"value_schema": c.next, "records": []any{map[string]any{"value": map[string]any{"a": 1, "b": 1}}}})
			web.Close()
			if status != 422 {
				t.Errorf("the gateway answers with status %d", status)
			}
			expect("the gateway", said, names)
		}
		for _, register := range []bool{false, true} {
			err := c.codec.Prepare(codecs.Preparation{Context: t.Context(), Record: codecs.Record{Topic: topic}, Register: register})
			expect(fmt.Sprintf("a start that registers (%t)", register), fmt.Sprint(err), names)
		}
		if r, err := client.Latest(t.Context(), subject); err != nil || r.Version != 1 {
			t.Errorf("afterwards the latest version is %+v, %v", r, err)
		}
	}
}

const (
	brokenAvro = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`
	brokenJSON = `{"type":"object","properties":{"a":{"type":"number","maximum":5}}}`
)

// answered is the status and the text of the message that is answered.
func answered(t *testing.T, url, kind string, body any) (int, string) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(url, kind, strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Message, Detail string }
	raw, _ := io.ReadAll(res.Body)
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	return res.StatusCode, answer.Message + answer.Detail
}
