package event

import (
	"testing"

	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// A schema of keys is refused where no text and no number is a key of it, and not for the texts or numbers that it does not take.
//
// Mutations, each seen to fail it: checkKey that tries "a" and 1; one that refuses nothing.
func TestAKeysSchemaIsRefusedByItsKindAlone(t *testing.T) {
	for text, takes := range map[string]bool{
		`"string"`: true, `"long"`: true, `"double"`: true, `["null","string"]`: true, `"bytes"`: true,
		`{"type":"string","logicalType":"uuid"}`:           true,
		`{"type":"enum","name":"E","symbols":["P","Q"]}`:   true,
		`{"type":"fixed","name":"F","size":16}`:            true,
		`{"type":"long","logicalType":"timestamp-micros"}`: true,
		`{"type":"string","format":"uuid"}`:                true,
		`{"type":"string","minLength":5}`:                  true,
		`{"type":"string","pattern":"^[A-Z]{3}$"}`:         true,
		`{"enum":["eu","us"]}`:                             true,
		`{"type":"integer","minimum":1000}`:                true,
		`{"anyOf":[{"type":"string","const":"x"}]}`:        true,
		`{}`:                                true,
		`"boolean"`:                         false,
		`{"type":"array","items":"string"}`: false,
		`{"type":"record","name":"K","fields":[]}`:                        false,
		`["null",{"type":"map","values":"string"}]`:                       false,
		`{"type":"object"}`:                                               false,
		`{"type":["boolean","null"]}`:                                     false,
		`{"$ref":"#/definitions/k","definitions":{"k":{"type":"array"}}}`: false,
		`false`: false,
		`syntax = "proto3"; message K { string id = 1; }`: false,
	} {
		tried := 0
		for _, kind := range []registry.Type{registry.Avro, registry.JSON, registry.Protobuf} {
			keys, err := values.Compile(&registry.Registered{Schema: registry.Schema{Type: kind, Text: text}, ID: 1})
			if err != nil {
				continue
			}
			tried++
			if err := (&File{Key: "id"}).checkKey(keys, "k"); (err == nil) != takes {
				t.Errorf("%s %s: %v", kind, text, err)
			}
			if err := (&File{Keyless: true}).checkKey(keys, "k"); err != nil {
				t.Errorf("%s %s, keyless: %v", kind, text, err)
			}
		}
		if tried == 0 {
			t.Errorf("%s is no schema", text)
		}
	}
}
