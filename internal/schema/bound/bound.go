// Package bound is what the codecs of all three types have in common that are bound to a schema registry: which subject a schema is in,
// which schema a value was written with, and what it means when the registry does not say.
package bound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/registry"
)

// Codec is the part of a codec that knows the registry.
type Codec struct {
	client  *registry.Client
	with    registry.Binding
	kind    registry.Type
	text    string
	name    string // of the record or message
	uses    []registry.Dependency
	writing sync.Map // *registry.Registered by subject
	missing missing
}

const (
	missingAfter = 5 * time.Minute
	wait         = 200 * time.Millisecond
	mostMissing  = 1000
)

// New binds a schema of a name to a registry.
func New(client *registry.Client, with registry.Binding, kind registry.Type, name, text string, uses []registry.Dependency) *Codec {
	with.MissingAfter = cmp.Or(with.MissingAfter, missingAfter)
	with.Wait = cmp.Or(with.Wait, wait)
	return &Codec{client: client, with: with, kind: kind, name: name, text: text, uses: uses}
}

// subject is that of a record's value or key.
func (c *Codec) subject(r *codecs.Record) (string, error) {
	suffix := "-value"
	if r.Key {
		suffix = "-key"
	}
	switch {
	case c.with.Subject != "":
		return c.with.Subject, nil
	case r.Subject != "" && !r.Key:
		return r.Subject, nil
	case c.with.Naming != registry.TopicName && c.name == "":
		return "", errors.New("the schema has no name that its subject could have: name it, or give the binding a Subject")
	case c.with.Naming == registry.RecordName:
		return c.name, nil
	case r.Topic == "":
		return "", errors.New("a value outside of a topic has no subject of the topic's: give the binding a Subject, or RecordName")
	case c.with.Naming == registry.TopicRecordName:
		return r.Topic + "-" + c.name, nil
	}
	return r.Topic + suffix, nil
}

// unavailable says that a value waits.
func unavailable(err error) error { return fmt.Errorf("%w: %w", codecs.ErrUnavailable, err) }

// Unreadable says that the schema which a value was written with is not understood by this program. That is no fault of the record: it waits.
func Unreadable(frame framing.Frame, why error) error {
	return unavailable(fmt.Errorf("schema %s, with which the value was written, is not understood by this program: %w. The records wait: run a build that understands the schema, "+
		"have the stream read bytes (codecs.Bytes) and decode them in its own way, or pass over the records (weir offsets reset --to OFFSET)", frame, why))
}

