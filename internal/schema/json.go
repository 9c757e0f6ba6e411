package schema

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type jsonSchema struct{ root *jsonschema.Schema }

// jsonBase is where a schema and its references are said to be, so that a relative $ref finds a reference by its name.
const jsonBase = "weir:///schemas/"

// noLoader keeps a schema from naming files and addresses that would be read.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("no reference is named %q", strings.TrimPrefix(url, jsonBase))
}

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
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noLoader{})
	add := func(name, text string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		if !strings.Contains(name, "://") {
			name = jsonBase + name
		}
		return c.AddResource(name, v)
	}
	for _, in := range s.Imports {
		if err := add(in.Name, in.Text); err != nil {
			return nil, fmt.Errorf("reference %s: %w", in.Name, err)
		}
	}
	const main = "%00schema"
	if err := add(main, s.Text); err != nil {
		return nil, err
	}
	root, err := c.Compile(jsonBase + main)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), jsonBase+main, ""))
	}
	return &Schema{Type: JSON, Text: encodeOrdered(doc, false), Normal: encodeOrdered(doc, true), json: &jsonSchema{root}}, nil
}
