package registry

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
)

// routes are all paths of the API. Those of subjects exist below a context too.
func (r *Registry) routes() {
	handle := func(method, path string, h http.HandlerFunc) {
		r.mux.HandleFunc(method+" "+path, h)
		r.mux.HandleFunc(method+" /contexts/{context}"+path, h)
	}
	nothing := func(w http.ResponseWriter, _ *http.Request) { reply(w, struct{}{}, nil) }
	r.mux.HandleFunc("GET /{$}", nothing)
	r.mux.HandleFunc("POST /{$}", nothing) // as theirs does
	r.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { reply(w, nil, refuse(404, "HTTP 404 Not Found")) })
	r.mux.HandleFunc("GET /schemas/types", func(w http.ResponseWriter, _ *http.Request) { reply(w, schema.Types, nil) })
	r.mux.HandleFunc("GET /contexts", r.get(contexts))
	handle("GET", "/subjects", r.get(subjects))
	handle("POST", "/subjects/{subject}", r.answer(lookupOf))
	handle("DELETE", "/subjects/{subject}", r.change(false, unasked(func(q *http.Request, v view) (any, []kafka.Outgoing, error) {
		return answered(v.deleteSubject(subjectIn(q), flag(q, "permanent")))
	})))
	handle("GET", "/subjects/{subject}/metadata", r.get(withMetadata))
	handle("GET", "/subjects/{subject}/versions", r.get(versions))
	handle("POST", "/subjects/{subject}/versions", r.change(true, registerOf))
	handle("GET", "/subjects/{subject}/versions/{version}", r.get(versionOf))
	handle("DELETE", "/subjects/{subject}/versions/{version}", r.change(false, unasked(func(q *http.Request, v view) (any, []kafka.Outgoing, error) {
		return answered(v.deleteVersion(subjectIn(q), q.PathValue("version"), flag(q, "permanent")))
	})))
	handle("GET", "/subjects/{subject}/versions/{version}/schema", r.get(func(q *http.Request, v view) (any, error) {
		e, err := versionIn(q, v, flag(q, "deleted"))
		if err != nil {
			return nil, err
		}
		text, err := v.text(q, e)
		return rawText(text), err
	}))
	handle("GET", "/subjects/{subject}/versions/{version}/referencedby", r.get(referencedBy))
	handle("GET", "/schemas", r.get(schemas))
	handle("GET", "/schemas/ids/{id}", r.get(byID))
	handle("GET", "/schemas/ids/{id}/schema", r.get(func(q *http.Request, v view) (any, error) {
		list, err := ofID(q, v)
		if err != nil {
			return nil, err
		}
		text, err := v.text(q, list[0])
		return rawText(text), err
	}))
	handle("GET", "/schemas/ids/{id}/subjects", r.get(func(q *http.Request, v view) (any, error) {
		return usesOf(q, v, func(e *Entry) any { return e.Subject })
	}))
	handle("GET", "/schemas/ids/{id}/versions", r.get(func(q *http.Request, v view) (any, error) {
		return usesOf(q, v, func(e *Entry) any { return subjectVersion{e.Subject, e.Version} })
	}))
	handle("GET", "/schemas/guids/{guid}", r.get(byGUID))
	handle("GET", "/schemas/guids/{guid}/ids", r.get(idsOfGUID))
	for _, path := range []string{"/config", "/config/{subject}"} {
		handle("GET", path, r.get(func(q *http.Request, v view) (any, error) { return v.config(scopeIn(q), flag(q, "defaultToGlobal")) }))
		handle("PUT", path, r.change(true, asked(func(q *http.Request, given map[string]json.RawMessage, v view) (any, []kafka.Outgoing, error) {
			return answered(v.setConfig(scopeIn(q), given))
		})))
		handle("DELETE", path, r.change(false, unasked(func(q *http.Request, v view) (any, []kafka.Outgoing, error) {
			return answered(v.deleteConfig(scopeIn(q)))
		})))
	}
	for _, path := range []string{"/mode", "/mode/{subject}"} {
		handle("GET", path, r.get(modeOf))
		handle("PUT", path, r.change(true, asked(func(q *http.Request, given struct {
			Mode string `json:"mode"`
		}, v view) (any, []kafka.Outgoing, error) {
			mode, records, err := v.setMode(scopeIn(q), given.Mode, flag(q, "force"))
			return map[string]string{"mode": mode}, records, err
		})))
		handle("DELETE", path, r.change(false, unasked(func(q *http.Request, v view) (any, []kafka.Outgoing, error) {
			mode, records, err := v.deleteMode(scopeIn(q))
			return map[string]string{"mode": mode}, records, err
		})))
	}
	for path, what := range refused {
		r.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			reply(w, nil, refuse(404, "HTTP 404 Not Found: this registry has no %s (docs/schemas.md)", what))
		})
	}
	handle("POST", "/compatibility/subjects/{subject}/versions", r.answer(compatible))
	handle("POST", "/compatibility/subjects/{subject}/versions/{version}", r.answer(compatible))
}

