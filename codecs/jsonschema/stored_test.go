package jsonschema_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

// A value whose schema this program does not understand, and another registry took, is read as Confluent's clients read it: as what the program
// wants of it. It is no dead letter for its schema.
//
// Mutation seen to fail it: writer that has the error of such a schema.
func TestWhatWasWrittenWithASchemaThatIsNotUnderstoodIsRead(t *testing.T) {
	_, client := registrytest.Start(t)
	codec := jsonschema.Bound[order](client, registry.Binding{}, schema)
	for n, text := range []string{
		`{"type":"object","properties":{"id":{"type":"string","pattern":"(?<y>\\d+)\\k<y>"}}}`,
		`{"$schema":"https://example.com/my-meta","type":"object"}`,
		`{"type":"object","properties":{"id":{"$ref":"#/definitions/gone"}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"amount":{"type":"number","minimum":0,"exclusiveMinimum":true}}}`,
		`{"type":"object","properties":{"id":{"type":"strin"}}}`,
	} {
		id := 910_001 + n
		registrytest.Imported(t, client, registry.Registered{Schema: registry.Schema{Type: registry.JSON, Text: text}, ID: id})
		before := binary.BigEndian.AppendUint32([]byte{0}, uint32(id))
		r := codecs.Record{Topic: "order.placed.v1", Time: time.Now().Add(-time.Hour)}
		if got, err := codec.ParseIn(&r, append(before, `{"id":"a","amount":7}`...)); err != nil || got != (order{"a", 7}) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		for _, wrong := range []string{`{"id":7}`, `{"id":"a"`, `{"id":"a","id":"b"}`} {
			if got, err := codec.ParseIn(&r, append(before, wrong...)); err == nil {
				t.Errorf("%s: %s is read as %+v", text, wrong, got)
			}
		}
	}
}