// Written is the registered schema that a record's value is written with.
func (c *Codec) Written(r *codecs.Record) (*registry.Registered, error) {
	subject, err := c.subject(r)
	if err != nil {
		return nil, err
	}
	if known, ok := c.writing.Load(subject); ok {
		return known.(*registry.Registered), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.with.Wait)
	defer cancel()
	s, err := c.schema(ctx, subject, c.known)
	var found *registry.Registered
	if err == nil {
		found, err = c.known(ctx, subject, s)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	c.writing.Store(subject, found)
	return found, nil
}

// known finds a schema that is registered.
func (c *Codec) known(ctx context.Context, subject string, s registry.Schema) (*registry.Registered, error) {
	found, err := c.client.Registered(ctx, subject, s)
	if errors.Is(err, registry.ErrNotFound) {
		err = fmt.Errorf("the schema is not registered in subject %q: register it, or start with --schemas register: %w", subject, err)
	}
	return found, err
}

// Imports are the texts of dependencies, each after those that it uses.
func Imports(uses []registry.Dependency) (list []registry.Import) {
	for _, d := range uses {
		for _, in := range append(Imports(d.Uses), registry.Import{Name: d.Name, Text: d.Text}) {
			if !slices.ContainsFunc(list, func(have registry.Import) bool { return have.Name == in.Name }) {
				list = append(list, in)
			}
		}
	}
	return list
}

// finder finds a schema in a subject, and may register it there.
type finder func(ctx context.Context, subject string, s registry.Schema) (*registry.Registered, error)

// schema is what is registered in a subject, with references to what it uses in the same context; find finds or registers these.
func (c *Codec) schema(ctx context.Context, of string, find finder) (registry.Schema, error) {
	var refer func(uses []registry.Dependency) ([]registry.Reference, error)
	refer = func(uses []registry.Dependency) (list []registry.Reference, err error) {
		for _, d := range uses {
			below, err := refer(d.Uses)
			if err != nil {
				return nil, err
			}
			subject := cmp.Or(d.Subject, d.Name)
			found, err := find(ctx, registry.Beside(of, subject), registry.Schema{Type: c.kind, Text: d.Text, References: below})
			if err != nil {
				return nil, fmt.Errorf("%s, which the schema refers to: %w", d.Name, err)
			}
			list = append(list, registry.Reference{Name: d.Name, Subject: subject, Version: found.Version})
		}
		return list, nil
	}
	references, err := refer(c.uses)
	return registry.Schema{Type: c.kind, Text: c.text, References: references}, err
}

// Prepare registers the schema and what it refers to, or checks that they can be registered.
func (c *Codec) Prepare(p codecs.Preparation) error {
	err := c.prepare(p)
	if errors.Is(err, registry.ErrAway) {
		err = unavailable(err)
	}
	return err
}

func (c *Codec) prepare(p codecs.Preparation) error {
	subject, err := c.subject(&p.Record)
	if err != nil {
		return err
	}
	find := c.checked
	if p.Register {
		find = c.registered
	}
	s, err := c.schema(p.Context, subject, find)
	var found *registry.Registered
	if err == nil {
		found, err = find(p.Context, subject, s)
	}
	switch {
	case err == nil && p.Register:
		c.writing.Store(subject, found)
	case !p.Register && errors.Is(err, registry.ErrNotFound):
		// It breaks nobody, or what it refers to is not registered, so that there is nothing that it can be compared with.
		return fmt.Errorf("%w in subject %q: register it (weir schema register), or start once with --schemas register", codecs.ErrUnregistered, subject)
	}
	return err
}

// checked finds a schema. Where it is not registered it is compared with its subject: it can be registered (registry.ErrNotFound), or cannot.
func (c *Codec) checked(ctx context.Context, subject string, s registry.Schema) (*registry.Registered, error) {
	found, err := c.client.Registered(ctx, subject, s)
	if !errors.Is(err, registry.ErrNotFound) {
		return found, err
	}
	reasons, failed := c.client.Check(ctx, subject, s)
	switch {
	case failed != nil:
		return nil, failed
	case len(reasons) > 0:
		return nil, &IncompatibleError{subject, reasons}
	}
	return nil, err
}

// registered registers a schema. Where that breaks readers the error lists how.
func (c *Codec) registered(ctx context.Context, subject string, s registry.Schema) (*registry.Registered, error) {
	found, err := c.client.Register(ctx, subject, s)
	return found, c.explained(ctx, subject, s, err)
}

// explained lists why a schema cannot be registered.
func (c *Codec) explained(ctx context.Context, subject string, s registry.Schema, err error) error {
	if !errors.Is(err, registry.ErrIncompatible) {
		return err
	}
	var refused *registry.Error
	if errors.As(err, &refused) && len(refused.Reasons) > 0 && refused.Reasons[0].Rule != "" {
		return &IncompatibleError{subject, refused.Reasons}
	}
	if reasons, err := c.client.Check(ctx, subject, s); err == nil && len(reasons) > 0 {
		return &IncompatibleError{subject, reasons}
	}
	return err
}

// IncompatibleError says how the schema of a program breaks readers of its subject.
type IncompatibleError struct {
	Subject string
	Reasons []registry.Incompatibility
}

func (e *IncompatibleError) Error() string {
	lines := []string{fmt.Sprintf("the schema of this program is not compatible with subject %q:", e.Subject)}
	for _, r := range e.Reasons {
		lines = append(lines, "  "+r.String())
	}
	return strings.Join(lines, "\n")
}

// Read is which schema a value was written with, and what is left of the value and of the header: see framing.Read.
func (c *Codec) Read(r *codecs.Record, value []byte) (frame framing.Frame, rest []byte, inHeader bool, err error) {
	return framing.Read(value, header(r))
}

// Schema names the schema that a record's value was written with. An id may be one schema in one context of the registry and another in the next: which
// is meant follows from the subject, and that from the record.
type Schema struct {
	framing.Frame
	topic, subject string
	key            bool
}

// Of names the schema of a frame.
func (c *Codec) Of(r *codecs.Record, frame framing.Frame) Schema {
	s := Schema{Frame: frame}
	switch {
	case frame.GUID != "" || c.with.Subject != "" || c.with.Naming != registry.TopicName: // in all records the same
	case r.Subject != "" && !r.Key:
		s.subject = r.Subject
	default:
		s.topic, s.key = r.Topic, r.Key
	}
	return s
}

// reads is the subject that a record was written by; "" where its type's name makes it, which is not known yet.
func (c *Codec) reads(r *codecs.Record) string {
	if c.with.Subject == "" && c.with.Naming != registry.TopicName {
		return ""
	}
	subject, _ := c.subject(r)
	return subject
}

// Find finds the schema that a record's value was written with, which must be of the type of the codec's own.
func (c *Codec) Find(r *codecs.Record, frame framing.Frame) (written *registry.Registered, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.with.Wait)
	defer cancel()
	if frame.GUID != "" {
		written, err = c.client.ByGUID(ctx, frame.GUID)
	} else {
		written, err = c.client.ByIDOf(ctx, frame.ID, c.reads(r))
	}
	schema := c.Of(r, frame)
	switch {
	case err == nil:
		c.missing.found(schema)
	case errors.Is(err, registry.ErrNotFound):
		now, since, of := time.Now(), r.Time, "the record was written"
		if since.IsZero() || since.After(now) { // which says nothing of how long the schema has had to come
			since, of = c.missing.since(schema, now, c.with.MissingAfter), "it was first looked for"
		}
		if age := now.Sub(since); age > c.with.MissingAfter {
			err = fmt.Errorf("the schema %s with which the value was written is not in the registry, %v after %s: %w", frame, age.Round(time.Second), of, err)
		} else {
			err = unavailable(fmt.Errorf("the schema %s is not in the registry yet: %w", frame, err))
		}
	default:
		err = unavailable(err)
	}
	if err == nil && written.Type != c.kind {
		return nil, fmt.Errorf("schema %s is %s, and no %s", frame, written.Type, kinds[c.kind])
	}
	return written, err
}

