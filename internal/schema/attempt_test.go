package schema

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What an attempt at a branch saw is taken back when it fails, and does not cost a copy of all that was seen: schemas with some
// thousands of optional fields are compared at once.
//
// Mutations seen to fail it: seen that is copied for each attempt; an attempt of which something is left.
func TestBranchesAreTriedWithoutACopyOfAllThatWasSeen(t *testing.T) {
	const fields = 1000
	for name, c := range map[string]struct {
		kind                    Type
		head, field, tail, r, w string
	}{
		"avro": {Avro, `{"type":"record","name":"R","fields":[`, `{"name":"f%d","type":["null","string","%s"],"default":null}`, `]}`, "long", "int"},
		"json": {JSON, `{"type":"object","additionalProperties":false,"properties":{`, `"f%d":{"anyOf":[{"type":"null"},{"type":"string"},{"type":"%s"}]}`, `}}`, "number", "integer"},
	} {
		wide := func(kind string) *Schema {
			var list []string
			for i := range fields {
				list = append(list, fmt.Sprintf(c.field, i, kind))
			}
			s, err := Parse(Source{Type: c.kind, Text: c.head + strings.Join(list, ",") + c.tail})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		reader, writer := wide(c.r), wide(c.w)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		found := Read(reader, writer)
		runtime.ReadMemStats(&after)
		if len(found) > 0 {
			t.Errorf("%s: %d differences, the first is %v", name, len(found), found[0])
		}
		if took := (after.TotalAlloc - before.TotalAlloc) / fields; took > 50_000 {
			t.Errorf("%s: %d bytes were allocated for each field", name, took)
		}
	}

	// A is met in a branch that fails of it, and then again.
	const twice = `{"type":"record","name":"Top","fields":[{"name":"u","type":["null",
		{"type":"array","items":{"type":"record","name":"A","fields":[{"name":"x","type":"%s"}]}}]},{"name":"again","type":"A"}]}`
	var paths []string
	for _, d := range Read(avroOf(t, fmt.Sprintf(twice, "int")), avroOf(t, fmt.Sprintf(twice, "string"))) {
		paths = append(paths, d.Path)
	}
	if got, want := strings.Join(paths, " "), "/fields/0/type /fields/1/type/fields/0/type"; got != want {
		t.Errorf("differences at %s, want %s", got, want)
	}
}

func avroOf(t *testing.T, text string) *Schema {
	t.Helper()
	s, err := Parse(Source{Type: Avro, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
