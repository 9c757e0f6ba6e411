package sample

import (
	"encoding/json"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
)

// jsonSampler makes up values of a JSON schema.
type jsonSampler struct {
	*choices
	root  any            // of which local references are parts
	named map[string]any // what other references are
	open  map[string]int // references that the value is made up within
}

// of makes up the nth value of a schema.
func (s *jsonSampler) of(doc any, w *want, nth, depth int) any {
	if depth > deepestAll || s.spent() {
		return nil
	}
	is, refs := s.whole(doc, depth)
	for _, ref := range refs {
		s.open[ref]++
		defer func() { s.open[ref]-- }()
	}
	if v, ok := s.given(is, w, nth); ok {
		return v
	}
	switch s.kind(is, w, depth) {
	case "string":
		if text, ok := s.wanted(w); ok {
			return text
		}
		least := integer(is["minLength"], 0)
		if w.isText() {
			least = max(least, 1)
		}
		format, _ := is["format"].(string)
		pattern, _ := is["pattern"].(string)
		return s.text(textRules{format: format, pattern: pattern, least: least, most: integer(is["maxLength"], -1)}, nth)
	case "integer":
		return s.number(is, true, w, nth)
	case "number":
		return s.number(is, false, w, nth)
	case "boolean":
		return (nth+s.one(2))%2 == 0
	case "array":
		return s.array(is, nth, depth)
	case "object":
		return s.object(is, w, nth, depth)
	}
	return nil
}

// given is a value that the schema names.
func (s *jsonSampler) given(is map[string]any, w *want, nth int) (any, bool) {
	if v, ok := is["const"]; ok {
		return v, true
	}
	unfit := func(v any) bool { return !w.fits(v) }
	if list, ok := is["enum"].([]any); ok {
		if list = slices.DeleteFunc(slices.Clone(list), unfit); len(list) > 0 {
			return list[(s.one(len(list))+nth)%len(list)], true
		}
	}
	list, _ := is["examples"].([]any)
	list = slices.Clone(list)
	if v, ok := is["default"]; ok {
		list = append(list, v)
	}
	if list = slices.DeleteFunc(list, unfit); len(list) > 0 && nth == 0 && (w == nil || len(w.texts) == 0) {
		if i := s.one(len(list) + 1); i < len(list) {
			return list[i], true
		}
	}
	return nil, false
}

