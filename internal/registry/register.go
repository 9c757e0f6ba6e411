package registry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/contract"
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

// sent makes an entry of a request, with the text as it is.
func (v view) sent(subject string, q *Request) (*Entry, error) {
	if err := misshapen(q.Metadata, metadataShape); err != nil {
		return nil, badJSON(fmt.Errorf("metadata%w", err))
	}
	if err := misshapen(q.RuleSet, ruleSetShape); err != nil {
		return nil, badJSON(fmt.Errorf("ruleSet%w", err))
	}
	e := &Entry{Subject: subject, Schema: q.Schema, SchemaType: strings.ToUpper(q.SchemaType), References: q.References, Metadata: absent(q.Metadata), RuleSet: absent(q.RuleSet)}
	if e.SchemaType == "AVRO" {
		e.SchemaType = ""
	}
	if !slices.Contains(schema.Types, schema.Type(cmp.Or(e.SchemaType, "AVRO"))) {
		return nil, invalidSchema("type %s", q.SchemaType)
	}
	context, _ := contextOf(subject)
	for i, ref := range e.References { // -1 is the latest, which is another one tomorrow
		if all := v.versions(qualify(context, ref.Subject), false); ref.Version == -1 && len(all) > 0 {
			e.References = slices.Clone(e.References)
			e.References[i].Version = all[len(all)-1].Version
		}
	}
	e.content = contentOf(e)
	return e, nil
}

