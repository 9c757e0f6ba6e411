// Package schema parses Avro, Protobuf and JSON schemas and says which changes of one break readers.
//
// A Schema is what a registry stores: its text in a canonical form, so that two spellings of one schema are one, and what it
// means. Read compares two of a type by the rules that Confluent documents for its registry and names each incompatibility with
// its path. Check does so for a level of compatibility.
//
// The package knows no registry and opens no file or connection: what a schema refers to comes with it.
package schema

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/schema/source"
)

// Type is the language of a schema, by the registries' name for it.
type Type string

const (
	Avro     Type = "AVRO"
	Protobuf Type = "PROTOBUF"
	JSON     Type = "JSON"
)

// Types are all types, in the order in which registries list them.
var Types = []Type{JSON, Protobuf, Avro}

// ParseType is the type of a name, in upper or lower case.
func ParseType(name string) (Type, error) {
	for _, t := range Types {
		if strings.EqualFold(name, string(t)) {
			return t, nil
		}
	}
	return "", fmt.Errorf("%q is no type of schemas: give avro, protobuf or json", name)
}

// Source is a schema as it is written.
type Source struct {
	Type Type
	Text string
	// Imports are the schemas that this one refers to, and those that they refer to, each after its own.
	Imports []Import
	// Stored says that a registry has the schema already. What another one took, or took once, is understood wherever its meaning is clear.
	Stored bool
}

// Import is a schema that others refer to by a name: the full name of an Avro type, the path of a Protobuf file, or the $ref of a
// JSON schema.
type Import = source.Import

// Schema is a schema that was understood. It is not changed by anything.
type Schema struct {
	Type Type
	// Text is the canonical form: white space and spellings that mean the same are taken out. It is what a registry stores, and
	// parses to the same schema with the same imports.
	Text string
	// Normal is Text with everything in order whose order means nothing.
	Normal string

	avro  *avroType
	proto *protoFile
	json  *jsonSchema
}

// Parse understands a schema. Its error says what is wrong with it, and where.
func Parse(s Source) (*Schema, error) {
	switch s.Type {
	case Avro:
		return parseAvro(s)
	case Protobuf:
		return parseProtobuf(s)
	case JSON:
		return parseJSON(s)
	}
	return nil, fmt.Errorf("%q is no type of schemas", s.Type)
}

// Difference is a change that breaks a reader.
type Difference struct {
	Rule   string `json:"rule"`   // what happened, by Confluent's name for it: READER_FIELD_MISSING_DEFAULT_VALUE
	Path   string `json:"path"`   // where in the schema: /fields/1
	Detail string `json:"detail"` // in words
}

// Read lists why a reader with one schema cannot read all that a writer with the other writes. None: it can.
func Read(reader, writer *Schema) []Difference {
	if reader.Type != writer.Type {
		return []Difference{{"TYPE_CHANGED", "/", fmt.Sprintf("the schema is %s, and the other is %s: a subject keeps its type", reader.Type, writer.Type)}}
	}
	switch reader.Type {
	case Avro:
		return readAvro(reader.avro, writer.avro)
	case Protobuf:
		return readProtobuf(reader.proto, writer.proto)
	default:
		return readJSON(reader.json, writer.json)
	}
}
