package registry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
)

// Request is a schema as a client sends it.
type Request struct {
	Schema     string          `json:"schema"`
	SchemaType string          `json:"schemaType"`
	References []Reference     `json:"references"`
	Metadata   json.RawMessage `json:"metadata"`
	RuleSet    json.RawMessage `json:"ruleSet"`
	ID         int             `json:"id"`
	Version    int             `json:"version"`
}

// understand makes an entry of a request, in canonical form.
func (r *Registry) understand(s *state, subject string, q *Request, normalize bool) (*Entry, *schema.Schema, error) {
	e := &Entry{Subject: subject, Schema: q.Schema, SchemaType: strings.ToUpper(q.SchemaType), References: q.References, Metadata: absent(q.Metadata), RuleSet: absent(q.RuleSet)}
	if e.SchemaType == "AVRO" {
		e.SchemaType = ""
	}
	if !slices.Contains(schema.Types, schema.Type(cmp.Or(e.SchemaType, "AVRO"))) {
		return nil, nil, invalidSchema("type %s", q.SchemaType)
	}
	context, _ := contextOf(subject)
	for i, ref := range e.References { // -1 is the latest, which is another one tomorrow
		if all := s.versions(qualify(context, ref.Subject), false); ref.Version == -1 && len(all) > 0 {
			e.References = slices.Clone(e.References)
			e.References[i].Version = all[len(all)-1].Version
		}
	}
	src, err := s.source(e)
	if err != nil {
		return nil, nil, invalidSchema("%s with refs %s of type %s, details: %v", quoted(q.Schema), plain(q.References), src.Type, err)
	}
	parsed, err := schema.Parse(src)
	if err != nil {
		return nil, nil, invalidSchema("%s of type %s, details: %v", quoted(q.Schema), src.Type, err)
	}
	if e.Schema = parsed.Text; normalize || s.normalizes(subject) {
		e.Schema = parsed.Normal
		e.References = slices.Clone(e.References)
		slices.SortFunc(e.References, func(a, b Reference) int { return strings.Compare(a.Name, b.Name) })
	}
	return e, parsed, nil
}

// absent is nil for null.
func absent(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// quoted is as much of a schema as an error may hold.
func quoted(text string) string {
	if len(text) > 1000 {
		return text[:1000] + "..."
	}
	return text
}

// old understands a version that is stored.
func (r *Registry) old(s *state, e *Entry) (*schema.Schema, error) {
	return r.parsed.get(e.content(), func() (*schema.Schema, error) {
		src, err := s.source(e)
		if err != nil {
			return nil, err
		}
		return schema.Parse(src)
	})
}

// check compares a schema with versions that are stored, as a level asks.
func (r *Registry) check(s *state, level schema.Level, old []*Entry, next *schema.Schema) ([]schema.Incompatibility, error) {
	if level == schema.None {
		return nil, nil
	}
	if !level.Transitive() && len(old) > 1 {
		old = old[len(old)-1:]
	}
	schemas := make([]*schema.Schema, len(old))
	for i, e := range old {
		before, err := r.old(s, e)
		if err != nil {
			return nil, invalidSchema("of version %d of %s, which is stored: %v", e.Version, e.Subject, err)
		}
		schemas[i] = before
	}
	found := schema.Check(level, schemas, next)
	for i := range found {
		found[i].Old = old[found[i].Old].Version
	}
	return found, nil
}

// messages are incompatibilities as the API tells them.
func messages(found []schema.Incompatibility) []string {
	list := make([]string, len(found))
	for i, f := range found {
		reader, writer := "new", "old"
		if f.Reader == "old" {
			reader, writer = "old", "new"
		}
		list[i] = fmt.Sprintf("{errorType:'%s', description:'%s at path '%s': the %s schema cannot read what is written with the %s one, version %d', additionalInfo:''}",
			f.Rule, f.Detail, f.Path, reader, writer, f.Old)
	}
	return list
}

// register plans the registration of a schema, and tells the entry that it has then, new or not.
func (r *Registry) register(s *state, subject string, q *Request, normalize bool) (*Entry, []kafka.Outgoing, error) {
	mode := s.mode(subject)
	importing := mode == "IMPORT"
	if strings.HasPrefix(mode, "READONLY") {
		return nil, nil, notPermitted("Subject %s is in read-only mode", subject)
	}
	if !importing && q.ID > 0 {
		return nil, nil, notPermitted("Subject %s is not in import mode", subject)
	}
	e, next, err := r.understand(s, subject, q, normalize)
	if err != nil {
		return nil, nil, err
	}
	live, content := s.versions(subject, false), e.content()
	for _, old := range slices.Backward(live) {
		if old.content() == content && (q.ID == 0 || q.ID == old.ID) {
			return old, nil, nil
		}
	}
	if !importing {
		level, _ := schema.ParseLevel(s.level(subject))
		found, err := r.check(s, level, live, next)
		if err != nil {
			return nil, nil, err
		}
		if len(found) > 0 {
			return nil, nil, refuse(409, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s, {compatibility: '%s'}]",
				subject, strings.Join(messages(found), ", "), level)
		}
	}
	context, _ := contextOf(subject)
	e.ID = q.ID
	if id, known := s.contents[contentKey{context, content}]; e.ID == 0 && known {
		e.ID = id
	}
	if e.ID == 0 {
		if importing {
			return nil, nil, notPermitted("Subject %s is in import mode", subject)
		}
		e.ID = s.maxIDs[context] + 1
	}
	if others := s.ids[idKey{context, e.ID}]; len(others) > 0 && others[0].content() != content {
		return nil, nil, notPermitted("Overwrite new schema with id %d is not permitted.", e.ID)
	}
	for version := range s.subjects[subject] {
		e.Version = max(e.Version, version)
	}
	e.Version++
	if q.Version > 0 && importing {
		e.Version = q.Version
		if s.subjects[subject][e.Version] != nil && !s.subjects[subject][e.Version].Deleted {
			return nil, nil, notPermitted("Overwrite new schema with version %d is not permitted.", e.Version)
		}
	} else if q.Version > 0 && q.Version != e.Version {
		return nil, nil, refuse(42201, "Version is not one more than previous version")
	}
	e.GUID = guidOf(content)
	return e, []kafka.Outgoing{record(schemaKey(subject, e.Version), entryValue(e))}, nil
}

// lookup finds the version of a subject that a schema is.
func (r *Registry) lookup(s *state, subject string, q *Request, normalize, deleted bool) (*Entry, error) {
	all := s.versions(subject, deleted)
	if len(all) == 0 {
		return nil, noSubject(subject)
	}
	e, _, err := r.understand(s, subject, q, normalize)
	if err != nil {
		return nil, err
	}
	content := e.content()
	for _, old := range slices.Backward(all) {
		if old.content() == content {
			return old, nil
		}
	}
	return nil, noSchema()
}
