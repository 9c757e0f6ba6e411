package sample

import (
	"strings"
)

// avroTypes are the named types of a schema and of those that it refers to, by their full names.
type avroTypes map[string]avroType

type avroType struct {
	doc       map[string]any
	namespace string // of the names in it
}

// define notes the types that a schema defines.
func (t avroTypes) define(doc any, namespace string) {
	switch d := doc.(type) {
	case []any:
		for _, branch := range d {
			t.define(branch, namespace)
		}
	case map[string]any:
		if _, named := d["name"].(string); named {
			full, within := avroName(d, namespace)
			t[full] = avroType{d, within}
			namespace = within
		}
		fields, _ := d["fields"].([]any)
		for _, f := range fields {
			if field, ok := f.(map[string]any); ok {
				t.define(field["type"], namespace)
			}
		}
		for _, name := range []string{"type", "items", "values"} {
			t.define(d[name], namespace)
		}
	}
}

// avroName is the full name of a type, and the namespace of what is in it.
func avroName(d map[string]any, namespace string) (full, within string) {
	name, _ := d["name"].(string)
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		return name, name[:at]
	}
	if own, ok := d["namespace"].(string); ok {
		namespace = own
	}
	return strings.TrimPrefix(namespace+"."+name, "."), namespace
}

func (t avroTypes) find(name, namespace string) (found avroType, ok bool) {
	if !strings.Contains(name, ".") {
		if found, ok = t[strings.TrimPrefix(namespace+"."+name, ".")]; ok {
			return found, true
		}
	}
	found, ok = t[name]
	return found, ok
}

// avroSampler makes up values of an Avro schema.
type avroSampler struct {
	*choices
	types avroTypes
}

func (s *avroSampler) of(doc any, namespace string, w *want, depth int) any {
	if depth > deepestAll || s.spent() {
		return nil
	}
	switch d := doc.(type) {
	case string:
		if known, ok := s.types.find(d, namespace); ok {
			return s.complex(known.doc, known.namespace, w, depth)
		}
		return s.primitive(d, w)
	case []any:
		return s.union(d, namespace, w, depth)
	case map[string]any:
		if _, named := d["name"].(string); named {
			_, namespace = avroName(d, namespace)
		}
		return s.complex(d, namespace, w, depth)
	}
	return nil
}

func (s *avroSampler) primitive(kind string, w *want) any {
	switch kind {
	case "boolean":
		return true
	case "int", "long", "float", "double":
		if n, ok := s.wantedNumber(w); ok {
			return n
		}
		return 1
	case "string", "bytes":
		if text, ok := s.wanted(w); ok {
			return text
		}
		return "a"
	}
	return nil
}

func (s *avroSampler) complex(d map[string]any, namespace string, w *want, depth int) any {
	switch d["logicalType"] {
	case "decimal":
		if n, ok := s.wantedNumber(w); ok {
			return n
		}
		return 0
	case "big-decimal":
		return "\u0002\u0001\u0000"
	case "uuid":
		if text, ok := s.wanted(w); ok {
			return text
		}
		return formatted("uuid", 0)
	}
	switch d["type"] {
	case "record", "error":
		return s.record(d, namespace, w, depth)
	case "enum":
		symbols, _ := d["symbols"].([]any)
		if text, ok := s.wanted(w); ok {
			return text
		}
		if len(symbols) > 0 {
			return symbols[s.one(len(symbols))]
		}
		return nil
	case "array":
		return []any{}
	case "map":
		value := map[string]any{}
		if w != nil {
			for name, below := range sorted(w.below) {
				value[name] = s.of(d["values"], namespace, below, depth+1)
			}
		}
		return value
	case "fixed":
		if text, ok := s.wanted(w); ok {
			return text
		}
		return strings.Repeat("a", int(min(integer(d["size"], 0), longest)))
	}
	return s.of(d["type"], namespace, w, depth+1)
}

func (s *avroSampler) record(d map[string]any, namespace string, w *want, depth int) any {
	value := map[string]any{}
	fields, _ := d["fields"].([]any)
	for _, f := range fields {
		field, _ := f.(map[string]any)
		name, ok := field["name"].(string)
		if _, given := field["default"]; !ok || given && s.least && w.at(name) == nil {
			continue
		}
		value[name] = s.of(field["type"], namespace, w.at(name), depth+1)
	}
	return value
}

// union is null where it may be, and otherwise one of the branches, bare or, where that may be another one, with the branch's name.
func (s *avroSampler) union(branches []any, namespace string, w *want, depth int) any {
	var others []any
	null := false
	for _, b := range branches {
		if b == "null" {
			null = true
		} else {
			others = append(others, b)
		}
	}
	wanted := w.isText() || w.hasParts()
	ways := len(others)
	if null && !wanted {
		ways++
	}
	if ways == 0 {
		return nil
	}
	i := s.one(ways)
	if null && !wanted {
		if i == 0 || depth > deepest {
			return nil
		}
		i--
	} else if depth > deepest {
		i = len(others) - 1 - i
	}
	value := s.of(others[i], namespace, w, depth+1)
	if !wanted && s.one(2) == 1 {
		return map[string]any{branchName(others[i], namespace): value}
	}
	return value
}

func branchName(branch any, namespace string) string {
	switch b := branch.(type) {
	case string:
		return b
	case map[string]any:
		if _, named := b["name"].(string); named {
			full, _ := avroName(b, namespace)
			return full
		}
		kind, _ := b["type"].(string)
		return kind
	}
	return ""
}