// refused are the paths of Confluent's API that are not served on purpose, and what they are for. Clients take 404 for none.
var refused = map[string]string{
	"/associations":                               "associations of subjects with resources",
	"/associations:batch":                         "associations of subjects with resources",
	"/associations/{rest...}":                     "associations of subjects with resources",
	"/v1/metadata/{rest...}":                      "names of clusters for Confluent's other products",
	"/subjects/{subject}/versions/{version}/tags": "tags: register the schema again with other metadata",
	"DELETE /contexts/{context}":                  "contexts of their own: one is there while it has subjects",
}

// asked is a change with a body.
func asked[T any](do func(q *http.Request, given T, v view) (any, []kafka.Outgoing, error)) func(*http.Request, []byte) (plan, error) {
	return func(q *http.Request, body []byte) (plan, error) {
		given, err := decoded[T](body)
		return func(v view) (any, []kafka.Outgoing, error) { return do(q, given, v) }, err
	}
}

// unasked is a change without a body.
func unasked(do func(q *http.Request, v view) (any, []kafka.Outgoing, error)) func(*http.Request, []byte) (plan, error) {
	return func(q *http.Request, _ []byte) (plan, error) {
		return func(v view) (any, []kafka.Outgoing, error) { return do(q, v) }, nil
	}
}

// answered is a plan's result with its answer as any value.
func answered[T any](answer T, records []kafka.Outgoing, err error) (any, []kafka.Outgoing, error) {
	return answer, records, err
}

// scopeIn is what a setting is for: a subject, a context, or everything.
func scopeIn(q *http.Request) string {
	if q.PathValue("subject") == "" && q.PathValue("context") == "" {
		return ""
	}
	return subjectIn(q)
}

func contexts(_ *http.Request, v view) (any, error) {
	list := slices.AppendSeq([]string{defaultContext}, maps.Keys(v.contexts))
	slices.Sort(list)
	return list, nil
}

// prefixIn is the beginning of the subjects that are asked for: ":*:" is those of all contexts, and nothing those of the default one.
func prefixIn(q *http.Request) string {
	prefix := q.URL.Query().Get("subjectPrefix")
	if !q.URL.Query().Has("subjectPrefix") && q.PathValue("context") == "" {
		return ":*:"
	}
	if strings.HasPrefix(prefix, ":*:") {
		return prefix
	}
	return qualify(cmp.Or(strings.Trim(q.PathValue("context"), ":"), defaultContext), prefix)
}

func hasPrefix(name, prefix string) bool {
	if rest, ok := strings.CutPrefix(prefix, ":*:"); ok {
		_, short := contextOf(name)
		return strings.HasPrefix(short, rest)
	}
	context, _ := contextOf(name)
	within, _ := contextOf(prefix)
	return context == within && strings.HasPrefix(name, prefix)
}

// page is a part of a list.
func page[T any](q *http.Request, list []T) []T {
	offset, _ := strconv.Atoi(q.URL.Query().Get("offset"))
	limit, err := strconv.Atoi(q.URL.Query().Get("limit"))
	list = list[min(max(offset, 0), len(list)):]
	if err == nil && limit >= 0 {
		list = list[:min(limit, len(list))]
	}
	return append([]T{}, list...)
}

func subjects(q *http.Request, v view) (any, error) {
	var list []string
	for _, name := range v.names(flag(q, "deleted") || flag(q, "deletedOnly")) {
		if hasPrefix(name, prefixIn(q)) && !(flag(q, "deletedOnly") && len(v.versions(name, false)) > 0) {
			list = append(list, name)
		}
	}
	return page(q, list), nil
}

