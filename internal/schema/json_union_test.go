package schema_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/weirstream/weir/internal/schema"
)

// A long union of events that tell their type by a constant, or by what they require, can be changed as a short one.
//
// Mutations seen to fail it: no glance at constants; none at what closed objects do not have.
func TestALongUnionCanBeChanged(t *testing.T) {
	event := func(n int, constant bool) map[string]any {
		props := map[string]any{"at": map[string]any{"type": "string"}, "amount": map[string]any{"type": "number", "minimum": 0},
			"who": map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}, "required": []string{"name"}}}
		required := []string{"at"}
		if name := fmt.Sprintf("e%d", n); constant {
			props["type"] = map[string]any{"const": name}
			required = append(required, "type")
		} else {
			props[name] = map[string]any{"type": "string"}
			required = append(required, name)
		}
		return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
	}
	for _, kind := range []string{"oneOf", "anyOf"} {
		for _, c := range []struct {
			constant bool
			events   int
		}{{true, 300}, {false, 150}} {
			union := func(change func([]any) []any) *schema.Schema {
				var refs []any
				defs := map[string]any{}
				for n := range c.events {
					defs[fmt.Sprint("E", n)] = event(n, c.constant)
					refs = append(refs, map[string]any{"$ref": fmt.Sprint("#/definitions/E", n)})
				}
				defs["New"] = event(c.events, c.constant)
				text, err := json.Marshal(map[string]any{kind: change(refs), "definitions": defs})
				if err != nil {
					t.Fatal(err)
				}
				s, err := schema.Parse(schema.Source{Type: schema.JSON, Text: string(text)})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			same := func(refs []any) []any { return refs }
			more := func(refs []any) []any {
				return slices.Insert(refs, 3, any(map[string]any{"$ref": "#/definitions/New"}))
			}
			reversed := func(refs []any) []any { slices.Reverse(refs); return refs }
			narrower := func(refs []any) []any { return refs[1:] }
			old := union(same)
			for name, next := range map[string]struct {
				of   *schema.Schema
				want bool
			}{"another order": {union(reversed), true}, "one more": {union(more), true}, "one less": {union(narrower), false}} {
				found := schema.Check(schema.Backward, []*schema.Schema{old}, next.of)
				if (len(found) == 0) != next.want || len(found) > 0 && found[0].Rule == "TOO_COMPLEX" {
					t.Errorf("%s of %d, %s: %v", kind, c.events, name, found)
				}
			}
		}
	}
}
