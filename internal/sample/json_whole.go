package sample

import (
	"encoding/json"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// whole is a schema with what it refers to and consists of: all of allOf, one of oneOf and of anyOf, and what a condition leads to. refs are the
// references that were followed.
func (s *jsonSampler) whole(doc any, depth int) (is map[string]any, refs []string) {
	given, ok := doc.(map[string]any)
	if !ok || depth > deepestAll {
		return map[string]any{}, nil
	}
	is = maps.Clone(given)
	take := func(part any) {
		more, followed := s.whole(part, depth+1)
		refs = append(refs, followed...)
		join(is, more)
	}
	for _, keyword := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		if ref, ok := given[keyword].(string); ok {
			refs = append(refs, ref)
			take(s.referred(ref))
		}
	}
	all, _ := given["allOf"].([]any)
	for _, part := range all {
		take(part)
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		if list, _ := given[keyword].([]any); len(list) > 0 {
			take(list[s.one(len(list))])
		}
	}
	if condition, ok := given["if"]; ok {
		if s.one(2) == 0 {
			take(condition)
			take(given["then"])
		} else {
			take(given["else"])
		}
	}
	for _, keyword := range []string{"dependentSchemas", "dependencies"} {
		schemas, _ := given[keyword].(map[string]any)
		for _, part := range sorted(schemas) {
			if _, ok := part.(map[string]any); ok && s.one(2) == 0 {
				take(part)
			}
		}
	}
	return is, refs
}

// join narrows a schema by another one.
func join(is, more map[string]any) {
	for name, v := range more {
		have, there := is[name]
		if !there {
			is[name] = v
			continue
		}
		switch name {
		case "minimum", "minLength", "minItems", "minProperties", "exclusiveMinimum":
			if a, b := ratOf(have), ratOf(v); a != nil && b != nil && b.Cmp(a) > 0 {
				is[name] = v
			}
		case "maximum", "maxLength", "maxItems", "maxProperties", "exclusiveMaximum":
			if a, b := ratOf(have), ratOf(v); a != nil && b != nil && b.Cmp(a) < 0 {
				is[name] = v
			}
		case "required":
			a, _ := have.([]any)
			b, _ := v.([]any)
			is[name] = slices.Concat(a, b)
		case "enum", "type":
			is[name] = both(have, v)
		case "properties", "patternProperties", "dependentRequired":
			a, _ := have.(map[string]any)
			b, _ := v.(map[string]any)
			joined := maps.Clone(b)
			for property, schema := range a {
				if other, ok := b[property]; ok && name != "dependentRequired" {
					schema = allOf(schema, other)
				}
				if joined == nil {
					joined = map[string]any{}
				}
				joined[property] = schema
			}
			is[name] = joined
		case "items", "additionalProperties", "propertyNames", "contains":
			if have != false && v != false {
				is[name] = allOf(have, v)
			} else {
				is[name] = false
			}
		case "uniqueItems":
			is[name] = have == true || v == true
		}
	}
}

// both are the values of two enums, or the types of two schemas, that are in both of them.
func both(a, b any) any {
	list := func(v any) []any {
		if all, ok := v.([]any); ok {
			return all
		}
		return []any{v}
	}
	text := func(v any) string { data, _ := json.Marshal(v); return string(data) }
	var left []any
	for _, v := range list(a) {
		for _, other := range list(b) {
			switch {
			case text(v) == text(other), v == "integer" && other == "number":
				left = append(left, v)
			case v == "number" && other == "integer":
				left = append(left, other)
			}
		}
	}
	return left
}

// within says whether a schema leads back to what the value is made up within.
func (s *jsonSampler) within(doc any) bool {
	is, ok := doc.(map[string]any)
	if !ok {
		return false
	}
	for _, keyword := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		if ref, ok := is[keyword].(string); ok && s.open[ref] > 0 {
			return true
		}
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := is[keyword].([]any)
		for i, part := range list {
			if (i == 0 || keyword == "allOf") && s.within(part) {
				return true
			}
		}
	}
	return false
}

// referred is what a reference leads to, nil where it is not found.
func (s *jsonSampler) referred(ref string) any {
	name, fragment, _ := strings.Cut(ref, "#")
	if text, err := url.PathUnescape(fragment); err == nil {
		fragment = text
	}
	at := s.root
	if name != "" {
		at = s.document(name)
	}
	if fragment != "" && !strings.HasPrefix(fragment, "/") {
		return find(at, func(is map[string]any) bool {
			return is["$anchor"] == fragment || is["$dynamicAnchor"] == fragment || is["$id"] == "#"+fragment
		})
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
		if fragment == "" {
			break
		}
		switch in := at.(type) {
		case map[string]any:
			at = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			at = in[i]
		default:
			return nil
		}
	}
	return at
}

// document is what a name without a fragment refers to: the reference of that name, or the part of the schema with that $id.
func (s *jsonSampler) document(name string) any {
	if text, err := url.PathUnescape(name); err == nil {
		name = text
	}
	for _, as := range []string{name, strings.TrimPrefix(name, "./")} {
		if doc, ok := s.named[as]; ok {
			return doc
		}
	}
	same := func(is map[string]any) bool {
		id, _ := is["$id"].(string)
		return id != "" && (strings.TrimSuffix(id, "#") == name || path.Base(id) == path.Base(name))
	}
	if found := find(s.root, same); found != nil {
		return found
	}
	for _, doc := range sorted(s.named) {
		if found := find(doc, same); found != nil {
			return found
		}
	}
	for in, doc := range sorted(s.named) {
		if path.Base(in) == path.Base(name) {
			return doc
		}
	}
	return nil
}

// find is the outermost part of a schema that is so, nil for none.
func find(doc any, so func(map[string]any) bool) any {
	switch d := doc.(type) {
	case map[string]any:
		if so(d) {
			return d
		}
		for _, below := range sorted(d) {
			if found := find(below, so); found != nil {
				return found
			}
		}
	case []any:
		for _, below := range d {
			if found := find(below, so); found != nil {
				return found
			}
		}
	}
	return nil
}

// local is a schema that others refer to by a name, whose references to its own parts have that name too.
func local(doc any, name string) any {
	switch d := doc.(type) {
	case map[string]any:
		for key, below := range d {
			if ref, ok := below.(string); ok && key == "$ref" && strings.HasPrefix(ref, "#") {
				d[key] = name + ref
			} else {
				d[key] = local(below, name)
			}
		}
	case []any:
		for i, below := range d {
			d[i] = local(below, name)
		}
	}
	return doc
}
