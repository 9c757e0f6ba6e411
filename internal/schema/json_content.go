package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
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

// covers are the schemas that a property fits which is not named, all of them: those of the patterns that its name matches, or what further
// ones must fit. None: it may be anything, or it is not allowed. Where they are only possible, it fits one of them.
func covers(s *jsonschema.Schema, property string) (all []*jsonschema.Schema, allowed, possible bool) {
	for pattern, cover := range s.PatternProperties {
		if pattern.MatchString(property) {
			all = append(all, cover)
		}
	}
	if len(all) > 0 {
		return all, true, false
	}
	if s.AdditionalProperties == nil && s.UnevaluatedProperties != nil {
		switch parts := partsOf(s); {
		case len(parts.properties[property]) > 0:
			return parts.properties[property], true, true
		case parts.anyProperty:
			return nil, true, false
		}
	}
	allowed, cover := further(beside(s))
	if cover != nil {
		all = append(all, cover)
	}
	return all, allowed, false
}

// parts are what the schemas that one is made of say of properties and items, which unevaluatedProperties and unevaluatedItems count as named.
type parts struct {
	properties  map[string][]*jsonschema.Schema
	anyProperty bool // one has a pattern, or says what further properties may be
	items       int  // how many at the front one of them has
	anyItem     bool
}

func partsOf(s *jsonschema.Schema) parts {
	p := parts{properties: map[string][]*jsonschema.Schema{}}
	seen := map[*jsonschema.Schema]bool{s: true}
	for left := jsonvalue.SamePlace(s); len(left) > 0; left = left[1:] {
		part := left[0]
		if part == nil || seen[part] {
			continue
		}
		seen[part] = true
		left = append(left, jsonvalue.SamePlace(part)...)
		for name, property := range part.Properties {
			p.properties[name] = append(p.properties[name], property)
		}
		allowed, _ := further(beside(part))
		p.anyProperty = p.anyProperty || beside(part) != nil && allowed || len(part.PatternProperties) > 0
		front, rest, _ := listOf(part)
		allowed, _ = further(rest)
		p.items = max(p.items, len(front))
		p.anyItem = p.anyItem || rest != nil && allowed || part.Contains != nil
	}
	return p
}

// beside is what a schema says of properties that are not named: unevaluatedProperties where it says nothing in additionalProperties.
func beside(s *jsonschema.Schema) any {
	if s.AdditionalProperties == nil && s.UnevaluatedProperties != nil {
		return s.UnevaluatedProperties
	}
	return s.AdditionalProperties
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
		cover, allowed, _ := covers(r, name)
		switch {
		case !allowed:
			if !isFalse(follow(was)) {
				c.add("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", at, "the property %q is gone, and no further ones are allowed", name)
			}
		case slices.ContainsFunc(cover, func(s *jsonschema.Schema) bool { return !c.holds(s, was) }):
			c.add("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "the property %q is gone, and what it was does not fit what further properties may be", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		is, at := r.Properties[name], path+"/properties/"+name
		if w.Properties[name] != nil {
			continue
		}
		required := slices.Contains(r.Required, name) && !slices.Contains(w.Required, name) && !defaulted(is)
		cover, allowed, possible := covers(w, name)
		if possible && len(cover) > 1 { // which of them it was is not known
			cover = nil
		}
		switch {
		case allowed && len(cover) == 0 && !isTrue(follow(is)):
			c.add("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", at, "the property %q is new, and may have been written as anything", name)
		case allowed && len(cover) == 0 && required:
			c.add("REQUIRED_ATTRIBUTE_ADDED", path+"/required/"+name, "the property %q is required, and was not", name)
		case len(cover) > 0 && !slices.ContainsFunc(cover, func(s *jsonschema.Schema) bool { return c.holds(is, s) }):
			c.add("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "the property %q is new, and does not take all that further properties could be", name)
		case required:
			c.add("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", at, "the property %q is new, required, and has no default", name)
		}
	}
	c.patterns(r, w, path)
	c.propertiesOfParts(r, w, path)
}

// propertiesOfParts compares what unevaluatedProperties leave to the schemas that one is made of.
func (c *jsonReading) propertiesOfParts(r, w *jsonschema.Schema, path string) {
	if r.AdditionalProperties != nil || r.UnevaluatedProperties == nil || w.AdditionalProperties != nil || isTrue(follow(r.UnevaluatedProperties)) {
		return
	}
	is, was := partsOf(r), partsOf(w)
	if was.anyProperty && !is.anyProperty {
		c.add("UNEVALUATED_PROPERTIES_REMOVED", path+"/unevaluatedProperties", "one of the schemas that it is made of allowed further ones, and none does")
	}
	for _, name := range slices.Sorted(maps.Keys(was.properties)) {
		if r.Properties[name] != nil || w.Properties[name] != nil || len(is.properties[name]) > 0 || is.anyProperty {
			continue
		}
		if _, allowed, _ := covers(r, name); !allowed {
			c.add("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", path+"/properties/"+name, "the property %q is gone from the schemas that it is made of, and no further ones are allowed", name)
		} else {
			c.add("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", path+"/properties/"+name, "the property %q is gone from the schemas that it is made of, and further ones must fit another", name)
		}
	}
}

// patterns compares whether properties of a pattern are allowed. What they may be is not compared.
func (c *jsonReading) patterns(r, w *jsonschema.Schema, path string) {
	is := map[string]bool{}
	for pattern := range r.PatternProperties {
		is[pattern.String()] = true
	}
	was := map[string]*jsonschema.Schema{}
	for pattern, s := range w.PatternProperties {
		if !is[pattern.String()] && !isFalse(follow(s)) {
			was[pattern.String()] = s
		}
	}
	allowed, cover := further(beside(r))
	for _, pattern := range slices.Sorted(maps.Keys(was)) {
		at := path + "/patternProperties/" + pattern
		switch {
		case !allowed:
			c.add("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", at, "properties that match %q are gone, and no further ones are allowed", pattern)
		case cover != nil && !c.holds(cover, was[pattern]):
			c.add("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at, "properties that match %q are gone, and what they were does not fit what further properties may be", pattern)
		}
	}
}

// maybeObject says whether a schema allows objects.
func maybeObject(s *jsonschema.Schema) bool {
	types, all := typesWritten(s)
	return all || slices.Contains(types, "object")
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
	wasFront, wasRest, wasUnevaluated := listOf(w)
	at := path + "/items"
	var was parts
	if wasUnevaluated {
		was = partsOf(w)
	}
	if allowed, cover := further(rest); unevaluated && (!allowed || cover != nil) {
		is := partsOf(r)
		if was.anyItem && !is.anyItem {
			c.add("UNEVALUATED_ITEMS_REMOVED", path+"/unevaluatedItems", "one of the schemas that it is made of allowed further ones, and none does")
		}
		for i := max(len(front), is.items, len(wasFront)); i < was.items && !is.anyItem; i++ {
			c.add("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", fmt.Sprintf("%s/%d", at, i), "the item %d is gone from the schemas that it is made of, and further ones are not as free", i)
		}
	}
	if len(front) == 0 && len(wasFront) == 0 {
		_, is := further(rest)
		allowed, before := further(wasRest)
		if is != nil && allowed {
			c.read(is, before, at)
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
		case i < len(front) && (wasAllowed && wasCover == nil || i < was.items || was.anyItem):
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
