package event

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// jsonSampler makes up values of a JSON schema.
type jsonSampler struct {
	root  any            // of which local references are parts
	named map[string]any // what other references are
	least bool           // only properties that are required
}

func (s *jsonSampler) of(doc any, depth int) any {
	is, ok := s.whole(doc, depth)
	if !ok {
		return nil
	}
	for _, name := range []string{"const", "default"} {
		if v, ok := is[name]; ok {
			return v
		}
	}
	for _, name := range []string{"enum", "examples"} {
		if list, _ := is[name].([]any); len(list) > 0 {
			return list[0]
		}
	}
	kind := is["type"]
	if kinds, ok := kind.([]any); ok && len(kinds) > 0 {
		kind = kinds[0]
	}
	switch kind {
	case "string":
		format, _ := is["format"].(string)
		return withLength(texts[format], int(number(is, "minLength", 0)), int(number(is, "maxLength", math.MaxInt32)))
	case "integer", "number":
		return within(is)
	case "boolean":
		return true
	case "array":
		list := []any{}
		items, _ := is["prefixItems"].([]any)
		for len(list) < int(min(number(is, "minItems", 0), 100)) {
			item := is["items"]
			if len(list) < len(items) {
				item = items[len(list)]
			}
			list = append(list, s.of(item, depth+1))
		}
		return list
	case "null":
		return nil
	}
	value := map[string]any{}
	properties, _ := is["properties"].(map[string]any)
	required, _ := is["required"].([]any)
	for name, property := range properties {
		if depth < deepestSample && !s.least || slices.Contains(required, any(name)) {
			value[name] = s.of(property, depth+1)
		}
	}
	return value
}

// whole is a schema with what it refers to and consists of: all of allOf, and the first of oneOf and anyOf.
func (s *jsonSampler) whole(doc any, depth int) (map[string]any, bool) {
	is, ok := doc.(map[string]any)
	if !ok || depth > deepestSample {
		return nil, ok
	}
	is = maps.Clone(is)
	var parts []any
	if ref, ok := is["$ref"].(string); ok {
		parts = append(parts, s.referred(ref))
	}
	all, _ := is["allOf"].([]any)
	parts = append(parts, all...)
	for _, name := range []string{"oneOf", "anyOf"} {
		if list, _ := is[name].([]any); len(list) > 0 {
			parts = append(parts, list[0])
		}
	}
	for _, part := range parts {
		more, ok := s.whole(part, depth+1)
		if !ok {
			continue
		}
		for name, v := range more {
			switch have := is[name].(type) {
			case nil:
				is[name] = v
			case []any:
				if list, ok := v.([]any); ok && name == "required" {
					is[name] = append(slices.Clip(have), list...)
				}
			case map[string]any:
				if properties, ok := v.(map[string]any); ok && name == "properties" {
					joined := maps.Clone(properties)
					maps.Copy(joined, have)
					is[name] = joined
				}
			}
		}
	}
	return is, true
}

func (s *jsonSampler) referred(ref string) any {
	path, local := strings.CutPrefix(ref, "#")
	if !local {
		return s.named[ref]
	}
	at := s.root
	for _, name := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if name == "" {
			continue
		}
		in, _ := at.(map[string]any)
		at = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	return at
}

func number(in map[string]any, name string, otherwise float64) float64 {
	if n, ok := in[name].(float64); ok {
		return n
	}
	return otherwise
}

// within is a number within the bounds of a JSON schema, 1 where that is.
func within(is map[string]any) float64 {
	step := number(is, "multipleOf", 1)
	least := max(number(is, "minimum", math.Inf(-1)), number(is, "exclusiveMinimum", math.Inf(-1)))
	most := min(number(is, "maximum", math.Inf(1)), number(is, "exclusiveMaximum", math.Inf(1)))
	n := step
	if n <= least {
		if n = math.Ceil(least/step) * step; n == number(is, "exclusiveMinimum", math.NaN()) {
			n += step
		}
	}
	if n >= most {
		if n = math.Floor(most/step) * step; n == number(is, "exclusiveMaximum", math.NaN()) {
			n -= step
		}
	}
	return n
}

// withLength is a text of a length between two, "a" where no other is given.
func withLength(text string, least, most int) string {
	if text == "" {
		text = "a"
	}
	text += strings.Repeat("a", max(min(least, 1<<10)-len(text), 0))
	return text[:max(min(len(text), most), 0)]
}
