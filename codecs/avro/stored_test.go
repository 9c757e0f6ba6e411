package avro_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

// What was written with a schema that another registry took is read: with names that Weir's libraries do not take, and with defaults that are none.
//
// Mutations seen to fail it: resolved that reads the writer's schema as a new one.
func TestWhatWasWrittenWithAnOddSchemaIsRead(t *testing.T) {
	_, client := registrytest.Start(t)
	type detail struct {
		N int32 `avro:"n"`
	}
	type envelope struct {
		A      int32  `avro:"a"`
		Detail detail `avro:"detail"`
		Op     string `avro:"op"`
		Extra  string `avro:"extra"`
	}
	codec := avro.Bound[envelope](client, registry.Binding{}, avro.Schema(`{"type":"record","name":"Envelope","fields":[{"name":"a","type":"int"},
		{"name":"detail","type":{"type":"record","name":"Detail","fields":[{"name":"n","type":"int"}]}},
		{"name":"op","type":{"type":"enum","name":"Op","symbols":["NONE","C"],"default":"NONE"}},{"name":"extra","type":"string","default":"x"}]}`))
	for n, text := range []string{
		`{"type":"record","name":"Envelope","namespace":"abc-123.inv","fields":[{"name":"a","type":"int"},{"name":"detail","type":{"type":"record","name":"Detail","fields":[{"name":"n","type":"int","default":5}]}},
			{"name":"op","type":{"type":"enum","name":"Op","symbols":["C-D","C"]},"default":null}]}`,
		`{"type":"record","name":"example.1.0.Envelope","fields":[{"name":"a","type":"int","default":"none"},{"name":"detail","type":{"type":"record","name":"Detail","fields":[{"name":"n","type":"int"}]}},
			{"name":"op","type":{"type":"enum","name":"Op","symbols":["C-D","C"]}}]}`,
	} {
		id := 900_001 + n
		registrytest.Imported(t, client, registry.Registered{Schema: registry.Schema{Type: registry.Avro, Text: text}, ID: id})
		for symbol, want := range []string{"NONE", "C"} {
			value := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), 2, 14, byte(2*symbol))
			got, err := codec.ParseIn(&codecs.Record{Topic: "inv.env.v1", Time: time.Now().Add(-time.Hour)}, value)
			if err != nil || got != (envelope{1, detail{7}, want, "x"}) {
				t.Errorf("%s: %+v, %v", text, got, err)
			}
		}
	}
}
