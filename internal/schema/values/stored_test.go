package values_test

import (
	"testing"

	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// A gateway writes, and commands show, values of a schema that another registry took: with names that are not taken any more, and with the defaults that are some.
//
// Mutations seen to fail it: fill without anyNames; Compile that reads it as a new schema; all defaults taken out.
func TestValuesOfAnOddSchemaAreWrittenAndShown(t *testing.T) {
	s, err := values.Compile(&registry.Registered{ID: 7, Schema: registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"Envelope","namespace":"abc-123.inv","fields":[
		{"name":"op","type":{"type":"enum","name":"Op","symbols":["A-B","C"]},"default":"C"},{"name":"d","type":"abc-123.inv.D"},{"name":"e","type":"abc-123.inv.D"},{"name":"n","type":"int","default":"none"},{"name":"m","type":"int","default":4}]}`},
		Imports: []registry.Import{{Name: "abc-123.inv.D", Text: `{"type":"record","name":"D","namespace":"abc-123.inv","fields":[{"name":"x","type":["null","int"],"default":null}]}`}}})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := s.AppendBare(nil, nil, []byte(`{"d":{"x":5},"e":{},"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	document, err := s.JSON(nil, encoded, false)
	if want := `{"op":"C","d":{"x":5},"e":{"x":null},"n":1,"m":4}`; err != nil || string(document) != want {
		t.Errorf("%s, %v, want %s", document, err, want)
	}
	if _, err := s.AppendBare(nil, nil, []byte(`{"d":{},"e":{}}`)); err == nil {
		t.Error("a default that is none is written")
	}
}
