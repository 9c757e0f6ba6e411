// Package event brings a declared event into a cluster: its topic, its schema, and who may publish it, in one go.
//
// A file declares the event. Plan says what is missing of it, Apply makes that; applied again it changes nothing. Nothing is taken away: a
// topic stays, and so does a schema that the file does not name any more.
package event

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/yamlfile"
	"github.com/weirstream/weir/registry"
)

// File is the declaration of an event.
type File struct {
	Event       string   `yaml:"event"`       // entity.event_type.vN, the name of the topic
	Owner       string   `yaml:"owner"`       // who answers for it
	Key         string   `yaml:"key"`         // the field with the entity's key
	ID          string   `yaml:"id"`          // the field with the event's id
	Idempotency string   `yaml:"idempotency"` // stamped or once
	Keyless     bool     `yaml:"keyless"`     // events have no key, or one that is given beside them
	Value       Schema   `yaml:",inline"`     // of the events
	KeySchema   *Schema  `yaml:"key-schema"`  // of the records' keys, which are text where there is none
	Topic       Topic    `yaml:"topic"`
	Clients     []Client `yaml:"clients"`

	dir string
}

// Schema is a file with a schema, beside the event's, and how it is registered.
type Schema struct {
	File          string      `yaml:"schema"`
	Type          string      `yaml:"type"` // by the file's name where it is not given
	References    []Reference `yaml:"references"`
	Compatibility string      `yaml:"compatibility"` // a level; the registry's where it is not given
}

// Reference is a registered schema that the event's refers to by a name.
type Reference struct {
	Name    string `yaml:"name"` // the full name of an Avro type, the path of a Protobuf file, or the $ref of a JSON schema
	Subject string `yaml:"subject"`
	Version int    `yaml:"version"`
}

// Topic is what the event's topic is like.
type Topic struct {
	Partitions        int32             `yaml:"partitions"`
	ReplicationFactor int16             `yaml:"replication-factor"` // 0 is the cluster's default
	Settings          map[string]string `yaml:"settings"`           // by Kafka's names
}

// Client may publish the event, so much of it a second; 0 is no bound.
type Client struct {
	Name            string  `yaml:"name"`
	EventsPerSecond float64 `yaml:"events_per_second"`
	BytesPerSecond  float64 `yaml:"bytes_per_second"`
}

const maxFile = 1 << 20

// Read reads a file and checks it.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := secretfile.ReadAll(f, path, maxFile)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	e := &File{dir: filepath.Dir(path)}
	if err := yamlfile.Decode(data, e); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

func (e *File) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !plan.IsEventName(e.Event) {
		wrong("event is %q: name it entity.event_type.vN, such as order.placed.v1", e.Event)
	}
	if e.Owner == "" {
		wrong("owner is missing: who answers for the event?")
	}
	if (e.Key == "") == !e.Keyless {
		wrong("give the field of the key with key, or keyless: true where events have none")
	}
	e.Value.check("", wrong)
	if e.KeySchema != nil {
		e.KeySchema.check("key-schema.", wrong)
	}
	if e.Topic.Partitions < 1 {
		wrong("topic.partitions is %d: give 1 or more", e.Topic.Partitions)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Topic.Settings)) {
		if !slices.Contains(kafka.TopicSettings(), name) {
			wrong("topic.settings: %s is none of %s", name, strings.Join(kafka.TopicSettings(), ", "))
		} else if want := settingTakes(name, e.Topic.Settings[name]); want != "" {
			wrong("topic.settings: %s is %q: want %s", name, e.Topic.Settings[name], want)
		}
	}
	for i, c := range e.Clients {
		if slices.ContainsFunc(e.Clients[:i], func(other Client) bool { return other.Name == c.Name }) {
			wrong("clients: %q is there twice, and one quota can hold", c.Name)
		}
	}
	if err := e.declaration().Check(); err != nil {
		wrong("%w", err)
	}
	return errors.Join(errs...)
}

