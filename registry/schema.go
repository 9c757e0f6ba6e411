package registry

import (
	"context"
	"encoding/json"

	"github.com/weirstream/weir/internal/schema/source"
)

// Type is the language of a schema.
type Type string

// The languages, by the registries' names for them.
const (
	Avro     Type = "AVRO"
	Protobuf Type = "PROTOBUF"
	JSON     Type = "JSON"
)

// Schema is a schema as it is registered.
type Schema struct {
	Type       Type // none is Avro
	Text       string
	References []Reference
	// Metadata and RuleSet are JSON objects as Confluent describes them, nil where there are none. Weir's codecs do not act on them.
	Metadata, RuleSet json.RawMessage
}

// Reference is a version of a subject to which a schema refers by a name: the full name of an Avro type, the path of a Protobuf file,
// or the $ref of a JSON schema.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"` // -1 is the latest when the schema is registered
}

// Dependency is a schema that the schema of a codec refers to, as the program has it. It is registered in a subject of its own: by a start
// with --schemas register, or before with weir schema register.
type Dependency struct {
	// Name is how it is referred to: see [Reference]. An Avro type that states none is called by its full name.
	Name    string
	Subject string // default: Name
	Text    string
	Uses    []Dependency // what it refers to itself
}

// Registered is a schema that a registry has.
type Registered struct {
	Schema
	ID   int
	GUID string // "" where the registry knows none
	// Subject and Version are empty where the schema was asked for by an ID or GUID: it may be in several subjects.
	Subject string
	Version int
	Deleted bool // softly: it is still found by its id
	// Imports are the texts that the schema refers to, and those that they refer to, each after its own. Found by [Client.ByID],
	// [Client.ByGUID], [Client.Latest] and [Client.Version].
	Imports []Import
}

// Import is the text of a reference: Name is that of the reference.
type Import = source.Import

// Source finds registered schemas. [Client] is one. Its methods may be called from several goroutines, and what they return is shared:
// do not change it.
type Source interface {
	// ByID finds the schema of an id.
	ByID(ctx context.Context, id int) (*Registered, error)
	// ByGUID finds the schema of a GUID, written as 8-4-4-4-12 hexadecimal digits.
	ByGUID(ctx context.Context, guid string) (*Registered, error)
	// Latest finds the latest version of a subject.
	Latest(ctx context.Context, subject string) (*Registered, error)
}
