package schema

import (
	"errors"
	"reflect"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

type jsonSchema struct{ root *jsonschema.Schema }

func parseJSON(s Source) (*Schema, error) {
	doc, err := decodeOrdered(s.Text)
	if err != nil {
		return nil, err
	}
	switch doc.(type) {
	case object, bool:
	default:
		return nil, errors.New("a JSON schema is an object, true or false")
	}
	root, err := jsonvalue.Parse(s.Text, s.Imports)
	if err != nil {
		return nil, err
	}
	spelledOut(root, map[*jsonschema.Schema]bool{})
	return &Schema{Type: JSON, Text: encodeOrdered(doc, false), Normal: encodeOrdered(doc, true), json: &jsonSchema{root}}, nil
}

// spelledOut has each schema below one be a reference and nothing else, or a combination of one kind: since draft 2019-09 what stands beside a
// $ref counts as well, which is allOf of the two, and so are oneOf and anyOf side by side. A dynamic reference is taken for what it leads to
// without others.
func spelledOut(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	var to []*jsonschema.Schema
	for _, ref := range []*jsonschema.Schema{s.Ref, s.RecursiveRef} {
		if ref != nil {
			to = append(to, ref)
		}
	}
	if s.DynamicRef != nil && s.DynamicRef.Ref != nil {
		to = append(to, s.DynamicRef.Ref)
	}
	s.Ref, s.RecursiveRef, s.DynamicRef = nil, nil, nil
	var below []*jsonschema.Schema
	schemasIn(reflect.ValueOf(s).Elem(), &below)
	below = append(below, to...)
	switch alone := isTrue(s); {
	case len(to) == 1 && alone:
		s.Ref = to[0]
	default:
		s.AllOf = append(to, s.AllOf...)
	}
	if len(s.OneOf) > 0 && len(s.AnyOf)+len(s.AllOf) > 0 {
		s.AllOf, s.OneOf = append(s.AllOf, &jsonschema.Schema{OneOf: s.OneOf}), nil
	}
	if len(s.AnyOf) > 0 && len(s.AllOf) > 0 {
		s.AllOf, s.AnyOf = append(s.AllOf, &jsonschema.Schema{AnyOf: s.AnyOf}), nil
	}
	for _, b := range below {
		spelledOut(b, seen)
	}
}

// schemasIn finds the schemas that stand in the fields of one.
func schemasIn(v reflect.Value, found *[]*jsonschema.Schema) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				schemasIn(v.Field(i), found)
			}
		}
	case reflect.Interface:
		schemasIn(v.Elem(), found)
	case reflect.Slice:
		for i := range v.Len() {
			schemasIn(v.Index(i), found)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			schemasIn(v.MapIndex(key), found)
		}
	case reflect.Pointer:
		if s, ok := v.Interface().(*jsonschema.Schema); ok && s != nil {
			*found = append(*found, s)
		}
	}
}