func (s *Schema) check(in string, wrong func(string, ...any)) {
	if s.File == "" {
		wrong("%sschema is missing: name the file of the schema, beside this one", in)
	} else if !filepath.IsLocal(s.File) {
		wrong("%sschema is %q: the file must be in the folder of this one, or below, so that they move together", in, s.File)
	}
	for i, r := range s.References {
		if r.Name == "" || r.Subject == "" || r.Version < 1 { // the latest version would be another schema tomorrow
			wrong("%sreferences[%d]: give name, subject and version of what the schema refers to", in, i)
		}
	}
	if s.Compatibility != "" {
		level, err := schema.ParseLevel(s.Compatibility)
		if err != nil {
			wrong("%scompatibility: %w", in, err)
		}
		s.Compatibility = string(level) // as registries write it
	}
}

// settingTakes is what a topic's setting takes where it does not take a value, which not every broker looks at.
func settingTakes(name, value string) string {
	atLeast := func(least int64, want string) string {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= least {
			return ""
		}
		return want
	}
	among := func(values ...string) string {
		if slices.Contains(values, value) {
			return ""
		}
		return "one of " + strings.Join(values, "; ")
	}
	switch name {
	case "cleanup.policy":
		if value = strings.ReplaceAll(value, " ", ""); value == "" {
			return "" // the default
		}
		return among("delete", "compact", "compact,delete", "delete,compact")
	case "message.timestamp.type":
		return among("CreateTime", "LogAppendTime")
	case "preallocate", "remote.log.copy.disable", "remote.log.delete.on.disable", "remote.storage.enable", "unclean.leader.election.enable":
		return among("true", "false")
	case "min.insync.replicas":
		return atLeast(1, "a number from 1 on")
	case "retention.ms":
		return atLeast(-1, "milliseconds, or -1 for ever")
	case "retention.bytes":
		return atLeast(-1, "a number of bytes of each partition, or -1 for no bound")
	case "compression.type":
		return among("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")
	case "local.retention.ms":
		return atLeast(-2, "milliseconds, -1 for ever, or -2 for retention.ms")
	case "delete.retention.ms", "max.compaction.lag.ms", "min.compaction.lag.ms", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "segment.ms":
		return atLeast(0, "milliseconds")
	case "max.message.bytes", "segment.bytes":
		return atLeast(0, "a number of bytes")
	}
	return ""
}

// declaration is what gateways read of it.
func (e *File) declaration() *declared.Event {
	d := &declared.Event{Version: 1, Topic: e.Event, Owner: e.Owner, Key: e.Key, ID: e.ID, Idempotency: e.Idempotency, Keyless: e.Keyless, Schema: e.Value.File != "", KeySchema: e.KeySchema != nil}
	for _, c := range e.Clients {
		d.Clients = append(d.Clients, declared.Client(c))
	}
	return d
}

