package jsonvalue_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// A schema that leads back to itself in one place of the value is refused when it is registered, and so before each event is refused by it. A tree is not.
//
// Mutations seen to fail it: circle that finds none; SamePlace without references, without each of allOf, anyOf, oneOf, not, if and dependencies; inside as SamePlace.
func TestASchemaThatLeadsInACircleIsRefused(t *testing.T) {
	const modern = `"$schema":"https://json-schema.org/draft/2020-12/schema",`
	for text, wanted := range map[string]string{
		`{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}}`:   "at #/definitions/a:",
		`{` + modern + `"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a","type":"string"}}}`:                      "at #/$defs/a:",
		`{"properties":{"p":{"$ref":"#/definitions/a"}},"definitions":{"a":{"allOf":[{"$ref":"#/definitions/a"}]}}}`: "at #/definitions/a:",
		`{"anyOf":[{"type":"string"},{"$ref":"#"}]}`:                                                                 "at #:",
		`{"oneOf":[{"type":"string"},{"$ref":"#"}]}`:                                                                 "at #:",
		`{"not":{"$ref":"#"}}`:                                                           "at #:",
		`{"if":{"$ref":"#"},"then":true}`:                                                "at #:",
		`{"if":true,"then":{"$ref":"#"}}`:                                                "at #:",
		`{"dependencies":{"a":{"$ref":"#"}}}`:                                            "at #:",
		`{` + modern + `"dependentSchemas":{"a":{"$ref":"#"}}}`:                          "at #:",
		`{` + modern + `"$dynamicAnchor":"n","$dynamicRef":"#n"}`:                        "at #:",
		`{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveRef":"#"}`: "at #:",

		`{"properties":{"next":{"$ref":"#"}}}`:                                         "",
		`{"additionalProperties":{"$ref":"#"},"patternProperties":{"a":{"$ref":"#"}}}`: "",
		`{"items":{"$ref":"#"}}`:                                                       "",
		`{"items":[{"$ref":"#"}],"additionalItems":{"$ref":"#"}}`:                      "",
		`{` + modern + `"prefixItems":[{"$ref":"#"}],"items":{"$ref":"#"},"contains":{"$ref":"#"},"propertyNames":{"$ref":"#"}}`: "",
		`{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#"}}]}`:                                                    "",
		`{"allOf":[{"$ref":"#/definitions/a"},{"$ref":"#/definitions/a"}],"definitions":{"a":{"type":"string"}}}`:                "",
	} {
		_, err := jsonvalue.Parse(text, nil)
		switch {
		case wanted == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case wanted != "" && (err == nil || !strings.Contains(err.Error(), wanted) || !strings.Contains(err.Error(), "leads back to itself")):
			t.Errorf("%s: %v", text, err)
		}
	}
}
