package schema_test

import (
	"testing"

	"github.com/weirstream/weir/internal/schema"
)

// What is registered is judged as strictly as by Avro 1.12.1 for Java with the name validator and the checks of defaults that Confluent's registry has for
// new schemas, and what is stored is read as it reads that, without both. The texts are those that Java writes.
//
// Mutations seen to fail it: respelled, definedFirst or question left out; defaults that are none, or sizes, taken in new schemas; no defaults taken out of
// stored ones; names judged in stored ones.
func TestAvroIsTakenAsJavaTakesIt(t *testing.T) {
	const asIs = "" // in its canonical form
	field := func(rest string) string { return `{"type":"record","name":"R","fields":[{"name":"a",` + rest + `}]}` }
	for _, c := range []struct {
		text   string
		new    bool
		stored bool
		as     string
	}{
		{`{"type":"record","name":"R","namespace":"abc-123.inv","fields":[]}`, false, true, asIs},
		{`{"type":"record","name":"my-ns.R","fields":[]}`, false, true, `{"type":"record","name":"R","namespace":"my-ns","fields":[]}`},
		{`{"type":"record","name":"R","namespace":"example.1.0","fields":[]}`, false, true, asIs},
		{`{"type":"record","name":"été","fields":[]}`, false, true, asIs},
		{`{"type":"record","name":"R","namespace":"a$b","fields":[]}`, false, true, asIs},
		{`{"type":"record","name":"R","namespace":null,"fields":[]}`, true, true, `{"type":"record","name":"R","fields":[]}`},
		{`{"type":"record","name":"n.R","fields":[{"name":"a","type":{"type":"enum","name":"E","namespace":null,"symbols":[]}},{"name":"b","type":"n.E"}]}`, true, true,
			`{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"enum","name":"E","symbols":[]}},{"name":"b","type":"E"}]}`},
		{`{"type":"record","name":"R","aliases":null,"fields":[]}`, false, false, asIs},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"B"},{"name":"b","type":{"type":"record","name":"B","fields":[]}}]}`, true, true,
			`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"B","fields":[]}},{"name":"b","type":"B"}]}`},
		{`{"type":"record","name":"n.R","fields":[{"name":"a","type":["null",{"type":"array","items":"B"}]},{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"r","type":["null","R"]}]}}]}`, true, true,
			`{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":["null",{"type":"array","items":{"type":"record","name":"B","fields":[{"name":"r","type":["null","R"]}]}}]},{"name":"b","type":"B"}]}`},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"Gone"}]}`, false, false, asIs},
		{field(`"type":"int","order":"Descending"`), true, true, field(`"type":"int","order":"descending"`)},
		{field(`"type":"int","order":"ASCENDING"`), true, true, field(`"type":"int"`)},
		{field(`"type":["string","long"],"default":10`), true, true, asIs},
		{field(`"type":"int","default":1.0`), false, true, asIs},
		{field(`"type":"long","default":1e3`), false, true, asIs},
		{field(`"type":{"type":"map","values":"int"},"default":{"k":1.0}`), false, true, asIs},
		{field(`"type":"int","default":"1"`), false, true, asIs},
		{field(`"type":"double","default":1`), true, true, asIs},
		{field(`"type":{"type":"array","items":"int"},"default":[1,"x"]`), false, true, asIs},
		{field(`"type":{"type":"record","name":"I","fields":[{"name":"x","type":"int"}]},"default":{}`), false, true, asIs},
		{field(`"type":{"type":"record","name":"I","fields":[{"name":"x","type":"int","default":4}]},"default":{}`), true, true, asIs},
		{field(`"type":["null","R"],"default":null`), true, true, asIs},
		{field(`"type":"double","default":"NaN"`), true, true, asIs},
		{field(`"type":"float","default":1e40`), true, true, asIs},
		{field(`"type":"bytes","default":"€"`), true, true, asIs},
		{field(`"type":["bytes","null"],"default":"€"`), true, true, asIs},
		{`{"type":"enum","name":"E","symbols":[]}`, true, true, asIs},
		{`{"type":"enum","name":"E","symbols":["A-B"]}`, false, true, asIs},
		{`{"type":"fixed","name":"F","size":16}`, true, true, asIs},
	} {
		for _, stored := range []bool{false, true} {
			want := c.new
			if stored {
				want = c.stored
			}
			s, err := schema.Parse(schema.Source{Type: schema.Avro, Text: c.text, Stored: stored})
			if (err == nil) != want {
				t.Errorf("%s, stored %v: taken %v (%v), Java: %v", c.text, stored, err == nil, err, want)
			}
			if err == nil && c.as != asIs && s.Text != c.as {
				t.Errorf("%s is written as %s, in Java as %s", c.text, s.Text, c.as)
			}
		}
	}
	// A size that is a text was taken once.
	for stored, want := range map[bool]bool{false: false, true: true} {
		if _, err := schema.Parse(schema.Source{Type: schema.Avro, Text: `{"type":"fixed","name":"F","size":"16"}`, Stored: stored}); (err == nil) != want {
			t.Errorf("a size that is a text, stored %v: %v", stored, err)
		}
	}
}
