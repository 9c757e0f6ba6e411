package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A content model says which properties an object may have beside those that are named, or which items a list: any (open), none
// (closed), or those that fit a schema (partially open).

// further is what additionalProperties or additionalItems allow: any value where schema is nil.
func further(v any) (allowed bool, schema *jsonschema.Schema) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case *jsonschema.Schema:
		if v = follow(v); isTrue(v) {
			return true, nil
		} else if isFalse(v) {
			return false, nil
		}
		return true, v
	}
	return true, nil
}

// coverOf is the schema that a property fits which is not named.
func coverOf(s *jsonschema.Schema, property string) *jsonschema.Schema {
	for pattern, covers := range s.PatternProperties {
		if pattern.MatchString(property) {
			return covers
		}
	}
	_, covers := further(beside(s))
	return covers
}

// beside is what a schema says of properties that are not named: unevaluatedProperties where it says nothing in additionalProperties.
func beside(s *jsonschema.Schema) any {
	if s.AdditionalProperties == nil && s.UnevaluatedProperties != nil {
		return s.UnevaluatedProperties
	}
	return s.AdditionalProperties
}

func open(s *jsonschema.Schema) bool {
	allowed, covers := further(beside(s))
	return allowed && covers == nil && len(s.PatternProperties) == 0
}

func defaulted(s *jsonschema.Schema) bool {
	return s != nil && (s.Default != nil || follow(s).Default != nil)
}

