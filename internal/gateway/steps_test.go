package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// An event that would hold a processor for ever is refused with 422 and what to do, by schemas of each type that can say such things.
//
// Mutation seen to fail it: a schema whose steps are not counted (by a test that does not end).
func TestAnEventThatTakesTooManyStepsIsRefused(t *testing.T) {
	const base = `{"type":"object","properties":{"child":{"$ref":"#"}},"allOf":[{"properties":{"kind":{"const":"KIND"}},"required":["kind"]}]}`
	for name, c := range map[string]struct {
		schema       registry.Schema
		document     string
		path, remedy string
	}{
		"JSON Schema": {
			registry.Schema{Type: registry.JSON, Text: `{"oneOf":[` + strings.ReplaceAll(base, "KIND", "a") + "," + strings.ReplaceAll(base, "KIND", "b") + `]}`},
			strings.Repeat(`{"kind":"a","child":`, 60) + `{"kind":"a"}` + strings.Repeat("}", 60), "", "nest the value less deep",
		},
		"rules of protovalidate": {
			registry.Schema{Type: registry.Protobuf, Text: `syntax = "proto3"; import "buf/validate/validate.proto"; message M { repeated int32 lines = 1 [(buf.validate.field).cel = {id: "lines.once", expression: "this.all(a, this.exists(b, a == b + 1))"}]; }`},
			`{"lines":[2` + strings.Repeat(",2", 5000) + strings.Repeat(",1", 10_000) + `]}`, "/lines", "send fewer elements",
		},
	} {
		schema, err := values.Compile(&registry.Registered{ID: 1, Schema: c.schema})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, p := encode(schema, "", []byte(c.document))
		if p == nil || p.Status != http.StatusUnprocessableEntity || p.Path == nil || *p.Path != c.path || !strings.Contains(p.Detail, "too many steps") || !strings.Contains(p.Detail, c.remedy) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