func versions(q *http.Request, v view) (any, error) {
	var list []int
	negative, only := flag(q, "deletedAsNegative"), flag(q, "deletedOnly")
	if asked := flag(q, "deleted") || only; len(v.versions(subjectIn(q), asked)) == 0 {
		return nil, noSubject(subjectIn(q))
	}
	for _, e := range v.versions(subjectIn(q), true) {
		switch {
		case negative && e.Deleted:
			list = append(list, -e.Version)
		case negative, e.Deleted && (only || flag(q, "deleted")), !e.Deleted && !only:
			list = append(list, e.Version)
		}
	}
	return page(q, list), nil
}

func versionOf(q *http.Request, v view) (any, error) {
	e, err := versionIn(q, v, flag(q, "deleted"))
	return v.entry(q, e, err)
}

// withMetadata is the latest version whose metadata has each property that is asked for, as key=NAME&value=VALUE.
func withMetadata(q *http.Request, v view) (any, error) {
	deleted := flag(q, "deleted")
	all := v.versions(subjectIn(q), deleted)
	if len(all) == 0 {
		return nil, noSubject(subjectIn(q))
	}
	keys, values := q.URL.Query()["key"], q.URL.Query()["value"]
	for _, e := range slices.Backward(all) {
		var metadata struct{ Properties map[string]string }
		_ = json.Unmarshal(e.Metadata, &metadata) // what is none has no properties
		if !slices.ContainsFunc(keys, func(key string) bool {
			i := slices.Index(keys, key)
			have, ok := metadata.Properties[key]
			return i >= len(values) || !ok || have != values[i]
		}) {
			return v.entry(q, e, nil)
		}
	}
	return nil, noSchema()
}

// text is a schema in the form that is asked for: serialized is, of a Protobuf schema, its file's descriptor in base64, which Confluent's
// client for Python asks for; resolved is an Avro schema with what it refers to in its text. Forms that are not known are none, as in Confluent's
// registry.
func (v view) text(q *http.Request, e *Entry) (text string, err error) {
	switch form := strings.ToLower(q.URL.Query().Get("format")); {
	case form == "serialized" && e.SchemaType == string(schema.Protobuf):
		var parsed *understood
		if parsed, err = v.old(e); err == nil {
			text, err = v.pack(parsed)
		}
	case form == "resolved" && e.SchemaType == "" && len(e.References) > 0:
		var src schema.Source
		if src, err = v.source(e); err == nil {
			text, err = v.resolve(src)
		}
	default:
		return e.Schema, nil
	}
	if err != nil && !errors.Is(err, errUnstudied) {
		err = invalidSchema("of version %d of %s, which is stored: %v", e.Version, e.Subject, err)
	}
	return text, err
}

// entry is an entry that was found, or not, in the form that is asked for.
func (v view) entry(q *http.Request, e *Entry, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	shown := *e // entries are never changed
	shown.References = qualified(q, e)
	shown.Schema, err = v.text(q, e)
	return &shown, err
}

