package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
)

// state is what the topic says up to an offset. It is changed by records only.
type state struct {
	next     int64 // offset of the record after those that were applied
	subjects map[string]map[int]*Entry
	contexts map[string]int     // how many subjects each has; the default one is not among them
	ids      map[idKey][]*Entry // entries that have the id; none is gone
	contents map[contentKey]int // ids
	maxIDs   map[string]int
	kept     map[string]int    // those of maxIDs that the topic keeps whatever others write and delete
	configs  map[string]Config // by subject, :.context: or ""
	modes    map[string]string
	writer   *writer // who claimed the topic last, as far as the log says
	// spelled are the keys that do not have their members in the usual order, as old versions of Karapace wrote them, by the usual one.
	// To compaction they are other keys: what is to be gone must be so under each of them.
	// The same holds for keys with another magic number, as old versions of Confluent's server wrote them.
	spelled map[string][]string
	clashes map[idKey]bool // ids under which there were two schemas
	// passed are the ids of records that are not understood, by subject and version; 0 is one that is not known. They are not given again:
	// others may understand them, and have read records by them.
	passed map[string]map[int]int
	// floor is the highest id that may have been given in any context although the topic does not say so any more.
	floor int
}

type idKey struct {
	context string
	id      int
}

type contentKey struct {
	context string
	content [16]byte
}

func newState() *state {
	return &state{subjects: map[string]map[int]*Entry{}, contexts: map[string]int{}, ids: map[idKey][]*Entry{}, contents: map[contentKey]int{}, maxIDs: map[string]int{},
		configs: map[string]Config{}, modes: map[string]string{}, spelled: map[string][]string{}, clashes: map[idKey]bool{},
		passed: map[string]map[int]int{}}
}

// apply takes a record. What cannot be understood changes nothing, and is an error for the log.
func (s *state) apply(r *kafka.Record) error {
	var key recordKey
	unread := json.Unmarshal(r.Key, &key)
	subject := ""
	if unread == nil && key.Subject != nil {
		subject = qualify(defaultContext, *key.Subject)
	}
	if r.Excess != nil {
		if key.Keytype == "SCHEMA" {
			s.passOver(subject, key.Version, nil)
		}
		return fmt.Errorf("the record is over the limit %s of this program: raise it", r.Excess.Limit)
	}
	value := r.Value
	if len(value) == 0 || string(value) == "null" {
		value = nil // Karapace's deletions have a value of no bytes
	}
	if unread != nil {
		if value != nil && (key.Keytype == "SCHEMA" || key.Keytype == "") { // others may understand it
			s.passOver(subject, key.Version, value)
		}
		return fmt.Errorf("the key is not understood: %w", unread)
	}
	if why := key.unknown(); why != "" {
		if value != nil {
			s.passOver(subject, key.Version, value)
		}
		return fmt.Errorf("the key of a schema has %s, which no registry writes", why)
	}
	if key.Keytype != "NOOP" { // which names nothing
		s.spell(key, r.Key, value == nil)
	}
	switch key.Keytype {
	case "SCHEMA":
		return s.applySchema(subject, key.Version, r.Offset, value)
	case "CONFIG":
		return s.applyConfig(subject, value)
	case "MODE":
		var given struct{ Mode string }
		if value == nil {
			delete(s.modes, subject)
		} else if err := json.Unmarshal(value, &given); err != nil {
			return fmt.Errorf("the mode is not understood: %w", err)
		} else if !slices.Contains(modes, strings.ToUpper(given.Mode)) {
			return fmt.Errorf("the mode %q is not known: the one before it holds", given.Mode)
		} else {
			s.modes[subject] = strings.ToUpper(given.Mode)
		}
	case "DELETE_SUBJECT":
		var given struct{ Version int }
		if value == nil {
			return nil
		}
		if err := json.Unmarshal(value, &given); err != nil {
			return fmt.Errorf("the deletion is not understood: %w", err)
		}
		for version, e := range s.subjects[subject] {
			if version <= given.Version && !e.Deleted { // entries are never changed: answers hold them
				gone := *e
				gone.Deleted = true
				s.subjects[subject][version] = &gone
				context, _ := contextOf(subject)
				same := s.ids[idKey{context, e.ID}]
				same[slices.Index(same, e)] = &gone
			}
		}
	case "CLEAR_SUBJECT":
		for version, e := range s.subjects[subject] {
			if e.Deleted {
				s.remove(subject, version)
			}
		}
	case "NOOP":
		s.applyMark(string(r.Key) == rememberKey, value)
	case "CONTEXT": // contexts are known by their subjects
	case "ASSOC": // what a subject belongs to, of Confluent's registry: it is not served, and says nothing of schemas
	default:
		return fmt.Errorf("records of keytype %q are not known", key.Keytype)
	}
	return nil
}

