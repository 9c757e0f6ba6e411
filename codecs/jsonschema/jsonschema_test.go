package jsonschema_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const schema = `{"title":"Order","type":"object","properties":{"id":{"type":"string"},"amount":{"type":"integer","minimum":1}},"required":["id"],"additionalProperties":false}`

type order struct {
	ID     string `json:"id"`
	Amount int    `json:"amount"`
}

// What the schema does not allow is neither written nor read, and the place is told; the bytes between are plain JSON.
func TestTheSchemaIsEnforced(t *testing.T) {
	_, client := registrytest.Start(t)
	for _, form := range []registry.Form{registry.InValue, registry.InHeader} {
		codec := jsonschema.Bound[order](client, registry.Binding{Form: form}, schema)
		r := codecs.Record{Topic: "order.placed.v1"}
		if err := codec.Prepare(codecs.Preparation{Context: t.Context(), Record: r, Register: true}); err != nil {
			t.Fatal(err)
		}
		value, headers, err := codec.AppendIn(&r, nil, order{"a", 7})
		if err != nil || !strings.HasSuffix(string(value), `{"id":"a","amount":7}`) {
			t.Fatalf("%q, %v", value, err)
		}
		r.Headers = headers
		if got, err := codec.ParseIn(&r, value); err != nil || got != (order{"a", 7}) {
			t.Errorf("%+v, %v", got, err)
		}
		if _, _, err := codec.AppendIn(&r, nil, order{"a", 0}); err == nil || !strings.Contains(err.Error(), "$.amount: minimum: got 0, want 1") {
			t.Errorf("written: %v", err)
		}
		wrong := []byte(strings.Replace(string(value), "7", "0", 1))
		if _, err := codec.ParseIn(&r, wrong); err == nil || !strings.Contains(err.Error(), "$.amount") {
			t.Errorf("read: %v", err)
		}
		// One that reads with a narrower schema reads what was valid when it was written.
		narrow := jsonschema.Bound[order](client, registry.Binding{}, strings.Replace(schema, `"minimum":1`, `"minimum":100`, 1))
		if got, err := narrow.ParseIn(&r, value); err != nil || got.Amount != 7 {
			t.Errorf("of another version: %+v, %v", got, err)
		}
	}
	if _, err := jsonschema.Of[order](schema).Parse([]byte(`{"id":"a","id":"b"}`)); err == nil {
		t.Error("a name that comes twice is read")
	}
	if _, err := jsonschema.Of[order](`{"type":7}`).Append(nil, order{}); err == nil {
		t.Error("a schema that is none writes")
	}
}