// kinds are the types of schemas as people call them.
var kinds = map[registry.Type]string{registry.Avro: "Avro", registry.Protobuf: "Protobuf", registry.JSON: "JSON"}

// missing is when schemas that were not there were first looked for.
type missing struct {
	mu    sync.Mutex
	first map[Schema]time.Time
}

func (m *missing) found(s Schema) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.first, s)
}

// since is when a schema was first looked for, now where it was not before. Beyond the most, those that nobody can wait for any more are
// forgotten; where all are waited for, one more has to wait for one of them.
func (m *missing) since(s Schema, now time.Time, after time.Duration) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first, ok := m.first[s]; ok {
		return first
	}
	if len(m.first) >= mostMissing {
		maps.DeleteFunc(m.first, func(_ Schema, first time.Time) bool { return now.Sub(first) > 2*after })
	}
	if m.first == nil {
		m.first = map[Schema]time.Time{}
	}
	if len(m.first) < mostMissing {
		m.first[s] = now
	}
	return now
}

// header is the last header of the record that says which schema its value, or key, was written with.
func header(r *codecs.Record) (value []byte) {
	name := framing.HeaderOf(r.Key)
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			value = r.Headers[i].Value
		}
	}
	return value
}

// Begin writes what stands before a value, or in its header. indexes are those of a Protobuf message, nil for other types.
func (c *Codec) Begin(r *codecs.Record, dst []byte, indexes []int) ([]byte, []codecs.Header, error) {
	written, err := c.Written(r)
	if err != nil {
		return dst, nil, err
	}
	if c.with.Form == registry.InHeader {
		value, err := framing.Header(written.GUID)
		if err != nil {
			return dst, nil, fmt.Errorf("the registry gives schemas no GUID, which a header has: write the id before the value (registry.InValue): %w", err)
		}
		if indexes != nil {
			value = framing.AppendIndexes(value, indexes)
		}
		return dst, []codecs.Header{{Key: framing.HeaderOf(r.Key), Value: value}}, nil
	}
	dst = framing.AppendID(dst, written.ID)
	if indexes != nil {
		dst = framing.AppendIndexes(dst, indexes)
	}
	return dst, nil, nil
}

// Known are things made of registered schemas, by what names these: the last thousand or so.
type Known[K comparable, V any] struct {
	mu  sync.RWMutex
	all map[K]V
}

const mostKnown = 1000

// Get makes a thing once for each name. An error is not kept.
func (k *Known[K, V]) Get(name K, make_ func() (V, error)) (V, error) {
	k.mu.RLock()
	v, ok := k.all[name]
	k.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := make_()
	if err != nil {
		return v, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil || len(k.all) >= mostKnown {
		k.all = map[K]V{}
	}
	k.all[name] = v
	return v, nil
}

// Recovered turns a panic of a library into an error.
func Recovered(err *error, doing string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v", doing, p)
	}
}