func (s *state) applySchema(subject string, version int, at int64, value []byte) error {
	delete(s.passed[subject], version)
	if value == nil {
		s.remove(subject, version)
		return nil
	}
	e := &Entry{raw: slices.Clone(value), at: at}
	if err := json.Unmarshal(value, e); err != nil {
		s.passOver(subject, version, value)
		return fmt.Errorf("the schema is not understood: %w", err)
	}
	e.Subject, e.Version, e.Metadata, e.RuleSet = subject, version, absent(e.Metadata), absent(e.RuleSet)
	if !givable(e.ID) || !givable(version) {
		s.passOver(subject, version, value)
		return fmt.Errorf("id %d and version %d are not ones that a registry gives", e.ID, version)
	}
	if e.SchemaType == "AVRO" {
		e.SchemaType = ""
	}
	context, _ := contextOf(subject)
	e.content = contentOf(e)
	content := e.content
	if e.GUID == "" {
		e.GUID = guidOf(content)
	}
	if was := s.subjects[subject][version]; was != nil && was.content != content {
		first := *was
		first.before = nil
		e.before = &first
	}
	s.remove(subject, version)
	var conflict error
	if others := s.ids[idKey{context, e.ID}]; len(others) > 0 && others[0].content != content {
		conflict = fmt.Errorf("id %d is that of another schema, of version %d of %q: whoever writes to the topic beside this server must be stopped", e.ID, others[0].Version, others[0].Subject)
		s.clashes[idKey{context, e.ID}] = true
	}
	if s.subjects[subject] == nil {
		s.subjects[subject] = map[int]*Entry{}
		if context != defaultContext {
			s.contexts[context]++
		}
	}
	s.subjects[subject][version] = e
	s.ids[idKey{context, e.ID}] = append(s.ids[idKey{context, e.ID}], e)
	if _, known := s.contents[contentKey{context, content}]; !known {
		s.contents[contentKey{context, content}] = e.ID
	}
	s.maxIDs[context] = max(s.maxIDs[context], e.ID)
	return conflict
}

// passOver keeps the numbers of a record of a schema that is not understood: its version, and its id, as far as it can be read.
func (s *state) passOver(subject string, version int, value []byte) {
	var given struct {
		ID      json.Number
		Subject string
	}
	_ = json.Unmarshal(value, &given)
	id, _ := wholeNumber(given.ID)
	if subject == "" {
		subject = qualify(defaultContext, given.Subject)
	}
	context, _ := contextOf(subject)
	if id > mostImported || id < 1 {
		id = 0
		s.maxIDs[context]++ // each record gives one id at most, and the next one is the likeliest
	}
	s.maxIDs[context] = max(s.maxIDs[context], id)
	if version < 1 || version > mostImported {
		if id == 0 {
			return
		}
		version = -id // none, and another one for each id
	}
	if s.passed[subject] == nil {
		s.passed[subject] = map[int]int{}
	}
	s.passed[subject][version] = id
}

