package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/registry"
)

// A schema that stands in a request is taken where the registry, asked with normalize, calls it the same as the latest version, however it is spelt, and refused where not: with the attributes or
// members in another order, a primitive type as an object, comments, what it refers to within it, and a text without the references that were added when it
// was registered.
//
// Mutations seen to fail it: same that compares texts alone; alike without imports, without Resolved, or without Normal; a text that is known for another schema; a type that is not
// looked at.
func TestASchemaInARequestIsComparedAsTheRegistryDoes(t *testing.T) {
	web, client := registrytest.Start(t)
	register := func(subject string, s registry.Schema) {
		t.Helper()
		if _, err := client.Register(t.Context(), subject, s); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
	const money = `{"type":"record","name":"shop.Money","fields":[{"name":"cents","type":"long"}]}`
	const rules = `syntax = "proto3"; package d; import "buf/validate/validate.proto"; message M { string a = 1 [(buf.validate.field).string.min_len = 1]; int32 b = 2; }`
	register("money", registry.Schema{Text: money})
	register(protovalue.RulesPath, registry.Schema{Type: registry.Protobuf, Text: protovalue.RulesText()})
	toMoney := []registry.Reference{{Name: "shop.Money", Subject: "money", Version: 1}}
	toRules := []registry.Reference{{Name: protovalue.RulesPath, Subject: protovalue.RulesPath, Version: 1}}
	for n, c := range []struct {
		registered registry.Schema
		same       []string
		others     []string
		unasked    []string // that the registry refuses without references, and that are the latest with its
	}{
		{registered: registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"O","namespace":"n","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","int"],"default":null}]}`},
			same: []string{
				`{"fields":[{"type":"string","name":"a"},{"default":null,"type":["null","int"],"name":"b"}],"namespace":"n","name":"O","type":"record"}`,
				`{"type":"record","name":"O","namespace":"n","fields":[{"name":"a","type":{"type":"string"}},{"name":"b","type":["null",{"type":"int"}],"default":null}]}`,
				"{ \"type\": \"record\",\n\"name\": \"n.O\", \"fields\": [{\"name\":\"a\",\"type\":\"string\"},{\"name\":\"b\",\"type\":[\"null\",\"int\"],\"default\":null}]}",
			},
			others: []string{
				`{"type":"record","name":"O","namespace":"n","fields":[{"name":"b","type":["null","int"],"default":null},{"name":"a","type":"string"}]}`,
				`{"type":"record","name":"O","namespace":"n","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","long"],"default":null}]}`,
				`{"type":"record","name":"O","namespace":"m","fields":[{"name":"a","type":"string"},{"name":"b","type":["null","int"],"default":null}]}`,
			}},
		{registered: registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"P","fields":[{"name":"m","type":"shop.Money"}]}`, References: toMoney},
			same:    []string{`{"type":"record","name":"P","fields":[{"name":"m","type":` + money + `}]}`},
			others:  []string{`{"type":"record","name":"P","fields":[{"name":"m","type":` + strings.Replace(money, "long", "int", 1) + `}]}`},
			unasked: []string{`{"name":"P","type":"record","fields":[{"type":"shop.Money","name":"m"}]}`}},
		{registered: registry.Schema{Type: registry.JSON, Text: `{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"}},"required":["a"]}`},
			same:   []string{`{ "required": ["a"], "type": "object", "properties": {"a": {"type":"string"}, "b": {"type":"integer"}} }`},
			others: []string{`{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"}}}`}},
		{registered: registry.Schema{Type: registry.Protobuf, Text: `syntax = "proto3"; package pq; message M { string a = 1; int32 n = 2; } message N {}`},
			same: []string{
				"// c\nsyntax = \"proto3\";\npackage pq;\nmessage M {\n  string a = 1; // the a\n  int32 n = 2;\n}\nmessage N {}\n",
				"syntax = \"proto3\";\r\npackage pq;\r\nmessage M { string a = 1; int32 n = 2; }\r\nmessage N {;}",
			},
			others: []string{
				`syntax = "proto3"; package pq; message N {} message M { string a = 1; int32 n = 2; }`, // whose indexes are others
				`syntax = "proto3"; package pq; message M { string a = 1; int64 n = 2; } message N {}`,
			}},
		{registered: registry.Schema{Type: registry.Protobuf, Text: rules, References: toRules},
			same:   []string{rules, "// as in its file\n" + rules},
			others: []string{strings.Replace(rules, "min_len = 1", "min_len = 2", 1)}},
	} {
		subject := fmt.Sprintf("t%d-value", n)
		register(subject, c.registered)
		s := newSchemas(t.Context(), client, zap.NewNop())
		for round := range 2 { // the second time from memory
			for i, text := range append(append(append([]string{c.registered.Text}, c.same...), c.others...), c.unasked...) {
				want := i <= len(c.same) || i > len(c.same)+len(c.others)
				for _, given := range []registry.Type{c.registered.Type, ""} {
					found, p := s.byText(subject, given, text)
					if (p == nil) != want || p == nil && found.Registered().Subject != subject {
						t.Errorf("round %d: %s as %q: %v, want %v", round, text, given, p, want)
					}
				}
				if i > len(c.same)+len(c.others) || text == c.registered.Text {
					continue
				}
				body, _ := json.Marshal(map[string]string{"schema": text, "schemaType": string(c.registered.Type)})
				a, err := http.Post(web.URL+"/subjects/"+subject+"?normalize=true", "application/json", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				_ = a.Body.Close()
				if (a.StatusCode == 200) != want {
					t.Errorf("the registry says of %s: %d", text, a.StatusCode)
				}
			}
		}
		if other := map[registry.Type]registry.Type{registry.Avro: registry.JSON}[c.registered.Type]; other != "" {
			if _, p := s.byText(subject, other, c.registered.Text); p == nil {
				t.Errorf("%s is taken as %s", c.registered.Text, other)
			}
		}
		// The same text means nothing in a subject whose latest is another one.
		register(subject+"-2", registry.Schema{Type: registry.JSON, Text: `{"not":{}}`})
		if _, p := s.byText(subject+"-2", "", c.same[0]); p == nil {
			t.Errorf("%s is taken for another schema", c.same[0])
		}
		s.close()
	}
}

// Who names a schema for keys or values that have none is told what to do about it: a schema for keys would change the bytes of all of them.
//
// Mutation seen to fail it: unregistered that does not tell keys.
func TestNobodyIsToldToRegisterASchemaOfKeys(t *testing.T) {
	_, client := registrytest.Start(t)
	s := newSchemas(t.Context(), client, zap.NewNop())
	defer s.close()
	for subject, want := range map[string]string{"a.b.v1-value": "register the schema under the subject first", "a.b.v1-key": "send the keys without a schema: by POST /topics/a.b.v1/events, or as BINARY, STRING or JSON in the form v3"} {
		_, p := s.byText(subject, registry.Avro, `"string"`)
		_, q := s.byID(subject, 1)
		for _, p := range []*Problem{p, q} {
			if p == nil || p.Status != 422 || p.Remedy != want {
				t.Errorf("%s: %+v", subject, p)
			}
		}
	}
}
