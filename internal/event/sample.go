package event

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/registry"
)

// deepestSample bounds how deep a value is made up: schemas refer to themselves.
const deepestSample = 8

// madeUp is a JSON document that the schema may take: the simplest value of each part.
func madeUp(s *registry.Registered) json.RawMessage {
	var v any
	switch s.Type {
	case registry.Protobuf:
		file, err := protovalue.Compile(s.Text, s.Imports)
		if err != nil || file.Messages().Len() == 0 {
			return nil
		}
		v = ofMessage(file.Messages().Get(0), 0)
	case registry.JSON:
		v = ofJSONSchema(document(s.Text), referred(s), 0)
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
		}
		return ofAvro(t["type"], named, depth+1)
	}
	return nil
}

func ofJSONSchema(doc any, named map[string]any, depth int) any {
	s, ok := doc.(map[string]any)
	if !ok || depth > deepestSample {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		return ofJSONSchema(named[ref], named, depth+1)
	}
	for _, name := range []string{"const", "default"} {
		if v, ok := s[name]; ok {
			return v
		}
	}
	for _, name := range []string{"enum", "examples"} {
		if list, _ := s[name].([]any); len(list) > 0 {
			return list[0]
		}
	}
	kind := s["type"]
	if kinds, ok := kind.([]any); ok && len(kinds) > 0 {
		kind = kinds[0]
	}
	switch kind {
	case "string":
		return "a"
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "array":
		return []any{}
	case "null":
		return nil
	}
	value := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	for name, property := range properties {
		value[name] = ofJSONSchema(property, named, depth+1)
	}
	return value
}

func ofMessage(m protoreflect.MessageDescriptor, depth int) map[string]any {
	value := map[string]any{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		switch {
		case f.ContainingOneof() != nil && !f.HasOptionalKeyword(), f.IsList(), f.IsMap():
			continue // one of several, or none
		case f.Message() != nil:
			if depth < deepestSample && !strings.HasPrefix(f.Message().ParentFile().Path(), "google/") {
				value[f.JSONName()] = ofMessage(f.Message(), depth+1)
			}
		case f.Enum() != nil:
			value[f.JSONName()] = string(f.Enum().Values().Get(0).Name())
		case f.Kind() == protoreflect.StringKind:
			value[f.JSONName()] = "a"
		case f.Kind() == protoreflect.BytesKind:
			value[f.JSONName()] = "YQ=="
		case f.Kind() == protoreflect.BoolKind:
			value[f.JSONName()] = true
		default:
			value[f.JSONName()] = 1
		}
	}
	return value
}
