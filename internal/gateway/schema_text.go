package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// byText is a schema that stands in a request, t its type, "" for that of the subject's. It is the latest where the registry would call it the same: clients
// send the text that they have, and the registry keeps a canonical one.
func (s *schemas) byText(name string, t registry.Type, text string) (*values.Schema, *Problem) {
	var other *registry.Registered // that the text is not
	fits := func(latest *registry.Registered) bool {
		if latest == other || t != "" && cmp.Or(latest.Type, registry.Avro) != t {
			return false
		}
		if s.texts.same(latest, text) {
			return true
		}
		other = latest
		return false
	}
	latest, sure, p := s.named(name, fits)
	if p != nil {
		return nil, p
	}
	if latest != nil && fits(latest.Registered()) {
		return latest, nil
	}
	given := &registry.Registered{Schema: registry.Schema{Type: t, Text: text}}
	if latest != nil {
		given.Type = cmp.Or(t, latest.Registered().Type)
		given.Imports = latest.Registered().Imports // a request cannot say what its schema refers to
	}
	if _, err := values.Compile(given); err != nil {
		return nil, badSchema.of("the schema in the request is none: %v", err).todo("mend it, or send the id of the latest of subject %s", name)
	}
	switch {
	case !sure:
		return nil, notWritten.of("whether the schema in the request is the latest of subject %s is not known: the schema registry cannot be asked", name)
	case latest == nil:
		return nil, unregistered(name)
	}
	if why := s.incompatible(name, given.Schema); why != "" {
		return nil, badSchema.long("the schema in the request is not the latest of subject %s, and is not compatible with it: %s", name, why).
			todo("send the id of the latest, or change the schema as it is allowed, and register it first")
	}
	return nil, badSchema.of("the schema in the request is not the latest of subject %s", name).todo("register it first, or send the id of the latest")
}

// unregistered is the problem of a request that names a schema for values or keys that have none. Nobody is told to register one for keys: it would change
// the bytes of all keys, and so their partitions.
func unregistered(name string) *Problem {
	p := badSchema.of("subject %s has no schema", name)
	if topic, keys := strings.CutSuffix(name, "-key"); keys {
		return p.todo("send the keys without a schema: by POST /topics/%s/events, or as BINARY, STRING or JSON in the form v3", topic)
	}
	return p.todo("register the schema under the subject first")
}

// incompatible says why a schema could not be registered either, "" where it could, or where nobody knows.
func (s *schemas) incompatible(name string, given registry.Schema) string {
	source, ok := s.source.(interface {
		Check(context.Context, string, registry.Schema) ([]registry.Incompatibility, error)
	})
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(s.ctx, schemaAsk)
	defer cancel()
	reasons, _ := source.Check(ctx, name, given)
	lines := make([]string, len(reasons))
	for i, r := range reasons {
		lines[i] = r.String()
	}
	return strings.Join(lines, "; ")
}

// texts are those that requests have named schemas by, since a client sends the same one each time, and to understand one takes long.
type texts struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]struct{}
}

// mostTexts bounds them; after that all are looked at again.
const mostTexts = 10_000

// same says whether a text is a registered schema.
func (t *texts) same(r *registry.Registered, text string) bool {
	if text == r.Text {
		return true
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %d %s%s", r.Subject, r.ID, len(r.Text), r.Text, text)
	name := [sha256.Size]byte(h.Sum(nil))
	t.mu.Lock()
	_, known := t.known[name]
	t.mu.Unlock()
	if known || !alike(r, text) {
		return known
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= mostTexts {
		t.known = map[[sha256.Size]byte]struct{}{}
	}
	t.known[name] = struct{}{}
	return true
}

// alike says whether a text means the same as a registered schema, as the registry compares them: by canonical forms, with what the registered one refers to or
// with all of it written out.
func alike(r *registry.Registered, text string) bool {
	stored := schema.Source{Type: schema.Type(cmp.Or(r.Type, registry.Avro)), Text: r.Text}
	for _, in := range r.Imports {
		stored.Imports = append(stored.Imports, schema.Import(in))
	}
	old, err := schema.Parse(stored)
	if err != nil {
		return false
	}
	given := stored
	given.Text = text
	if next, err := schema.Parse(given); err == nil && (next.Text == old.Text || next.Normal == old.Normal) {
		return true
	}
	if stored.Type != schema.Avro || len(stored.Imports) == 0 {
		return false
	}
	given.Imports = nil
	resolved, err1 := schema.Resolved(stored)
	written, err2 := schema.Resolved(given)
	return err1 == nil && err2 == nil && resolved == written
}