// keywords are those that speak of values of one kind alone, where the schema does not say which.
var keywords = []struct {
	kind  string
	names []string
}{
	{"object", []string{"properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames", "dependentRequired"}},
	{"array", []string{"items", "prefixItems", "minItems", "contains"}},
	{"string", []string{"pattern", "minLength", "maxLength", "format"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
}

// kind is which type the value is of.
func (s *jsonSampler) kind(is map[string]any, w *want, depth int) string {
	var kinds []string
	switch t := is["type"].(type) {
	case string:
		kinds = []string{t}
	case []any:
		for _, k := range t {
			if text, ok := k.(string); ok {
				kinds = append(kinds, text)
			}
		}
	default:
		for _, k := range keywords {
			if slices.ContainsFunc(k.names, func(name string) bool { _, ok := is[name]; return ok }) {
				kinds = append(kinds, k.kind)
			}
		}
		if depth == 0 && !w.isText() || w.hasParts() {
			kinds = append(kinds, "object")
		}
		kinds = append(kinds, "string", "integer", "boolean", "object")
	}
	fit := slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool {
		return kind == "null" || w.isText() && kind != "string" && kind != "integer" && kind != "number" || w.hasParts() && kind != "object"
	})
	if len(fit) == 0 {
		fit = kinds
	}
	if len(fit) == 0 {
		return ""
	}
	return fit[s.one(len(fit))]
}

func (s *jsonSampler) number(is map[string]any, whole bool, w *want, nth int) any {
	if n, ok := s.wantedNumber(w); ok {
		return n
	}
	b := bounds{whole: whole, step: ratOf(is["multipleOf"])}
	for _, bound := range []struct {
		name, beyond string
		narrow       func(*big.Rat, bool)
	}{{"minimum", "exclusiveMinimum", b.atLeast}, {"maximum", "exclusiveMaximum", b.atMost}} {
		bound.narrow(ratOf(is[bound.name]), is[bound.beyond] == true) // true is draft 4's
		bound.narrow(ratOf(is[bound.beyond]), true)
	}
	return decimal(b.within(s.usual(), nth))
}

func (s *jsonSampler) array(is map[string]any, nth, depth int) any {
	list := []any{}
	first, _ := is["prefixItems"].([]any)
	rest := is["items"]
	if items, ok := rest.([]any); ok { // before draft 2020-12
		first, rest = items, is["additionalItems"]
	}
	n, containing := integer(is["minItems"], 0), 0
	if contains, ok := is["contains"]; ok && contains != nil {
		containing = integer(is["minContains"], 1)
		n = max(n, containing)
	}
	for i := 0; i < n && s.parts < mostParts; i++ {
		item, which := rest, nth
		if i < len(first) {
			item = first[i]
		}
		if i < containing {
			item = allOf(item, is["contains"])
		}
		if is["uniqueItems"] == true {
			which = i
		}
		list = append(list, s.of(item, nil, which, depth+1))
	}
	return list
}

func (s *jsonSampler) object(is map[string]any, w *want, nth, depth int) any {
	properties, _ := is["properties"].(map[string]any)
	value := map[string]any{}
	put := func(name string) {
		if _, ok := value[name]; !ok {
			value[name] = s.of(propertyOf(is, name), w.at(name), nth, depth+1)
		}
	}
	if w != nil {
		for name := range sorted(w.below) {
			put(name)
		}
	}
	for _, name := range texts(is["required"]) {
		put(name)
	}
	optional := func(name string) bool {
		return depth < deepest && properties[name] != false && !s.within(properties[name])
	}
	for name := range sorted(properties) {
		if !s.least && optional(name) {
			put(name)
		}
	}
	for _, keyword := range []string{"dependentRequired", "dependencies"} {
		needs, _ := is[keyword].(map[string]any)
		for range needs { // what is needed may need more
			for name, list := range sorted(needs) {
				if _, ok := value[name]; ok {
					for _, needed := range texts(list) {
						put(needed)
					}
				}
			}
		}
	}
	least := min(integer(is["minProperties"], 0), longest)
	for name := range sorted(properties) {
		if len(value) < least && optional(name) {
			put(name)
		}
	}
	for i := 0; len(value) < least && i < 2*least; i++ {
		put(s.name(is, i, depth))
	}
	return value
}

// name is the nth name of a property that the object does not list.
func (s *jsonSampler) name(is map[string]any, nth, depth int) string {
	if names, ok := is["propertyNames"].(map[string]any); ok {
		names = maps.Clone(names)
		names["type"] = "string"
		if name, ok := s.of(names, &want{text: true}, nth, depth+1).(string); ok {
			return name
		}
	}
	if patterns, _ := is["patternProperties"].(map[string]any); is["additionalProperties"] == false {
		for of := range sorted(patterns) {
			return pattern(textRules{pattern: of, least: 1, most: -1}, nth)
		}
	}
	return plain(textRules{most: -1}, nth)
}

// propertyOf is the schema of a property.
func propertyOf(is map[string]any, name string) any {
	var all []any
	properties, _ := is["properties"].(map[string]any)
	if property, ok := properties[name]; ok {
		all = append(all, property)
	}
	patterns, _ := is["patternProperties"].(map[string]any)
	for pattern, property := range sorted(patterns) {
		if p, err := regexp.Compile(pattern); err == nil && p.MatchString(name) {
			all = append(all, property)
		}
	}
	if len(all) == 0 {
		return is["additionalProperties"]
	}
	return allOf(all...)
}

func allOf(list ...any) any {
	list = slices.DeleteFunc(list, func(doc any) bool { return doc == nil || doc == true })
	if len(list) == 1 {
		return list[0]
	}
	return map[string]any{"allOf": list}
}

func texts(list any) (names []string) {
	all, _ := list.([]any)
	for _, name := range all {
		if text, ok := name.(string); ok {
			names = append(names, text)
		}
	}
	return names
}

func ratOf(v any) *big.Rat {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	return rat(n.String())
}

// integer is a number of a schema that counts something.
func integer(v any, otherwise int) int {
	n := ratOf(v)
	if n == nil {
		return otherwise
	}
	if f, _ := n.Float64(); f > 1<<30 {
		return 1 << 30
	}
	i, err := strconv.Atoi(n.FloatString(0))
	if err != nil {
		return otherwise
	}
	return i
}

// sorted goes through a map in the order of its names, so that the same schema has the same value.
func sorted[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}