// understand makes an entry of a request, in canonical form. stored says that the schema is one that a registry has, which is read as leniently as
// it may have been taken.
func (v view) understand(subject string, q *Request, normalize, stored bool) (*Entry, *understood, error) {
	e, err := v.sent(subject, q)
	if err != nil {
		return nil, nil, err
	}
	src, err := v.source(e)
	if err != nil {
		return nil, nil, invalidSchema("%s with refs %s of type %s, details: %v", quoted(q.Schema), plain(q.References), src.Type, err)
	}
	src.Stored = stored
	parsed, err := v.parse(src)
	switch {
	case errors.Is(err, errUnstudied):
		return nil, nil, err
	case err != nil:
		return nil, nil, invalidSchema("%s of type %s, details: %v", quoted(q.Schema), src.Type, err)
	}
	if e.Schema = parsed.Text; normalize || v.normalizes(subject) {
		e.Schema = parsed.Normal
		e.References = slices.Clone(e.References)
		slices.SortFunc(e.References, byName)
	}
	e.content = contentOf(e)
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
func (v view) old(e *Entry) (*understood, error) {
	src, err := v.source(e)
	src.Stored = true
	var parsed *understood
	if err == nil {
		parsed, err = v.parse(src)
	}
	if err != nil && !errors.Is(err, errUnstudied) {
		err = invalidSchema("of version %d of %s, which is stored: %v", e.Version, e.Subject, err)
	}
	return parsed, err
}

// check compares a schema with versions that are stored, as a level asks.
func (v view) check(level schema.Level, old []*Entry, next *understood) ([]schema.Incompatibility, error) {
	if level == schema.None {
		return nil, nil
	}
	if !level.Transitive() && len(old) > 1 {
		old = old[len(old)-1:]
	}
	schemas := make([]*understood, len(old))
	unstudied := false
	for i, e := range old {
		before, err := v.old(e)
		switch {
		case errors.Is(err, errUnstudied):
			unstudied = true // the others are noted as well
		case err != nil:
			return nil, refuse(42201, "%v. So no schema can be compared with it: set the level of the subject to NONE to register the next version "+
				"(PUT /config/%s, weir schema compat %s --set NONE), or delete version %d", err, e.Subject, e.Subject, e.Version)
		}
		schemas[i] = before
	}
	if unstudied {
		return nil, errUnstudied
	}
	found, err := v.compare(level, schemas, next)
	if err != nil {
		return nil, err
	}
	found = slices.Clone(found)
	for i := range found {
		found[i].Old = old[found[i].Old].Version
	}
	return found, nil
}

// messages are incompatibilities as the API tells them.
func messages(found []schema.Incompatibility) []string {
	list := make([]string, len(found))
	for i, f := range found {
		list[i] = fmt.Sprintf("{errorType:'%s', description:'%s', additionalInfo:''}", f.Rule, explained(f))
	}
	return list
}

func explained(f schema.Incompatibility) string {
	return f.Explain("the new schema", fmt.Sprintf("version %d", f.Old))
}

// mostImported is the highest id and version that a request may state. No registry comes to it by counting, and the next ones are given from
// the highest one on: an import of the last number would be the last registration.
const mostImported = 2_000_000_000

// register plans the registration of a schema, and tells the entry that it has then, new or not.
func (v view) register(subject string, q *Request, normalize bool) (*Entry, []kafka.Outgoing, error) {
	importing := v.mode(subject) == "IMPORT"
	asked := *q // clients that want no certain id or version send none, 0 or less
	asked.ID, asked.Version = max(q.ID, 0), max(q.Version, 0)
	q = &asked
	for _, number := range []int{q.ID, q.Version} {
		if number > mostImported {
			return nil, nil, invalidSchema("%s: an id and a version that a request states are at most %d, not %d: those above are for the schemas that come after it", quoted(q.Schema), mostImported, number)
		}
	}
	if !importing && q.ID > 0 {
		return nil, nil, notPermitted("Subject %s is not in import mode", subject)
	}
	live := v.versions(subject, false)
	allowed := func(old *Entry) bool {
		// An import has a schema under each version that it states, also where another version is the same.
		return (q.ID == 0 || q.ID == old.ID) && (!importing || q.Version == 0 || q.Version == old.Version)
	}
	bare := strings.TrimSpace(q.Schema) == "" && !importing
	if bare {
		if len(live) == 0 {
			return nil, nil, invalidSchema("%s: it is empty, and there is no version before it whose text it could have", quoted(q.Schema))
		}
		latest := live[len(live)-1] // with another contract
		q.Schema, q.SchemaType, q.References = latest.Schema, latest.SchemaType, latest.References
	}
	// As it is sent it may be an older version.
	e, next, same, err := v.find(subject, q, normalize, importing && q.ID > 0, among{v, live, live, allowed, importing || !bare && !v.contracted(subject), !importing})
	if err != nil && importing && q.ID > 0 && !errors.Is(err, errUnstudied) {
		e, err = v.asItIs(subject, q, err)
	}
	if err != nil || same != nil {
		return same, nil, err
	}
	if importing && q.ID == 0 { // who registers at his start is not to get between the versions that are imported
		return nil, nil, notPermitted("Subject %s is in import mode", subject)
	}
	if err := v.writable(subject); err != nil { // what is there already is told all the same: clients register before they write
		return nil, nil, err
	}
	if !importing {
		level, _ := schema.ParseLevel(v.level(subject))
		found, err := v.check(level, live, next)
		if err != nil {
			return nil, nil, err
		}
		if len(found) > 0 {
			return nil, nil, refuse(409, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s, {compatibility: '%s'}]",
				subject, strings.Join(messages(found), ", "), level)
		}
	}
	for version := range v.subjects[subject] {
		e.Version = max(e.Version, version)
	}
	for version := range v.passed[subject] {
		e.Version = max(e.Version, version)
	}
	e.Version++
	if !importing {
		e.Metadata = contract.OfVersion(e.Metadata, e.Version)
		e.content = contentOf(e)
	}
	context, _ := contextOf(subject)
	content := e.content
	e.ID = q.ID
	if id, known := v.contents[contentKey{context, content}]; e.ID == 0 && known {
		e.ID = id
	}
	if e.ID == 0 {
		if e.ID, err = v.nextID(context); err != nil {
			return nil, nil, err
		}
	}
	if others := v.ids[idKey{context, e.ID}]; len(others) > 0 && others[0].content != content {
		return nil, nil, notPermitted("Overwrite new schema with id %d is not permitted.", e.ID)
	}
	if v.passedOver(context, e.ID) {
		return nil, nil, notPermitted("Overwrite new schema with id %d is not permitted: a record of the topic has it that this registry does not understand.", e.ID)
	}
	if q.Version > 0 && importing {
		e.Version = q.Version
		was := v.subjects[subject][e.Version]
		_, passed := v.passed[subject][e.Version]
		// One that is deleted softly is still found by its id: it comes back as it was, and no other takes its place.
		if passed || was != nil && (!was.Deleted || was.ID != e.ID || was.content != content) {
			return nil, nil, notPermitted("Overwrite new schema with version %d is not permitted.", e.Version)
		}
	} else if q.Version > 0 && q.Version != e.Version {
		return nil, nil, refuse(42201, "Version is not one more than previous version")
	}
	if !givable(e.Version) {
		return nil, nil, storeError(fmt.Errorf("the versions of subject %q have run out: the highest one is taken", subject))
	}
	e.GUID = guidOf(content)
	return e, []kafka.Outgoing{record(schemaKey(subject, e.Version), entryValue(e))}, nil
}