func (c *jsonReading) objects(r, w *jsonschema.Schema, path string) {
	c.bound("maxProperties", rat(r.MaxProperties), rat(w.MaxProperties), true, path)
	c.bound("minProperties", rat(r.MinProperties), rat(w.MinProperties), false, path)
	if !maybeObject(r) || !maybeObject(w) {
		return
	}
	for _, name := range r.Required {
		prop := r.Properties[name]
		if slices.Contains(w.Required, name) || w.Properties[name] == nil && prop != nil || defaulted(prop) {
			continue // a property that is new is judged as such
		}
		c.add("REQUIRED_ATTRIBUTE_ADDED", path+"/required/"+name, "the property %q is required, and was not", name)
	}
	c.dependencies(r, w, path)
	c.further("PROPERTIES", path, r.UnevaluatedProperties != nil && r.AdditionalProperties == nil, beside(r), beside(w))
	for _, name := range slices.Sorted(maps.Keys(w.Properties)) {
		was, is, at := w.Properties[name], r.Properties[name], path+"/properties/"+name
		if is != nil {
			c.read(is, was, at)
			continue
		}
		switch cover := coverOf(r, name); {
		case open(r):
		case cover != nil:
			if !c.holds(cover, was) {
				c.add("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "the property %q is gone, and what it was does not fit what further properties may be", name)
			}
		case !isFalse(follow(was)):
			c.add("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", at, "the property %q is gone, and no further ones are allowed", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		is, at := r.Properties[name], path+"/properties/"+name
		if w.Properties[name] != nil {
			continue
		}
		cover := coverOf(w, name)
		switch {
		case open(w):
			if !isTrue(follow(is)) {
				c.add("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", at, "the property %q is new, and may have been written as anything", name)
			}
		case cover != nil && !c.holds(is, cover):
			c.add("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "the property %q is new, and does not take all that further properties could be", name)
		case slices.Contains(r.Required, name) && !defaulted(is):
			c.add("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", at, "the property %q is new, required, and has no default", name)
		}
	}
}

// maybeObject says whether a schema allows objects.
func maybeObject(s *jsonschema.Schema) bool {
	types := typesOf(s)
	return len(types) == 0 || slices.Contains(types, "object")
}

// further compares what is allowed beside what is named, PROPERTIES or ITEMS.
func (c *jsonReading) further(what, path string, unevaluated bool, is, was any) {
	word := "additional"
	if unevaluated {
		word = "unevaluated"
	}
	rule := strings.ToUpper(word) + "_" + what
	path += "/" + word + what[:1] + strings.ToLower(what[1:])
	now, schema := further(is)
	before, old := further(was)
	switch {
	case !before:
	case !now:
		c.add(rule+"_REMOVED", path, "no further ones are allowed, and were")
	case schema != nil && old == nil:
		c.add(rule+"_NARROWED", path, "further ones must fit a schema, and could be anything")
	case schema != nil:
		c.read(schema, old, path)
	}
}

func (c *jsonReading) dependencies(r, w *jsonschema.Schema, path string) {
	lists := func(s *jsonschema.Schema) map[string][]string {
		all := maps.Clone(s.DependentRequired)
		for name, v := range s.Dependencies {
			if list, ok := v.([]string); ok {
				if all == nil {
					all = map[string][]string{}
				}
				all[name] = list
			}
		}
		return all
	}
	is, was := lists(r), lists(w)
	for _, name := range slices.Sorted(maps.Keys(is)) {
		at := path + "/dependencies/" + name
		before, ok := was[name]
		if !ok {
			c.add("DEPENDENCY_ARRAY_ADDED", at, "%q asks for %s, and did not", name, strings.Join(is[name], ", "))
			continue
		}
		for _, wants := range is[name] {
			if !slices.Contains(before, wants) {
				c.add("DEPENDENCY_ARRAY_EXTENDED", at, "%q asks for %s, and did not", name, wants)
			}
		}
	}
	schemas := func(s *jsonschema.Schema) map[string]*jsonschema.Schema {
		all := map[string]*jsonschema.Schema{}
		maps.Copy(all, s.DependentSchemas)
		for name, v := range s.Dependencies {
			if sub, ok := v.(*jsonschema.Schema); ok {
				all[name] = sub
			}
		}
		return all
	}
	now, before := schemas(r), schemas(w)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		at := path + "/dependencies/" + name
		if before[name] == nil {
			c.add("DEPENDENCY_SCHEMA_ADDED", at, "%q asks for a schema, and did not", name)
			continue
		}
		c.read(now[name], before[name], at)
	}
}

// listOf is what a schema says about items: those at the front by place, and what is allowed after them, which may be said by
// unevaluatedItems alone.
func listOf(s *jsonschema.Schema) (front []*jsonschema.Schema, rest any, unevaluated bool) {
	if front, rest = itemsOf(s); rest == nil && s.UnevaluatedItems != nil {
		return front, s.UnevaluatedItems, true
	}
	return front, rest, false
}

func itemsOf(s *jsonschema.Schema) (front []*jsonschema.Schema, rest any) {
	switch items := s.Items.(type) {
	case []*jsonschema.Schema:
		return items, s.AdditionalItems
	case *jsonschema.Schema:
		return nil, items
	}
	if s.Items2020 != nil {
		return s.PrefixItems, s.Items2020
	}
	return s.PrefixItems, nil
}

func (c *jsonReading) arrays(r, w *jsonschema.Schema, path string) {
	c.bound("maxItems", rat(r.MaxItems), rat(w.MaxItems), true, path)
	c.bound("minItems", rat(r.MinItems), rat(w.MinItems), false, path)
	if r.UniqueItems && !w.UniqueItems {
		c.add("UNIQUE_ITEMS_ADDED", path+"/uniqueItems", "items must be unique, and need not")
	}
	c.bound("maxContains", rat(r.MaxContains), rat(w.MaxContains), true, path)
	c.bound("minContains", rat(r.MinContains), rat(w.MinContains), false, path)
	front, rest, unevaluated := listOf(r)
	wasFront, wasRest, _ := listOf(w)
	at := path + "/items"
	if len(front) == 0 && len(wasFront) == 0 {
		_, is := further(rest)
		_, was := further(wasRest)
		if is != nil {
			c.read(is, was, at)
		} else {
			c.further("ITEMS", path, unevaluated, rest, wasRest)
		}
		return
	}
	c.further("ITEMS", path, unevaluated, rest, wasRest)
	allowed, cover := further(rest)
	wasAllowed, wasCover := further(wasRest)
	for i := range max(len(front), len(wasFront)) {
		at := fmt.Sprintf("%s/%d", at, i)
		switch {
		case i < len(front) && i < len(wasFront):
			c.read(front[i], wasFront[i], at)
		case i < len(front) && wasAllowed && wasCover == nil:
			if !isTrue(follow(front[i])) {
				c.add("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", at, "the item %d is new, and may have been written as anything", i)
			}
		case i < len(front) && wasCover != nil:
			if !c.holds(front[i], wasCover) {
				c.add("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "the item %d is new, and does not take all that further items could be", i)
			}
		case i < len(front): // nothing was written there
		case allowed && cover == nil:
		case cover != nil:
			if !c.holds(cover, wasFront[i]) {
				c.add("ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "the item %d is gone, and what it was does not fit what further items may be", i)
			}
		case !isFalse(follow(wasFront[i])):
			c.add("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", at, "the item %d is gone, and no further ones are allowed", i)
		}
	}
}
