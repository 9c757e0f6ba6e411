package evolution

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/registry"
)

// A schema whose text has not changed has changed where a reference leads to another version: the reference is named, and what is there is compared by meaning, of
// each type, also behind another reference.
//
// Mutations seen to fail it: diff without referenced; referenced without the references; without what is imported.
func TestWhatAReferenceBringsIsADifference(t *testing.T) {
	for kind, c := range map[registry.Type]struct {
		text, middle, old, next string
		names                   [2]string
		want                    string
	}{
		registry.Avro: {`{"type":"record","name":"O","fields":[{"name":"m","type":"d.M"}]}`, `{"type":"record","name":"d.M","fields":[{"name":"i","type":"d.I"}]}`,
			`{"type":"record","name":"d.I","fields":[{"name":"c","type":"int"}]}`, `{"type":"record","name":"d.I","fields":[{"name":"c","type":"int"},{"name":"n","type":"int","default":0}]}`,
			[2]string{"d.I", "d.M"}, "/references/d.I/fields[n]/type"},
		registry.Protobuf: {`syntax = "proto3"; import "a/m.proto"; message O { M m = 1; }`, `syntax = "proto3"; import "i.proto"; message M { I i = 1; }`,
			`syntax = "proto3"; message I { int32 c = 1; }`, `syntax = "proto3"; message I { int32 c = 1; int32 n = 2; }`, [2]string{"i.proto", "a/m.proto"}, "/references/i.proto/I/2"},
		registry.JSON: {`{"properties":{"m":{"$ref":"m.json"}}}`, `{"properties":{"i":{"$ref":"i.json"}}}`, `{"properties":{"c":{"type":"integer"}}}`,
			`{"properties":{"c":{"type":"number"}}}`, [2]string{"i.json", "m.json"}, "/references/i.json/properties/c/type"},
	} {
		version := func(n int, inner string) *registry.Registered {
			return &registry.Registered{
				Schema:  registry.Schema{Type: kind, Text: c.text, References: []registry.Reference{{Name: c.names[1], Subject: "m", Version: n}}},
				Imports: []registry.Import{{Name: c.names[0], Text: inner}, {Name: c.names[1], Text: c.middle}}, Subject: "s", Version: n,
			}
		}
		d, err := diff(version(1, c.old), version(2, c.next))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		var got []string
		for _, one := range d.Changes {
			got = append(got, one.Path)
		}
		if len(got) < 2 || got[0] != place(c.names[1]) || d.Changes[0].New != "version 2 of m" || got[1] != c.want {
			t.Errorf("%s: %v", kind, d.Changes)
		}
		if d, err := diff(version(1, c.old), version(1, c.old)); err != nil || len(d.Changes) > 0 {
			t.Errorf("%s: the same: %v, %v", kind, fmt.Sprint(d), err)
		}
	}
}