// read reads the file of the schema, which is in the folder of the event's file or below.
func (s *Schema) read(dir string) (registry.Schema, error) {
	path := filepath.Join(dir, s.File)
	kind := s.Type
	for ext, t := range map[string]string{".avsc": "avro", ".proto": "protobuf", ".json": "json"} {
		if kind == "" && filepath.Ext(path) == ext {
			kind = t
		}
	}
	t, err := schema.ParseType(kind)
	if err != nil {
		return registry.Schema{}, fmt.Errorf("type of the schema %s: %w", s.File, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return registry.Schema{}, err
	}
	text, err := secretfile.ReadAll(f, path, 8*maxFile)
	read := registry.Schema{Type: registry.Type(t), Text: string(text)}
	for _, r := range s.References {
		read.References = append(read.References, registry.Reference(r))
	}
	return read, errors.Join(err, f.Close())
}

// checkFields says which fields of the declaration the schema does not have: gateways would refuse every event for want of them.
func (e *File) checkFields(s *values.Schema) error {
	var errs []error
	for _, field := range []struct{ of, path string }{{"key", e.Key}, {"id", e.ID}} {
		if field.path == "" {
			continue
		}
		if err := s.HasText(field.path); err != nil {
			errs = append(errs, fmt.Errorf("%s is %s, which no event of the schema %s has: %w", field.of, field.path, e.Value.File, err))
		}
	}
	return errors.Join(errs...)
}

// checkKey refuses a schema of keys that takes neither a text nor a number, whichever it is. One that takes some of them, those of a format say, is
// none: see sample.
func (e *File) checkKey(keys *values.Schema, of string) error {
	if e.Key == "" || keys.HasText("") == nil {
		return nil
	}
	return fmt.Errorf("key is %s, a field with a text or a number, and %s wants another form of keys, so that the gateway would refuse every event: "+
		"write keyless: true in its place, and have producers give the whole key (Weir-Key, or ?key=)", e.Key, of)
}

// spec is how the topic is made.
func (e *File) spec(name string) kafka.TopicSpec {
	s := kafka.TopicSpec{Name: name, Partitions: e.Topic.Partitions, ReplicationFactor: e.Topic.ReplicationFactor, Config: map[string]string{}}
	if s.ReplicationFactor == 0 {
		s.ReplicationFactor = -1
	}
	for key, value := range e.Topic.Settings {
		s.Config[key] = value
	}
	if s.Config["cleanup.policy"] == "" {
		s.Config["cleanup.policy"] = "delete"
	}
	return s
}

// New writes a file for an event and its first schema beside it, neither of which may exist, into a folder, which is made where there is none. It
// returns their paths.
func New(dir, name, owner string) (paths []string, err error) {
	if !plan.IsEventName(name) {
		return nil, fmt.Errorf("the event is %q: name it entity.event_type.vN, such as order.placed.v1", name)
	}
	parts := strings.Split(name, ".")
	record := ""
	for _, part := range strings.FieldsFunc(parts[0]+"_"+parts[1], func(r rune) bool { return r == '_' || r == '-' }) {
		record += strings.ToUpper(part[:1]) + part[1:]
	}
	key := strings.ReplaceAll(parts[0], "-", "_") + "_id"
	files := []struct{ path, text string }{
		{filepath.Join(dir, name+".avsc"), fmt.Sprintf(`{
  "type": "record",
  "name": %q,
  "fields": [
    {"name": "event_id", "type": "string", "doc": "another one for each event"},
    {"name": %q, "type": "string", "doc": "the entity"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
  ]
}
`, record, key)},
		{filepath.Join(dir, name+".yaml"), fmt.Sprintf(`# weir event plan %[1]s.yaml shows what is missing of it in a cluster; apply makes that.
event: %[1]s
owner: %[2]s
# Fields of the value: the entity's key, by which events are ordered, and the event's id, by which a repetition is known.
key: %[3]s
id: event_id
schema: %[1]s.avsc
compatibility: BACKWARD
topic:
  partitions: 6
  settings:
    retention.ms: "604800000"
# Who may publish it at the gateway, besides those whom the gateway's own list allows the topic, such as
#  - {name: shop, events_per_second: 1000, bytes_per_second: 1000000}
# A quota is optional. The name "*" is each client that the gateway knows, whatever its list allows.
clients: []
`, name, inYAML(owner), key)},
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range files {
		out, err := os.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = out.WriteString(f.text)
			err = errors.Join(err, out.Close())
		}
		if err != nil {
			for _, made := range paths { // half of an event helps nobody
				err = errors.Join(err, os.Remove(made))
			}
			return nil, err
		}
		paths = append(paths, f.path)
	}
	return paths, nil
}

// inYAML is a text as a value of YAML, in quotes where it needs some.
func inYAML(text string) string {
	data, err := yaml.Marshal(text)
	if err != nil {
		return strconv.Quote(text)
	}
	return strings.TrimSuffix(string(data), "\n")
}
