package schema

import (
	"strings"
	"testing"
)

// A schema with references and the same schema with what they are in its text are one, however its names are written, and another one is not.
//
// Mutations seen to fail it: known without the namespace; a namespace kept; aliases as written; own types looked for
// after those of references; no bare name.
func TestASchemaIsTheSameWithItsReferencesWrittenOut(t *testing.T) {
	resolved := func(text string, imports ...Import) string {
		t.Helper()
		source := Source{Type: Avro, Text: text, Imports: imports}
		if _, err := Parse(source); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out, err := Resolved(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(Source{Type: Avro, Text: out}); err != nil {
			t.Errorf("%s: what is resolved is none by itself: %v", out, err)
		}
		return out
	}
	const paw = `{"type":"enum","name":"Paw","namespace":"p","symbols":["L","R"]}`
	cat := Import{Name: "c.Cat", Text: `{"type":"record","name":"Cat","namespace":"c","doc":"d","aliases":["Tom"],"fields":[{"name":"n","type":"string"},{"name":"kitten","type":["null","Cat"]},{"name":"paw","type":"p.Paw"},{"name":"t","type":{"type":"fixed","name":"Tail","size":1}}]}`}
	referring := resolved(`{"type":"record","name":"P","namespace":"c","fields":[{"name":"t","type":"Tail"},{"name":"a","type":{"type":"array","items":"Cat"}},{"name":"b","type":"c.Cat"},{"name":"p","type":"p.Paw"}]}`, Import{Name: "p.Paw", Text: paw}, cat)
	whole := func(doc, aliases string) string {
		return resolved(`{"type":"record","name":"c.P","fields":[{"name":"t","type":{"type":"fixed","name":"Tail","size":1}},{"name":"a","type":{"type":"array","items":{"type":"record","name":"c.Cat","doc":"` + doc + `","aliases":["` + aliases +
			`"],"fields":[{"name":"n","type":{"type":"string"}},{"name":"kitten","type":["null","c.Cat"]},{"name":"paw","type":` + paw + `},{"name":"t","type":"Tail"}]}}},{"name":"b","type":"Cat"},{"name":"p","type":"p.Paw"}]}`)
	}
	for _, same := range []string{whole("d", "Tom"), whole("d", "c.Tom")} {
		if same != referring {
			t.Errorf("%s\nis not\n%s", same, referring)
		}
	}
	for _, other := range []string{whole("another", "Tom"), whole("d", "p.Tom")} {
		if other == referring {
			t.Errorf("%s is the same", other)
		}
	}
	// A name of its own goes before one of the references that has no namespace.
	inside := resolved(`{"type":"record","name":"n.Outer","fields":[{"name":"a","type":{"type":"fixed","name":"T","size":2}},{"name":"b","type":"T"}]}`, Import{Name: "T", Text: `{"type":"fixed","name":"T","size":1}`})
	if alone := resolved(`{"type":"record","name":"n.Outer","fields":[{"name":"a","type":{"type":"fixed","name":"T","size":2}},{"name":"b","type":"n.T"}]}`); inside != alone {
		t.Errorf("%s\nis not\n%s", inside, alone)
	}
	// One without a namespace stays so within a type that has one.
	bare := resolved(`{"type":"record","name":"n.Outer","fields":[{"name":"b","type":"T"},{"name":"c","type":"T"},{"name":"d","type":{"type":"fixed","name":"U","size":1}}]}`, Import{Name: "T", Text: `{"type":"fixed","name":"T","size":1}`})
	if !strings.Contains(bare, `{"type":"fixed","name":"T","namespace":"","size":1}`) || !strings.Contains(bare, `{"type":"fixed","name":"n.U","size":1}`) {
		t.Error(bare)
	}
}
