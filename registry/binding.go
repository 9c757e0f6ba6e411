package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// Naming is how a codec finds the subject of a schema. Confluent's clients have the same three.
type Naming int

// The namings.
const (
	TopicName       Naming = iota // <topic>-value and <topic>-key
	RecordName                    // the full name of the record or message: several types in a topic
	TopicRecordName               // <topic>-<full name>
)

// Form is where a record says which schema its value was written with. Codecs read both.
type Form int

// The forms.
const (
	InValue  Form = iota // magic byte 0 and the schema's id before the value
	InHeader             // magic byte 1 and the schema's GUID in the header __value_schema_id or __key_schema_id
)

// Binding says how a codec uses a registry. The zero Binding will do.
type Binding struct {
	// Subject is the subject that the schema is in. Default: what the stream states (topology.Subject), or what Naming makes. One with a context,
	// :.billing:order-value, has the ids of that context, written and read.
	Subject string
	Naming  Naming
	Form    Form // how values are written
	// MissingAfter is how long after a record was written its schema may still come: a mirrored registry may lag. So long the record waits;
	// then it is a dead letter. For a record with no time, or one in the future, it is how long after the schema was first looked for.
	// Default: 5 minutes.
	MissingAfter time.Duration
	// Wait is how long a record of an unknown schema holds up others of its worker while the registry is asked; then it waits alone.
	// Default: 200 ms.
	Wait time.Duration
}

// Registered finds the version of a subject that a schema is, as Lookup does, and keeps it. It returns when ctx ends, and goes on
// asking for who asks next.
func (c *Client) Registered(ctx context.Context, subject string, s Schema) (*Registered, error) {
	content, err := json.Marshal(requestOf(s))
	if err != nil {
		return nil, &Error{Op: "look up a schema", Err: err, kind: ErrRefused}
	}
	return c.schemas.get(ctx, fmt.Sprintf("%s %x", subject, sha256.Sum256(content)), func() (*Registered, error) {
		ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
		defer cancel()
		return c.Lookup(ctx, subject, s)
	})
}