// passedOver says whether a record that is not understood has an id.
func (s *state) passedOver(context string, id int) bool {
	for subject, versions := range s.passed {
		if in, _ := contextOf(subject); in != context {
			continue
		}
		for _, other := range versions {
			if other == id {
				return true
			}
		}
	}
	return false
}

// givable says whether a number is an id or a version that a registry gives. What has another one is passed over when it is read.
func givable(number int) bool { return number >= 1 && number <= math.MaxInt32 }

// remove forgets an entry, and its id where no other has it.
func (s *state) remove(subject string, version int) {
	e := s.subjects[subject][version]
	if e == nil {
		return
	}
	delete(s.subjects[subject], version)
	context, _ := contextOf(subject)
	if len(s.subjects[subject]) == 0 {
		delete(s.subjects, subject)
		if s.contexts[context]--; s.contexts[context] <= 0 {
			delete(s.contexts, context)
		}
	}
	key := idKey{context, e.ID}
	left := slices.DeleteFunc(s.ids[key], func(o *Entry) bool { return o == e })
	if s.ids[key] = left; !slices.ContainsFunc(left, func(o *Entry) bool { return o.content != left[0].content }) {
		delete(s.clashes, key)
	}
	if len(left) == 0 {
		delete(s.ids, key)
	}
	if content := (contentKey{context, e.content}); s.contents[content] == e.ID && !slices.ContainsFunc(left, func(o *Entry) bool { return o.content == e.content }) {
		delete(s.contents, content)
	}
}

func (s *state) applyConfig(subject string, value []byte) error {
	if value == nil {
		delete(s.configs, subject)
		return nil
	}
	var c Config
	if err := json.Unmarshal(value, &c.raw); err != nil {
		return fmt.Errorf("the configuration is not understood: %w", err)
	}
	_ = json.Unmarshal(c.raw["compatibilityLevel"], &c.CompatibilityLevel)
	if _, err := schema.ParseLevel(c.CompatibilityLevel); err != nil && c.CompatibilityLevel != "" {
		return fmt.Errorf("%w: the level before it holds", err)
	}
	_ = json.Unmarshal(c.raw["normalize"], &c.Normalize)
	s.configs[subject] = c
	return nil
}

// applyMark reads a NOOP. Those of other registries say nothing but that they were there.
func (s *state) applyMark(kept bool, value []byte) {
	var m mark
	if json.Unmarshal(value, &m) != nil {
		return
	}
	if kept {
		s.kept = m.MaxIDs
	}
	if m.Writer != nil {
		s.writer = m.Writer
	}
	for context, id := range m.MaxIDs {
		s.maxIDs[context] = max(s.maxIDs[context], id)
	}
}

// spell remembers how a key is written that is not written as usual, until what it names is gone.
func (s *state) spell(key recordKey, raw []byte, gone bool) {
	usual := string(key.usual().encode())
	if usual == string(raw) {
		return
	}
	others := slices.DeleteFunc(s.spelled[usual], func(o string) bool { return o == string(raw) })
	if !gone {
		others = append(others, string(raw))
	}
	if s.spelled[usual] = others; len(others) == 0 {
		delete(s.spelled, usual)
	}
}

// gone are the records that remove what a key names.
func (s *state) gone(key recordKey) []kafka.Outgoing {
	records := []kafka.Outgoing{record(key, nil)}
	for _, raw := range s.spelled[string(key.usual().encode())] {
		other := record(key, nil)
		other.Key = []byte(raw)
		records = append(records, other)
	}
	return records
}

// keepIDs sees to it that no id is given again that was given before the topic lost records. What was read before says the ids; and
// each one took a record at least, so that there were no more than the topic has lost, unless they were imported.
func (s *state) keepIDs(before *state, start int64) {
	s.floor = max(before.floor, int(min(start, math.MaxInt32)))
	for context, id := range before.maxIDs {
		s.maxIDs[context] = max(s.maxIDs[context], id)
	}
}

