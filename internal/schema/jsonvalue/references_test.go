package jsonvalue_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
	"github.com/weirstream/weir/internal/schema/source"
)

// A reference is found by the $ref as it is written, and where the schema has an absolute $id by what that makes of it; so is one between references. What is
// not given is not found, whatever it is called.
//
// Mutations seen to fail it: resolved that finds none; the schema's own $id only.
func TestAReferenceIsFoundByTheSchemasID(t *testing.T) {
	const child, grandchild = `{"type":"object","properties":{"id":{"$ref":"id.json"}}}`, `{"type":"integer"}`
	for name, c := range map[string]struct {
		id, ref string // of the schema
		child   string // what the reference is called
		own     string // its own $id, where it has one
		found   bool
	}{
		"no id":                  {"", "customer.json", "customer.json", "", true},
		"an id":                  {"https://example.com/schemas/order.json", "customer.json", "customer.json", "", true},
		"an id, by its own":      {"https://example.com/schemas/order.json", "customer.json", "customer.json", "https://example.com/other/customer.json", true},
		"an id and a fragment":   {"https://example.com/schemas/order.json", "customer.json#", "customer.json", "", true},
		"another folder":         {"https://example.com/schemas/order.json", "../x/customer.json", "../x/customer.json", "", true},
		"by the whole":           {"https://example.com/schemas/order.json", "customer.json", "https://example.com/schemas/customer.json", "", true},
		"a name that is not one": {"https://example.com/schemas/order.json", "customer.json", "other.json", "", false},
		"elsewhere":              {"https://example.com/schemas/order.json", "https://example.com/customer.json", "customer.json", "", false},
	} {
		for _, draft := range []string{"", `"$schema":"https://json-schema.org/draft/2020-12/schema",`} {
			text := `{` + draft + `"$id":"` + c.id + `","properties":{"c":{"$ref":"` + c.ref + `"}}}`
			if c.id == "" {
				text = strings.Replace(text, `"$id":"",`, "", 1)
			}
			kid, below := child, []source.Import{{Name: "id.json", Text: grandchild}}
			if c.own != "" {
				kid = strings.Replace(kid, "{", `{"$id":"`+c.own+`",`, 1)
			} else if c.child != "customer.json" || c.id != "" {
				kid = strings.Replace(kid, `{"$ref":"id.json"}`, grandchild, 1)
			}
			s, err := jsonvalue.Compile(text, append(below, source.Import{Name: c.child, Text: kid}))
			if (err == nil) != c.found {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil {
				continue
			}
			if err := s.Check([]byte(`{"c":{"id":"a"}}`)); err == nil {
				t.Errorf("%s: what the reference does not take is taken", name)
			}
			if err := s.Check([]byte(`{"c":{"id":1}}`)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A reference has the name of its $ref however that is written, or one that comes to the same; so has one between references, from where they are.
//
// Mutations seen to fail it: located as base and name; from without the references' own places; noLoader that says names as addresses.
func TestAReferenceIsNamedAsItIsWritten(t *testing.T) {
	for _, c := range []struct{ ref, name string }{
		{"./a.json", "./a.json"}, {"./a.json", "a.json"}, {"a.json", "./a.json"}, {"../common/a.json", "../common/a.json"}, {"b/../a.json", "a.json"}, {"common/./a.json", "common/a.json"},
		{"urn:x:addr", "urn:x:addr"}, {"my schema.json", "my schema.json"}, {"my%20schema.json", "my schema.json"}, {"ä.json", "ä.json"}, {"a.json#/definitions/n", "./a.json"}, {"/a.json", "/a.json"}, {"a", "a"},
	} {
		text := `{"properties":{"c":{"$ref":"` + c.ref + `"}}}`
		const kid = `{"type":"integer","definitions":{"n":{"type":"integer"}}}`
		s, err := jsonvalue.Compile(text, []source.Import{{Name: c.name, Text: kid}})
		if err != nil {
			t.Errorf("%s: %v", c.ref, err)
			continue
		}
		if s.Check([]byte(`{"c":1}`)) != nil || s.Check([]byte(`{"c":"x"}`)) == nil {
			t.Errorf("%s is not looked at", c.ref)
		}
	}
	for _, below := range []string{"geo.json", "./geo.json", "common/geo.json"} {
		s, err := jsonvalue.Compile(`{"properties":{"c":{"$ref":"./common/address.json"}}}`, []source.Import{{Name: below, Text: `{"type":"integer"}`}, {Name: "./common/address.json", Text: `{"properties":{"g":{"$ref":"./geo.json"}}}`}})
		if err != nil || s.Check([]byte(`{"c":{"g":1}}`)) != nil || s.Check([]byte(`{"c":{"g":"x"}}`)) == nil {
			t.Errorf("%s: %v", below, err)
		}
	}
	if _, err := jsonvalue.Compile(`{"$ref":"my other.json"}`, nil); err == nil || !strings.Contains(err.Error(), `"my other.json"`) {
		t.Errorf("a reference that is not given: %v", err)
	}
}

// What stands beside a $ref counts since draft 2019-09, and not before, whatever it is.
//
// Mutations seen to fail it: refsAlone without const; without if and then.
func TestWhatStandsBesideAReferenceIsIgnoredBeforeDraft2019(t *testing.T) {
	for _, c := range []struct{ beside, document string }{
		{`"type":"string"`, `1`},
		{`"enum":["a"]`, `1`},
		{`"const":"a"`, `1`},
		{`"const":null`, `1`},
		{`"minimum":2`, `1`},
		{`"multipleOf":2`, `1`},
		{`"pattern":"b"`, `"a"`},
		{`"format":"date"`, `"a"`},
		{`"not":{}`, `1`},
		{`"allOf":[false]`, `1`},
		{`"anyOf":[{"type":"string"}]`, `1`},
		{`"oneOf":[true,true]`, `1`},
		{`"if":true,"then":false`, `1`},
		{`"if":false,"else":false`, `1`},
		{`"if":true,"then":{"$ref":"#","not":true}`, `1`}, // no circle
		{`"required":["a"]`, `{}`},
		{`"properties":{"a":false}`, `{"a":1}`},
		{`"propertyNames":false`, `{"a":1}`},
		{`"minProperties":1`, `{}`},
		{`"contains":false`, `[1]`},
		{`"items":false`, `[1]`},
		{`"uniqueItems":true`, `[1,1]`},
	} {
		for draft, counts := range map[string]bool{
			"http://json-schema.org/draft-06/schema#": false, "http://json-schema.org/draft-07/schema#": false, "https://json-schema.org/draft/2020-12/schema": true,
		} {
			if draft == "http://json-schema.org/draft-06/schema#" && strings.Contains(c.beside, `"if"`) || counts && strings.Contains(c.beside, "format") {
				continue
			}
			for _, at := range []string{`"$ref":"#/definitions/any",` + c.beside, `"allOf":[{"$ref":"#/definitions/any",` + c.beside + `}]`} {
				s, err := jsonvalue.Compile(`{"$schema":"`+draft+`",`+at+`,"definitions":{"any":true}}`, nil)
				if counts && strings.Contains(c.beside, `"#"`) {
					if err == nil {
						t.Errorf("a circle by %s", c.beside)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", c.beside, err)
					continue
				}
				if err := s.Check([]byte(c.document)); (err != nil) != counts {
					t.Errorf("%s by %s in %s: %v", c.document, at, draft, err)
				}
			}
		}
	}
}
