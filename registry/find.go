package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is a schema as registries answer it.
type answer struct {
	Subject    string          `json:"subject"`
	Version    int             `json:"version"`
	ID         int             `json:"id"`
	GUID       string          `json:"guid"`
	SchemaType Type            `json:"schemaType"`
	Schema     string          `json:"schema"`
	References []Reference     `json:"references"`
	Metadata   json.RawMessage `json:"metadata"`
	RuleSet    json.RawMessage `json:"ruleSet"`
	Deleted    bool            `json:"deleted"`
}

func (a *answer) registered() *Registered {
	return &Registered{
		Schema:  Schema{Type: cmp.Or(a.SchemaType, Avro), Text: a.Schema, References: a.References, Metadata: given(a.Metadata), RuleSet: given(a.RuleSet)},
		Subject: a.Subject, Version: a.Version, ID: a.ID, GUID: a.GUID, Deleted: a.Deleted,
	}
}

// given is nil for null.
func given(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// ByID finds the schema of an id with all that it refers to, and keeps it. It returns when ctx ends, and goes on fetching for who asks next.
func (c *Client) ByID(ctx context.Context, id int) (*Registered, error) {
	return c.schemas.get(ctx, strconv.Itoa(id), func() (*Registered, error) {
		return c.fetch(fmt.Sprintf("get schema %d", id), []string{"schemas", "ids", strconv.Itoa(id)}, nil, func(a *answer) { a.ID = id })
	})
}

// ByIDOf finds the schema of an id as ByID does, for a value of a subject: where that subject, or in a registry with contexts the one of its name in
// another of these, has the id, it is the schema of that one. A subject with a context, as :.billing:order-value, stands for its context.
func (c *Client) ByIDOf(ctx context.Context, id int, subject string) (*Registered, error) {
	within, _ := split(subject)
	switch {
	case within != "":
		subject = ":" + within + ":" // in which an id is one schema, whatever its subject
	case subject == "" || c.context != "":
		return c.ByID(ctx, id)
	}
	return c.schemas.get(ctx, fmt.Sprintf("%d of %s", id, subject), func() (*Registered, error) {
		return c.fetch(fmt.Sprintf("get schema %d of %s", id, subject), []string{"schemas", "ids", strconv.Itoa(id)},
			url.Values{"subject": {subject}, "referenceFormat": {"qualified"}}, func(a *answer) {
				if within != "" { // old registries do not say it
					a.Subject = subject
				}
				a.ID = id
			})
	})
}

// split takes the context off a subject's name; "" is none, or the default one.
func split(subject string) (context, name string) {
	if !strings.HasPrefix(subject, ":.") {
		return "", subject
	}
	context, name, _ = strings.Cut(subject[1:], ":")
	if context == "." {
		context = ""
	}
	return context, name
}

// Qualified is the whole name of a subject, with the client's context where it names none. The subject "" is a context itself, or everything.
func (c *Client) Qualified(subject string) string {
	context, name := split(subject)
	if !strings.HasPrefix(subject, ":.") {
		context = c.context
	}
	return qualify(context, name)
}

// Beside is the whole name of a subject that is named by the schema of another one, in whose context it is unless it names one itself.
func Beside(of, subject string) string {
	context, _ := split(of)
	return qualify(context, subject)
}

func qualify(context, name string) string {
	if context == "" || strings.HasPrefix(name, ":.") {
		return name
	}
	return ":" + context + ":" + name
}

// guidForm is how GUIDs are written.
var guidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// guidPath is where a registry that knows GUIDs has their schemas.
const guidPath = "/schemas/guids/"

// ByGUID finds the schema of a GUID, as ByID does. Of a registry that does not know GUIDs, as Apicurio 3.0, it cannot be asked: [ErrAway].
func (c *Client) ByGUID(ctx context.Context, guid string) (*Registered, error) {
	op := "get schema " + guid
	if !guidForm.MatchString(guid) {
		return nil, &Error{Op: op, Err: fmt.Errorf("%q is no GUID", guid), kind: ErrRefused}
	}
	return c.schemas.get(ctx, guid, func() (*Registered, error) {
		return c.fetch(op, []string{"schemas", "guids", guid}, url.Values{"referenceFormat": {"qualified"}}, func(a *answer) { a.GUID, a.ID = guid, 0 })
	})
}

// fetch asks for a schema and what it refers to, of no certain subject. It is ended by Close and by its own time only.
func (c *Client) fetch(op string, path []string, params url.Values, known func(*answer)) (*Registered, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout*time.Duration(len(c.servers)))
	defer cancel()
	var a answer
	if err := c.ask(ctx, op, http.MethodGet, path, params, nil, &a); err != nil {
		return nil, err
	}
	known(&a)
	within, _ := split(a.Subject)
	a.Subject, a.Version = "", 0
	r := a.registered()
	return r, c.imports(ctx, op, within, r.References, &r.Imports, 0)
}