// skipIDs passes over as many ids as records are missing that may have given one each.
func (s *state) skipIDs(records int64) {
	skip := func(id int) int { return int(min(int64(id)+max(records, 0), math.MaxInt32)) }
	s.floor = skip(s.floor)
	for context, id := range s.maxIDs {
		s.maxIDs[context] = skip(id)
	}
}

// nextID is an id that was never given in a context.
func (s *state) nextID(context string) (int, error) {
	last := max(s.maxIDs[context], s.floor)
	if last >= math.MaxInt32 {
		return 0, storeError(fmt.Errorf("the ids of context %q have run out: the highest one is taken", context))
	}
	return last + 1, nil
}

// takeBack are the records that undo those of a change, decided on at an offset, which clash with what another registry has written
// meanwhile.
func (s *state) takeBack(at int64, records []kafka.Outgoing) (back []kafka.Outgoing) {
	for i := range records {
		var key recordKey
		if json.Unmarshal(records[i].Key, &key) != nil || key.Keytype != "SCHEMA" || records[i].Value == nil {
			continue
		}
		e := s.subjects[qualify(defaultContext, *key.Subject)][key.Version]
		if e == nil || string(e.raw) != string(records[i].Value) {
			continue // the other one's is the later one
		}
		context, _ := contextOf(e.Subject)
		switch {
		case e.before != nil && e.before.at >= at:
			was := record(key, nil)
			was.Value = e.before.raw
			back = append(back, was)
		case s.ids[idKey{context, e.ID}][0].content != e.content:
			back = append(back, record(key, nil))
		}
	}
	return back
}

// versions are those of a subject, the oldest first; deleted ones too where they are wanted.
func (s *state) versions(subject string, deleted bool) []*Entry {
	var list []*Entry
	for _, e := range s.subjects[subject] {
		if deleted || !e.Deleted {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *Entry) int { return a.Version - b.Version })
	return list
}

// names are the subjects, in order.
func (s *state) names(deleted bool) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.subjects)) {
		if deleted || len(s.versions(name, false)) > 0 {
			list = append(list, name)
		}
	}
	return list
}

// scope lists where a setting of a subject may stand, the nearest first: itself, its context, everything.
func scope(subject string) []string {
	context, name := contextOf(subject)
	list := []string{subject}
	if context != defaultContext {
		list = append(list, ":"+context+":")
	}
	if name != "" || context != defaultContext {
		list = append(list, "")
	}
	return slices.Compact(list)
}

func (s *state) level(subject string) string {
	for _, at := range scope(subject) {
		if c, ok := s.configs[at]; ok && c.CompatibilityLevel != "" {
			return c.CompatibilityLevel
		}
	}
	return "BACKWARD"
}

func (s *state) normalizes(subject string) bool {
	for _, at := range scope(subject) {
		if c, ok := s.configs[at]; ok && c.Normalize != nil {
			return *c.Normalize
		}
	}
	return false
}

func (s *state) mode(subject string) string {
	if s.modes[""] == "READONLY_OVERRIDE" {
		return "READONLY_OVERRIDE"
	}
	for _, at := range scope(subject) {
		if m, ok := s.modes[at]; ok {
			return m
		}
	}
	return "READWRITE"
}

// referencedBy are the entries that refer to a version, with deleted those that are deleted softly too.
func (s *state) referencedBy(subject string, version int, deleted bool) []*Entry {
	var list []*Entry
	for _, name := range slices.Sorted(maps.Keys(s.subjects)) {
		context, _ := contextOf(name)
		for _, e := range s.versions(name, deleted) {
			if slices.ContainsFunc(e.References, func(r Reference) bool { return qualify(context, r.Subject) == subject && r.Version == version }) {
				list = append(list, e)
			}
		}
	}
	return list
}
