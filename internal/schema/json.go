package schema

import (
	"errors"

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
	return &Schema{Type: JSON, Text: encodeOrdered(doc, false), Normal: encodeOrdered(doc, true), json: &jsonSchema{root}}, nil
}
