package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// fromFields takes key and id from the fields that are declared, where the request names none. encoded is the record's value, which is
// made with the schema, nil for none.
func fromFields(d *declared.Event, schema *values.Schema, e *event, encoded []byte) *Problem {
	if d == nil || e.null || e.form == asBytes && schema == nil {
		return nil
	}
	field := func(path string) ([]byte, *Problem) { return fieldOf(schema, e, encoded, path) }
	if d.Key != "" && e.key == nil {
		text, p := field(d.Key)
		if p != nil {
			return p
		}
		e.key, e.keyText = text, true
	}
	if d.ID != "" && e.id == "" {
		text, p := field(d.ID)
		if p != nil {
			return p
		}
		e.id = string(text)
	}
	return nil
}

// fieldOf is the text of a field. Of Protobuf it is that of the message, so that it is the same whatever form the event came in: JSON has two
// names of a field, and several texts of a number.
func fieldOf(schema *values.Schema, e *event, encoded []byte, path string) ([]byte, *Problem) {
	if schema == nil || e.form == asJSON && schema.Registered().Type != registry.Protobuf {
		return fieldIn(e.value, path)
	}
	if schema.Registered().Type == registry.Protobuf {
		text, err := schema.Text(encoded, path)
		if err != nil {
			return nil, invalid.of("the topic's declaration takes %s as key or id: %v", path, err).at("/" + strings.ReplaceAll(path, ".", "/"))
		}
		return []byte(text), nil
	}
	_, rest, _, err := framing.Read(encoded, nil)
	if err != nil {
		return nil, ofValue(err)
	}
	document, err := schema.JSON(encoded, rest, false)
	if err != nil {
		return nil, ofValue(err)
	}
	return fieldIn(document, path)
}

// fieldIn is the text of a string or number in a document.
func fieldIn(document []byte, path string) ([]byte, *Problem) {
	if text := plainField(document, path); len(text) > 0 {
		return text, nil
	}
	return anyField(document, path)
}

// anyField is fieldIn for any document.
func anyField(document []byte, path string) ([]byte, *Problem) {
	at, value := "", json.RawMessage(document)
	for name := range strings.SplitSeq(path, ".") {
		members, err := membersOf(value, name)
		if err != nil {
			if !json.Valid(document) {
				return nil, checkJSON(document)
			}
			return nil, invalid.of("this is no object, and the topic's declaration takes %s from it", path).at(at)
		}
		at += "/" + name
		switch len(members) {
		case 0:
			return nil, invalid.of("the field %s is missing, which the topic's declaration takes as key or id", path).at(at)
		case 1:
			value = members[0]
		default:
			return nil, invalid.of("the field %s comes %d times, and the topic's declaration takes it as key or id", path, len(members)).at(at)
		}
	}
	var text string
	if json.Unmarshal(value, &text) == nil && text != "" {
		return []byte(text), nil
	}
	var number json.Number
	if len(value) > 0 && value[0] != '"' && json.Unmarshal(value, &number) == nil && number != "" {
		return []byte(number), nil
	}
	return nil, invalid.of("the field %s is neither a text with a character nor a number", path).at(at)
}

// membersOf are the values of all members of an object that have a name.
func membersOf(object []byte, name string) (values []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errNoObject
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if token == name {
			values = append(values, value)
		}
	}
	_, err = d.Token()
	return values, err
}

var errNoObject = errors.New("no object")

// plainField finds a field without taking the rest of the document apart. Of a document with any mistake, or with a name that comes twice, it
// finds none: what is to be said of those, anyField says.
func plainField(document []byte, path string) (text []byte) {
	s := jsonscan.New(document)
	var read func(path string) error
	read = func(path string) error {
		first, rest, deeper := strings.Cut(path, ".")
		return s.Object(func(name []byte) (err error) {
			switch {
			case string(name) != first:
				return s.Skip()
			case deeper:
				return read(rest)
			}
			switch s.Peek() {
			case '"':
				text, err = s.String()
			case '0':
				text, err = s.Number()
			default:
				err = s.Skip()
			}
			return err
		})
	}
	if read(path) != nil || s.End() != nil {
		return nil
	}
	return text
}
