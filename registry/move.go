package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// ResetMode deletes the mode of a subject, or of everything for "": what holds for everything holds for it.
func (c *Client) ResetMode(ctx context.Context, subject string) error {
	path, of := scope("mode", subject)
	return c.ask(ctx, "delete the mode of "+of, http.MethodDelete, path, nil, nil, nil)
}

// Stored finds a version of a subject as Version does, also one that was deleted softly, and none in another context. Its Imports are not looked up.
func (c *Client) Stored(ctx context.Context, subject string, n int) (*Registered, error) {
	var a answer
	op := "get " + described(n, subject)
	if err := c.ask(ctx, op, http.MethodGet, []string{"subjects", subject, "versions", version(n)}, url.Values{"deleted": {"true"}}, nil, &a); err != nil {
		return nil, err
	}
	if a.Subject != "" && c.Qualified(a.Subject) != c.Qualified(subject) {
		return nil, &Error{Op: op, Err: fmt.Errorf("the registry has it in another context only, as %s", a.Subject), kind: ErrNotFound}
	}
	return a.registered(), nil
}

// RegisterAs registers a schema as it was registered elsewhere: under its id, and as its version. The subject must be in the mode
// IMPORT; nothing is checked against other versions. [ErrRefused]: the id is that of another schema, or the version is there.
func (c *Client) RegisterAs(ctx context.Context, r *Registered) error {
	body := struct {
		*request
		ID      int `json:"id"`
		Version int `json:"version"`
	}{requestOf(r.Schema), r.ID, r.Version}
	var registered made
	op := fmt.Sprintf("register version %d of subject %q under id %d", r.Version, r.Subject, r.ID)
	err := c.ask(ctx, op, http.MethodPost, []string{"subjects", r.Subject, "versions"}, nil, body, &registered)
	if err == nil && registered.ID != r.ID {
		err = &Error{Op: op, Err: fmt.Errorf("the registry gave it the id %d", registered.ID), kind: ErrRefused}
	}
	return err
}

// MarshalJSON writes a schema as registries show it; what is not there is left out.
func (r *Registered) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Subject    string          `json:"subject,omitempty"`
		Version    int             `json:"version,omitempty"`
		ID         int             `json:"id"`
		GUID       string          `json:"guid,omitempty"`
		SchemaType Type            `json:"schemaType"`
		Schema     string          `json:"schema"`
		References []Reference     `json:"references,omitempty"`
		Metadata   json.RawMessage `json:"metadata,omitempty"`
		RuleSet    json.RawMessage `json:"ruleSet,omitempty"`
		Deleted    bool            `json:"deleted,omitempty"`
	}{r.Subject, r.Version, r.ID, r.GUID, cmp.Or(r.Type, Avro), r.Text, r.References, r.Metadata, r.RuleSet, r.Deleted})
}

// UnmarshalJSON reads what MarshalJSON and registries write.
func (r *Registered) UnmarshalJSON(data []byte) error {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return err
	}
	*r = *a.registered()
	return nil
}
