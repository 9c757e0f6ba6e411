package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
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
	if d == nil || e.null || e.absent || e.form == asBytes && schema == nil {
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

// fieldOf is the text of a field, which is the same whatever form the event came in. Of Protobuf it is that of the message, since JSON has two
// names of a field; of Avro it is that of the value where JSON has several forms, as of times.
func fieldOf(schema *values.Schema, e *event, encoded []byte, path string) ([]byte, *Problem) {
	if schema == nil || e.form == asJSON && schema.Registered().Type != registry.Protobuf && !schema.ManyForms(path) {
		return fieldIn(e.value, path)
	}
	if schema.Registered().Type == registry.Protobuf {
		text, err := schema.Text(encoded, path)
		if err != nil {
			return nil, invalid.of("the topic's declaration takes %s as key or id: %v", path, err).at(pointer(path))
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

// pointer is the JSON pointer to a declared field.
func pointer(path string) (at string) {
	for name := range strings.SplitSeq(path, ".") {
		at += jsonscan.Token(name)
	}
	return at
}

// fieldIn is the text of a string or number in a document.
func fieldIn(document []byte, path string) ([]byte, *Problem) {
	if text := plainField(document, path); len(text) > 0 {
		return text, nil
	}
	return anyField(document, path)
}

// oneText is a number in one of its texts: 1, 1.0, 1e0 and 10e-1 are one key, and -0 is 0.
func oneText(number []byte) []byte {
	if string(number) != "-0" && !bytes.ContainsAny(number, ".eE") {
		return number
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(number)), "e")
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	shift, err := 0, error(nil)
	if exponent != "" {
		shift, err = strconv.Atoi(exponent)
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return []byte("0")
	}
	if err != nil { // nobody counts so far
		return number
	}
	shift -= len(fraction)
	shift += len(digits) - len(strings.TrimRight(digits, "0"))
	digits = strings.TrimRight(digits, "0")
	const longest = 40
	switch point := len(digits) + shift; {
	case shift >= 0 && point <= longest:
		digits += strings.Repeat("0", shift)
	case shift >= 0, point < -longest:
		digits += "e" + strconv.Itoa(shift)
	case point > 0:
		digits = digits[:point] + "." + digits[point:]
	default:
		digits = "0." + strings.Repeat("0", -point) + digits
	}
	if negative {
		digits = "-" + digits
	}
	return []byte(digits)
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
		at += jsonscan.Token(name)
		switch len(members) {
		case 0:
			return nil, invalid.of("the field %s is missing, which the topic's declaration takes as key or id", path).at(at)
		case 1:
			value = members[0]
		default:
			return nil, invalid.of("the field %s comes %d times, and the topic's declaration takes it as key or id", path, len(members)).at(at)
		}
	}
	if bytes.HasPrefix(value, []byte{'"'}) {
		text, err := textOf(value)
		if err != nil {
			return nil, invalid.of("the field %s, which the topic's declaration takes as key or id: %v", path, err).at(at)
		}
		if text != "" {
			return []byte(text), nil
		}
	}
	var number json.Number
	if len(value) > 0 && value[0] != '"' && json.Unmarshal(value, &number) == nil && number != "" {
		return oneText([]byte(number)), nil
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
				text = oneText(text)
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
