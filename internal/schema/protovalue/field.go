package protovalue

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Text is the text of a field in an encoded message: a string, a number, the name of an enum's symbol, or what these types of Google's are in
// JSON. path has the names of the fields that lead to it, with dots between them, as the file has them or as JSON has them. A field that
// is not set has none; where Protobuf does not tell whether it is set, that is one with 0 or an empty string.
func (f *File) Text(m protoreflect.MessageDescriptor, encoded []byte, path string) (string, error) {
	message := dynamicpb.NewMessage(m)
	if err := (proto.UnmarshalOptions{Resolver: f.types, RecursionLimit: maxDepth}).Unmarshal(encoded, message); err != nil {
		return "", err
	}
	in := protoreflect.Message(message)
	for {
		name, rest, deeper := strings.Cut(path, ".")
		field := named(in.Descriptor(), name)
		switch {
		case field == nil:
			return "", fmt.Errorf("the message %s has no field %s", in.Descriptor().FullName(), name)
		case field.IsList() || field.IsMap():
			return "", fmt.Errorf("the field %s has several values", name)
		case !in.Has(field) && !field.HasPresence():
			return "", fmt.Errorf("the field %s is not set, or 0 or empty, which Protobuf does not tell apart", name)
		case !in.Has(field):
			return "", fmt.Errorf("the field %s is not set", name)
		case !deeper:
			return f.text(field, in.Get(field))
		case field.Message() == nil:
			return "", fmt.Errorf("the field %s has no fields", name)
		}
		in, path = in.Get(field).Message(), rest
	}
}

// HasText says whether a message may have a Text at the path.
func HasText(m protoreflect.MessageDescriptor, path string) error {
	for {
		name, rest, deeper := strings.Cut(path, ".")
		field := named(m, name)
		switch {
		case field == nil:
			return fmt.Errorf("the message %s has no field %s, but %s", m.FullName(), name, strings.Join(names(m), ", "))
		case field.IsList() || field.IsMap():
			return fmt.Errorf("the field %s has several values", name)
		case !deeper && field.Kind() == protoreflect.BoolKind, !deeper && field.Message() != nil && !strings.HasPrefix(string(field.Message().FullName()), "google.protobuf."):
			return fmt.Errorf("the field %s is neither a text nor a number", name)
		case !deeper:
			return nil
		case field.Message() == nil:
			return fmt.Errorf("the field %s has no fields", name)
		}
		m, path = field.Message(), rest
	}
}

// named is the field that the file, or JSON, calls so; nil for none.
func named(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := m.Fields().ByTextName(name); field != nil {
		return field
	}
	return m.Fields().ByJSONName(name)
}

func names(m protoreflect.MessageDescriptor) []string {
	list := make([]string, m.Fields().Len())
	for i := range list {
		list[i] = m.Fields().Get(i).TextName()
	}
	return list
}

var errNoText = errors.New("the field is neither a text with a character nor a number")

func (f *File) text(field protoreflect.FieldDescriptor, v protoreflect.Value) (string, error) {
	text := ""
	switch field.Kind() {
	case protoreflect.StringKind:
		text = v.String()
	case protoreflect.BytesKind:
		text = base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.EnumKind:
		text = strconv.Itoa(int(v.Enum()))
		if symbol := field.Enum().Values().ByNumber(v.Enum()); symbol != nil {
			text = string(symbol.Name())
		}
	case protoreflect.BoolKind:
	case protoreflect.MessageKind, protoreflect.GroupKind:
		raw, err := protojson.MarshalOptions{Resolver: f.types}.Marshal(v.Message().Interface())
		if err != nil {
			return "", err
		}
		var number json.Number
		if json.Unmarshal(raw, &text) != nil && json.Unmarshal(raw, &number) == nil {
			text = number.String()
		}
	default:
		text = fmt.Sprint(v.Interface())
	}
	if text == "" {
		return "", errNoText
	}
	return text, nil
}
