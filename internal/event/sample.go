package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// deepestSample bounds how deep a value is made up: schemas refer to themselves.
const deepestSample = 8

// sample makes up a value that the schema takes, with all fields or, where that is none, with those that it requires. Where neither is found it says
// why the first one is not taken.
func sample(compiled *values.Schema) (document json.RawMessage, why string) {
	message, err := compiled.Message("")
	if err != nil {
		return nil, err.Error() // a file without a message
	}
	for _, least := range []bool{false, true} {
		document = madeUp(compiled.Registered(), least)
		_, err := compiled.AppendBare(nil, message, document)
		if err == nil {
			return document, ""
		}
		if why == "" {
			why = fmt.Sprintf("of %s: %v", document, err)
		}
	}
	return nil, why
}

// madeUp is a JSON document that the schema may take: a simple value of each part, within its bounds where these are simple too.
func madeUp(s *registry.Registered, least bool) json.RawMessage {
	var v any
	switch s.Type {
	case registry.Protobuf:
		file, err := protovalue.Compile(s.Text, s.Imports)
		if err != nil || file.Messages().Len() == 0 {
			return nil
		}
		v = ofMessage(file.Messages().Get(0), least, 0)
	case registry.JSON:
		root := document(s.Text)
		v = (&jsonSampler{root, referred(s), least}).of(root, 0)
	default:
		v = ofAvro(document(s.Text), referred(s), 0)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// document is a schema as JSON, nil where it is none.
func document(text string) (doc any) {
	if json.Unmarshal([]byte(text), &doc) != nil {
		return nil
	}
	return doc
}

// referred are the schemas that one refers to, by the names that it may call them: types of Avro without their namespace too.
func referred(s *registry.Registered) map[string]any {
	named := map[string]any{}
	for _, in := range s.Imports {
		doc := document(in.Text)
		named[in.Name] = doc
		named[in.Name[strings.LastIndexByte(in.Name, '.')+1:]] = doc
	}
	return named
}

// texts are values of the formats of texts that more than one schema language knows.
var texts = map[string]string{
	"uuid": "6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10", "email": "a@example.com", "date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z",
	"uri": "https://example.com/a", "hostname": "example.com", "ip": "192.0.2.1", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "duration": "PT1H",
}

func ofAvro(doc any, named map[string]any, depth int) any {
	if depth > deepestSample {
		return nil
	}
	switch t := doc.(type) {
	case string:
		switch t {
		case "null":
			return nil
		case "boolean":
			return true
		case "int", "long", "float", "double":
			return 1
		case "string", "bytes":
			return "a"
		}
		if known, ok := named[t]; ok {
			return ofAvro(known, named, depth+1)
		}
	case []any:
		if slices.Contains(t, any("null")) || len(t) == 0 {
			return nil
		}
		return ofAvro(t[0], named, depth+1)
	case map[string]any:
		if name, ok := t["name"].(string); ok {
			named[name] = t
		}
		switch t["logicalType"] {
		case "decimal":
			return 0
		case "big-decimal":
			return "\u0002\u0001\u0000"
		case "uuid":
			return texts["uuid"]
		}
		switch t["type"] {
		case "record", "error":
			value := map[string]any{}
			fields, _ := t["fields"].([]any)
			for _, f := range fields {
				field, _ := f.(map[string]any)
				if name, ok := field["name"].(string); ok {
					value[name] = ofAvro(field["type"], named, depth+1)
				}
			}
			return value
		case "enum":
			if symbols, _ := t["symbols"].([]any); len(symbols) > 0 {
				return symbols[0]
			}
		case "array":
			return []any{}
		case "map":
			return map[string]any{}
		case "fixed":
			size, _ := t["size"].(float64)
			return strings.Repeat("a", int(min(size, 1<<10)))
		}
		return ofAvro(t["type"], named, depth+1)
	}
	return nil
}