func referencedBy(q *http.Request, v view) (any, error) {
	e, err := versionIn(q, v, true) // before it is deleted for good one asks this
	if err != nil {
		return nil, err
	}
	ids := []int{}
	for _, by := range v.referencedBy(e.Subject, e.Version, flag(q, "deleted")) {
		ids = append(ids, by.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func schemas(q *http.Request, v view) (any, error) {
	list := []*Entry{}
	for _, name := range v.names(flag(q, "deleted")) {
		if !hasPrefix(name, prefixIn(q)) {
			continue
		}
		all := v.versions(name, flag(q, "deleted"))
		if flag(q, "latestOnly") {
			all = all[len(all)-1:]
		}
		list = append(list, all...)
	}
	return page(q, list), nil
}

// found is a schema without the subject that it is of.
type found struct {
	SchemaType string          `json:"schemaType,omitempty"`
	Schema     string          `json:"schema"`
	References []Reference     `json:"references,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	RuleSet    json.RawMessage `json:"ruleSet,omitempty"`
	MaxID      int             `json:"maxId,omitempty"`
	GUID       string          `json:"guid,omitempty"`
	Subject    string          `json:"subject,omitempty"`
	Version    int             `json:"version,omitempty"`
}

func (v view) foundOf(q *http.Request, e *Entry) (found, error) {
	text, err := v.text(q, e)
	return found{SchemaType: e.SchemaType, Schema: text, References: qualified(q, e), Metadata: e.Metadata, RuleSet: e.RuleSet, GUID: e.GUID}, err
}

func byID(q *http.Request, v view) (any, error) {
	list, err := ofID(q, v)
	if err != nil {
		return nil, err
	}
	answer, err := v.foundOf(q, list[0])
	if q.URL.Query().Has("subject") || q.PathValue("context") != "" { // else it is of no certain one
		answer.Subject, answer.Version = list[0].Subject, list[0].Version
	}
	if flag(q, "fetchMaxId") {
		context, _ := contextOf(list[0].Subject)
		answer.MaxID = v.maxIDs[context]
	}
	return answer, err
}

type subjectVersion struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// usesOf lists where an id is used.
func usesOf(q *http.Request, v view, show func(*Entry) any) (any, error) {
	list, err := ofID(q, v)
	if err != nil {
		return nil, err
	}
	uses := []any{}
	for _, e := range list {
		if use := show(e); (!e.Deleted || flag(q, "deleted")) && !slices.Contains(uses, use) {
			uses = append(uses, use)
		}
	}
	return uses, nil
}

// withGUID are the entries of a guid, one an id and context.
func (s *state) withGUID(guid string) ([]*Entry, error) {
	var list []*Entry
	for _, key := range slices.SortedFunc(maps.Keys(s.ids), func(a, b idKey) int { return cmp.Or(strings.Compare(a.context, b.context), a.id-b.id) }) {
		if e := s.ids[key][0]; e.GUID == guid {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil, noSchemaOf(guid)
	}
	return list, nil
}

func byGUID(q *http.Request, v view) (any, error) {
	list, err := v.withGUID(q.PathValue("guid"))
	if err != nil {
		return nil, err
	}
	return v.foundOf(q, list[0])
}

func idsOfGUID(q *http.Request, v view) (any, error) {
	list, err := v.withGUID(q.PathValue("guid"))
	if err != nil {
		return nil, err
	}
	type place struct {
		Context string `json:"context"`
		ID      int    `json:"id"`
	}
	places := []place{}
	for _, e := range list {
		context, _ := contextOf(e.Subject)
		places = append(places, place{context, e.ID})
	}
	return places, nil
}

func modeOf(q *http.Request, v view) (any, error) {
	subject := scopeIn(q)
	mode, own := v.modes[subject]
	switch {
	case own:
	case subject != "" && !flag(q, "defaultToGlobal"):
		return nil, noSubjectMode(subject)
	default:
		mode = v.mode(subject)
	}
	return map[string]string{"mode": mode}, nil
}

// registerOf reads the body before the state is locked; so do the others.
func registerOf(q *http.Request, body []byte) (plan, error) {
	given, err := decoded[Request](body)
	if err != nil {
		return nil, err
	}
	subject := subjectIn(q)
	if !validSubject(subject) {
		return nil, invalidSubject(subject)
	}
	type registered struct {
		ID      int    `json:"id"`
		Version int    `json:"version"`
		GUID    string `json:"guid"`
	}
	return func(v view) (any, []kafka.Outgoing, error) {
		e, records, err := v.register(subject, &given, flag(q, "normalize"))
		if err != nil {
			return nil, nil, err
		}
		return registered{e.ID, e.Version, e.GUID}, records, nil
	}, nil
}

func lookupOf(q *http.Request, body []byte) (look, error) {
	given, err := decoded[Request](body)
	if err != nil {
		return nil, err
	}
	return func(v view) (any, error) {
		e, err := anywhere(v.state, subjectIn(q), func(subject string) (*Entry, error) {
			return v.lookup(subject, &given, flag(q, "normalize"), flag(q, "deleted"))
		})
		return v.entry(q, e, err)
	}, nil
}

func compatible(q *http.Request, body []byte) (look, error) {
	given, err := decoded[Request](body)
	return func(v view) (any, error) { return v.compatible(q, &given) }, err
}

func (v view) compatible(q *http.Request, given *Request) (any, error) {
	subject, version := subjectIn(q), q.PathValue("version")
	level, _ := schema.ParseLevel(v.level(subject))
	old := v.versions(subject, false)
	if version != "" {
		n, err := versionNumber(version)
		if err != nil {
			return nil, err
		}
		if n > 0 || len(old) > 0 {
			e, err := v.version(subject, version, false)
			if err != nil && n > 0 {
				return nil, noVersion(n) // which theirs answers for a subject that is not there too
			} else if err != nil {
				return nil, err
			}
			old = []*Entry{e}
		}
	}
	_, next, err := v.understand(subject, given, flag(q, "normalize"), v.has(subject, given))
	if err != nil {
		return nil, err
	}
	broken, err := v.check(level, old, next)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"is_compatible": len(broken) == 0}
	if flag(q, "verbose") {
		answer["messages"] = messages(broken)
	}
	return answer, nil
}