// maxImports bounds what a schema may refer to, directly or not, and how deep.
const (
	maxImports = 1000
	maxDepth   = 100
)

// imports finds references, each after its own, in the context of what refers to them. A version that was deleted softly is still what a schema refers to.
func (c *Client) imports(ctx context.Context, op, within string, references []Reference, list *[]Import, depth int) error {
	if depth > maxDepth || len(*list) > maxImports {
		return &Error{Op: op, Err: fmt.Errorf("it refers to more than %d schemas, or over more than %d steps", maxImports, maxDepth), kind: ErrRefused}
	}
	for _, r := range references {
		if slices.ContainsFunc(*list, func(i Import) bool { return i.Name == r.Name }) {
			continue
		}
		var a answer
		subject := qualify(within, r.Subject)
		path := []string{"subjects", subject, "versions", version(r.Version)}
		if err := c.ask(ctx, op+", which refers to "+r.Name, http.MethodGet, path, url.Values{"deleted": {"true"}}, nil, &a); err != nil {
			return err
		}
		below, _ := split(cmp.Or(a.Subject, subject))
		if err := c.imports(ctx, op, below, a.References, list, depth+1); err != nil {
			return err
		}
		*list = append(*list, Import{Name: r.Name, Text: a.Schema})
	}
	return nil
}

// version is a version in a path.
func version(n int) string {
	if n < 1 {
		return "latest"
	}
	return strconv.Itoa(n)
}

// described is a version in words.
func described(n int, subject string) string {
	if n < 1 {
		return fmt.Sprintf("the latest version of subject %q", subject)
	}
	return fmt.Sprintf("version %d of subject %q", n, subject)
}

// Latest finds the latest version of a subject, or of one of its name in another context, with all that it refers to. It asks each time.
func (c *Client) Latest(ctx context.Context, subject string) (*Registered, error) {
	return c.Version(ctx, subject, -1)
}

// Version finds a version of a subject with all that it refers to; -1 is the latest. It asks each time. A registry answers for a subject that is not in
// the default context with one of its name in another context: the Subject of what is found says so.
func (c *Client) Version(ctx context.Context, subject string, n int) (*Registered, error) {
	op := "get " + described(n, subject)
	var a answer
	if err := c.ask(ctx, op, http.MethodGet, []string{"subjects", subject, "versions", version(n)}, nil, nil, &a); err != nil {
		return nil, err
	}
	within, _ := split(cmp.Or(a.Subject, subject))
	r := a.registered()
	return r, c.imports(ctx, op, within, r.References, &r.Imports, 0)
}

// Subjects are the names of all subjects, in the registry's order; those that were deleted softly too where they are wanted.
func (c *Client) Subjects(ctx context.Context, deleted bool) ([]string, error) {
	var list []string
	return list, c.ask(ctx, "list the subjects", http.MethodGet, []string{"subjects"}, params(deleted, "deleted"), nil, &list)
}

// Versions are the versions of a subject, the oldest first.
func (c *Client) Versions(ctx context.Context, subject string, deleted bool) ([]int, error) {
	var list []int
	err := c.ask(ctx, fmt.Sprintf("list the versions of subject %q", subject), http.MethodGet, []string{"subjects", subject, "versions"}, params(deleted, "deleted"), nil, &list)
	return list, err
}

// params are query parameters that are true.
func params(on bool, name string) url.Values {
	if !on {
		return nil
	}
	return url.Values{name: {"true"}}
}
