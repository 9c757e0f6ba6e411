package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Incompatibility is a change in a schema that breaks readers.
type Incompatibility struct {
	Rule   string // what happened, by Confluent's name for it: READER_FIELD_MISSING_DEFAULT_VALUE; "" where the registry names none
	Detail string // in the registry's words, with the place in the schema
}

func (i Incompatibility) String() string {
	if i.Rule == "" {
		return i.Detail
	}
	return i.Rule + ": " + i.Detail
}

// errorForm is an incompatibility as Confluent's registry and Weir's write it.
var errorForm = regexp.MustCompile(`(?s)\{errorType: ?'([A-Z_]+)', description: ?'(.*?)', additionalInfo: ?'.*?'\}`)

// reasonsIn reads the incompatibilities in a message.
func reasonsIn(message string) (list []Incompatibility) {
	for _, m := range errorForm.FindAllStringSubmatch(message, -1) {
		list = append(list, Incompatibility{m[1], m[2]})
	}
	if list == nil {
		list = []Incompatibility{{Detail: strings.TrimSpace(message)}}
	}
	return list
}

// request is a schema as registries are given it.
type request struct {
	Schema     string          `json:"schema"`
	SchemaType Type            `json:"schemaType,omitempty"`
	References []Reference     `json:"references,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	RuleSet    json.RawMessage `json:"ruleSet,omitempty"`
}

func requestOf(s Schema) *request {
	q := &request{s.Text, s.Type, s.References, s.Metadata, s.RuleSet}
	if q.SchemaType == Avro { // which old servers do not know by its name
		q.SchemaType = ""
	}
	return q
}

// made is the answer to a registration. Old servers answer the id and nothing else.
type made struct{ ID, Version int }

// Register registers a schema as the next version of a subject, and finds it where it is one already. The id does not change from then
// on. [ErrIncompatible]: it would break readers, and the error lists how; [ErrRefused]: it is no schema, or the subject is read-only.
// Metadata and a RuleSet that are nil are those of the latest version, in Weir's registry and Confluent's, and so is a Text that is empty; {} says that there
// are none.
//
// After [ErrAway] it may be registered or not: do it again.
func (c *Client) Register(ctx context.Context, subject string, s Schema) (*Registered, error) {
	op := fmt.Sprintf("register a schema in subject %q", subject)
	var registered made
	if err := c.ask(ctx, op, http.MethodPost, []string{"subjects", subject, "versions"}, nil, requestOf(s), &registered); err != nil {
		return nil, err
	}
	if registered.Version > 0 { // with metadata of the version before it may be another schema to a lookup by now
		return c.Stored(ctx, subject, registered.Version)
	}
	return c.Lookup(ctx, subject, s)
}

// Lookup finds the version of a subject that is this schema. [ErrNotFound]: none is. Its Imports are not looked up.
func (c *Client) Lookup(ctx context.Context, subject string, s Schema) (*Registered, error) {
	var a answer
	if err := c.ask(ctx, fmt.Sprintf("look up a schema in subject %q", subject), http.MethodPost, []string{"subjects", subject}, nil, requestOf(s), &a); err != nil {
		return nil, err
	}
	return a.registered(), nil
}

// Check says why a schema cannot become the next version of a subject, by the subject's level. Nothing: it can. A subject that is not
// there takes any schema.
func (c *Client) Check(ctx context.Context, subject string, s Schema) ([]Incompatibility, error) {
	var a struct {
		Is       *bool    `json:"is_compatible"`
		Messages []string `json:"messages"`
	}
	op := fmt.Sprintf("check a schema against subject %q", subject)
	err := c.ask(ctx, op, http.MethodPost, []string{"compatibility", "subjects", subject, "versions"}, url.Values{"verbose": {"true"}}, requestOf(s), &a)
	var list []Incompatibility
	switch {
	case isCode(err, 40401), isCode(err, 40402):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Is == nil:
		return nil, away(op, fmt.Errorf("what answers is no schema registry"))
	case *a.Is:
		return nil, nil
	}
	for _, m := range a.Messages {
		if errorForm.MatchString(m) {
			list = append(list, reasonsIn(m)...)
		}
	}
	if list == nil {
		for _, m := range a.Messages {
			list = append(list, Incompatibility{Detail: m})
		}
	}
	if list == nil {
		list = []Incompatibility{{Detail: "the registry does not say why"}}
	}
	return list, nil
}

// DeleteSubject deletes the versions of a subject, and tells which they were. Softly: they are still found by their ids, and can be
// registered again. For good: this needs a soft deletion before.
func (c *Client) DeleteSubject(ctx context.Context, subject string, permanent bool) (versions []int, err error) {
	err = c.ask(ctx, fmt.Sprintf("delete subject %q", subject), http.MethodDelete, []string{"subjects", subject}, params(permanent, "permanent"), nil, &versions)
	return versions, err
}

// DeleteVersion deletes one version of a subject, as DeleteSubject does all.
func (c *Client) DeleteVersion(ctx context.Context, subject string, n int, permanent bool) error {
	var was int
	return c.ask(ctx, fmt.Sprintf("delete version %s of subject %q", version(n), subject), http.MethodDelete,
		[]string{"subjects", subject, "versions", version(n)}, params(permanent, "permanent"), nil, &was)
}
