package jsonvalue

import (
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// circle is the error of a schema that leads back to itself without a step into the value, as two $refs to each other do: whoever checks a
// value by it never ends, and the specification leaves the meaning open. One that leads back through a property or an item is a tree.
func circle(root *jsonschema.Schema) error {
	const under, done = 1, 2
	state := map[*jsonschema.Schema]int{}
	var found *jsonschema.Schema
	var follow func(s *jsonschema.Schema)
	follow = func(s *jsonschema.Schema) {
		if s == nil || found != nil || state[s] == done {
			return
		}
		if state[s] == under {
			found = s
			return
		}
		state[s] = under
		for _, next := range SamePlace(s) {
			follow(next)
		}
		state[s] = done
	}
	seen := map[*jsonschema.Schema]bool{}
	for left := []*jsonschema.Schema{root}; len(left) > 0; left = left[1:] {
		s := left[0]
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		if follow(s); found != nil {
			return fmt.Errorf("at %s: the schema leads back to itself without a property or an item between, so that no check by it ends: take a $ref of the circle out, or put it below a property", found.Location)
		}
		left = append(append(left, SamePlace(s)...), inside(s)...)
	}
	return nil
}

// refsAlone takes out what stands beside a $ref where the draft, one to 7, ignores it. The library leaves out the words of draft 4 alone.
func refsAlone(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	if s.Ref != nil && s.DraftVersion < 2019 {
		s.Const, s.Contains, s.PropertyNames, s.If, s.Then, s.Else = nil, nil, nil, nil, nil, nil
	}
	for _, below := range append(SamePlace(s), inside(s)...) {
		refsAlone(below, seen)
	}
}

// SamePlace are the schemas that a value itself is checked by.
func SamePlace(s *jsonschema.Schema) []*jsonschema.Schema {
	list := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else})
	if s.DynamicRef != nil {
		list = append(list, s.DynamicRef.Ref)
	}
	for _, d := range s.DependentSchemas {
		list = append(list, d)
	}
	for _, d := range s.Dependencies {
		if d, ok := d.(*jsonschema.Schema); ok {
			list = append(list, d)
		}
	}
	return list
}

// inside are the schemas that parts of a value are checked by.
func inside(s *jsonschema.Schema) []*jsonschema.Schema {
	list := append([]*jsonschema.Schema{s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema}, s.PrefixItems...)
	for _, p := range s.Properties {
		list = append(list, p)
	}
	for _, p := range s.PatternProperties {
		list = append(list, p)
	}
	for _, v := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch v := v.(type) {
		case *jsonschema.Schema:
			list = append(list, v)
		case []*jsonschema.Schema:
			list = append(list, v...)
		}
	}
	return list
}
