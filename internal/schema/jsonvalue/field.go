package jsonvalue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// HasText says whether a document that the schema takes may have a text or a number at a path, which is the names of the properties that lead
// to it, with dots between them. An object whose schema lists its properties is taken to have no others, also where it allows them: a name that
// is not in the list is mostly misspelt. Of what is not plain, such as alternatives and patterns, nothing is said.
func HasText(s *jsonschema.Schema, path string) error {
	for range deepestReference {
		if s.Ref == nil {
			break
		}
		s = s.Ref
	}
	name, rest, _ := strings.Cut(path, ".")
	switch {
	case s.Bool != nil && !*s.Bool:
		return errors.New("the schema takes no value there")
	case !plain(s):
		return nil
	case path == "" && s.Types != nil && !s.Types.IsEmpty() && !slices.ContainsFunc(s.Types.ToStrings(), isText):
		return errors.New("it is neither a text nor a number")
	case path == "":
		return nil
	case s.Types != nil && !s.Types.IsEmpty() && !slices.Contains(s.Types.ToStrings(), "object"):
		return fmt.Errorf("%s has no properties, so no property %s", s.Types, name)
	case len(s.Properties) == 0:
		if s.AdditionalProperties == false {
			return fmt.Errorf("the object has no property %s, and none at all", name)
		}
		return nil
	}
	property, ok := s.Properties[name]
	if !ok {
		return fmt.Errorf("the object has no property %s, but %s", name, strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", "))
	}
	return HasText(property, rest)
}

// deepestReference bounds how often a reference is followed to another one: they may go in a circle.
const deepestReference = 16

// plain says whether a schema itself says all about its object's properties.
func plain(s *jsonschema.Schema) bool {
	return s.Ref == nil && s.DynamicRef == nil && s.RecursiveRef == nil && len(s.AllOf)+len(s.AnyOf)+len(s.OneOf)+len(s.PatternProperties)+len(s.DependentSchemas) == 0 && s.If == nil
}

func isText(kind string) bool { return kind == "string" || kind == "number" || kind == "integer" }
