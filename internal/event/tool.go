package event

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/evolution"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/registry"
)

// Tool brings events into one cluster and its registry.
type Tool struct {
	Kafka    *kafka.Client
	Registry *registry.Client
	Names    plan.Names
}

// Step is a part of an event, and how it stands.
type Step struct {
	Part   string `json:"part"`   // topic, setting, level, schema, declaration or permissions
	Change string `json:"change"` // none, create or change
	What   string `json:"what"`   // in words: what is there and what it becomes
	Done   bool   `json:"done"`   // it is as the file says now
}

// Result is the steps of an event.
type Result struct {
	Event string `json:"event"`
	Topic string `json:"topic"` // in the cluster
	Steps []Step `json:"steps"`
	Done  bool   `json:"done"` // nothing is missing now
	// Problem is why it cannot be done, or was not done to the end. Steps that were not come to are not among the steps, or not done.
	Problem string `json:"problem,omitempty"`
	// Sample is a value that the schema takes, as JSON; empty where none could be made up.
	Sample  json.RawMessage `json:"sample,omitempty"`
	KeyName string          `json:"key,omitempty"`

	settings map[string]string // of the topic, to be changed
	make     bool
	level    string
	register bool
	declare  bool
}

// Changes says whether anything is to be done.
func (r *Result) Changes() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Change != "none" })
}

func (r *Result) step(part, change, format string, args ...any) {
	r.Steps = append(r.Steps, Step{part, change, fmt.Sprintf(format, args...), change == "none"})
}

// did notes that the steps of some parts are done.
func (r *Result) did(parts ...string) {
	for i := range r.Steps {
		r.Steps[i].Done = r.Steps[i].Done || slices.Contains(parts, r.Steps[i].Part)
	}
}

func (t *Tool) topic(e *File) string { return t.Names.Prefix + e.Event }

// subject is where the schema is registered: the topic's, by Confluent's naming.
func (t *Tool) subject(e *File) string { return t.topic(e) + "-value" }

// Plan says what is missing. What cannot be brought about is an error: another number of partitions, a schema that breaks readers.
func (t *Tool) Plan(ctx context.Context, e *File) (*Result, error) {
	if err := plan.CheckTarget(t.topic(e)); err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Event, err)
	}
	s, err := e.schema()
	if err != nil {
		return nil, err
	}
	r := &Result{Event: e.Event, Topic: t.topic(e), KeyName: e.Key, Steps: []Step{}, settings: map[string]string{}}
	imports, err := (&evolution.Tool{Client: t.Registry}).Imports(ctx, s.References)
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", e.Schema, err)
	}
	compiled, err := values.Compile(&registry.Registered{Schema: s, Imports: imports, ID: 1})
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", e.Schema, evolution.NoSchema(err))
	}
	if err := e.checkFields(compiled); err != nil {
		return nil, err
	}
	r.Sample = sample(compiled)
	err = errors.Join(t.planTopic(ctx, e, r), t.planSchema(ctx, e, s, r), t.planKey(ctx, e), t.planDeclaration(ctx, e, r))
	r.Done = err == nil && !r.Changes()
	return r.ended(err)
}

// ended notes why it was not done.
func (r *Result) ended(err error) (*Result, error) {
	if err != nil {
		r.Problem = err.Error()
	}
	return r, err
}

func (t *Tool) planTopic(ctx context.Context, e *File, r *Result) error {
	infos, err := t.Kafka.Topics(ctx, []string{r.Topic})
	if err != nil {
		return err
	}
	info, ok := infos[r.Topic]
	spec := e.spec(r.Topic)
	if !ok {
		r.make = true
		r.step("topic", "create", "%s with %d partitions", r.Topic, spec.Partitions)
		for _, name := range slices.Sorted(maps.Keys(spec.Config)) {
			r.step("setting", "create", "%s=%s", name, spec.Config[name])
		}
		return nil
	}
	if info.Partitions != spec.Partitions {
		return fmt.Errorf("topic %s has %d partitions, and the file says %d: that changes which partition a key is in, so it is done by hand (docs/adding-partitions.md)", r.Topic, info.Partitions, spec.Partitions)
	}
	if e.Topic.ReplicationFactor > 0 && info.ReplicationFactor != e.Topic.ReplicationFactor {
		return fmt.Errorf("topic %s has %d replicas, and the file says %d: reassign its partitions with Kafka's own tools", r.Topic, info.ReplicationFactor, e.Topic.ReplicationFactor)
	}
	r.step("topic", "none", "%s with %d partitions", r.Topic, info.Partitions)
	for _, name := range slices.Sorted(maps.Keys(e.Topic.Settings)) { // what the file does not say stays as it is
		have, want := info.Config[name], spec.Config[name]
		if kafka.SameSetting(have, want) {
			r.step("setting", "none", "%s=%s", name, want)
			continue
		}
		r.settings[name] = want
		r.step("setting", "change", "%s=%s, is %s", name, want, have)
	}
	return nil
}

func (t *Tool) planSchema(ctx context.Context, e *File, s registry.Schema, r *Result) error {
	subject := t.subject(e)
	if e.Compatibility != "" {
		level, err := t.Registry.Level(ctx, subject)
		if err != nil {
			return err
		}
		own := true
		if _, err := t.Registry.Config(ctx, subject, true); errors.Is(err, registry.ErrNotFound) {
			own = false
		} else if err != nil {
			return err
		}
		switch {
		case own && string(level) == e.Compatibility:
			r.step("level", "none", "%s of %s", level, subject)
		case own:
			r.level = e.Compatibility
			r.step("level", "change", "%s of %s, is %s", e.Compatibility, subject, level)
		default:
			r.level = e.Compatibility
			r.step("level", "create", "%s of %s", e.Compatibility, subject)
		}
	}
	planned, err := (&evolution.Tool{Client: t.Registry}).PlanAt(ctx, subject, s, registry.Level(e.Compatibility))
	if err != nil {
		var broken *evolution.IncompatibleError
		if errors.As(err, &broken) {
			for _, i := range broken.Incompatibilities {
				err = fmt.Errorf("%w\n  %s", err, i)
			}
		}
		return fmt.Errorf("schema %s: %w", e.Schema, err)
	}
	if planned.Latest > 0 { // gateways and readers use the latest one, which somebody has made another one on purpose
		return fmt.Errorf("schema %s is version %d of %s, and version %d is the latest, by which the gateway checks events: "+
			"`weir schema rollback %s --to %d` makes it the latest again; or write the latest one into the file, which `weir schema show %s latest` prints",
			e.Schema, planned.Version, subject, planned.Latest, subject, planned.Version, subject)
	}
	if planned.Known {
		r.step("schema", "none", "%s is version %d of %s, id %d", e.Schema, planned.Version, subject, planned.ID)
		return nil
	}
	r.register = true
	change := "create"
	if planned.Version > 1 {
		change = "change"
	}
	r.step("schema", change, "%s as version %d of %s", e.Schema, planned.Version, subject)
	return nil
}

// planKey refuses a key of which the keys' schema, where there is one, takes neither a text nor a number: the gateway would refuse every event.
func (t *Tool) planKey(ctx context.Context, e *File) error {
	if e.Key == "" {
		return nil
	}
	subject := t.topic(e) + "-key"
	latest, err := t.Registry.Latest(ctx, subject)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	compiled, err := values.Compile(latest)
	if err != nil {
		return fmt.Errorf("version %d of %s: %w", latest.Version, subject, evolution.NoSchema(err))
	}
	message, err := compiled.Message("")
	for _, document := range []string{`"a"`, "1"} {
		if err != nil {
			break
		}
		if _, refused := compiled.AppendBare(nil, message, []byte(document)); refused == nil {
			return nil
		}
	}
	return fmt.Errorf("key is %s, a field with a text or a number, and version %d of %s wants another form of keys, so that the gateway would refuse every event: "+
		"write keyless: true in its place, and have producers give the whole key (Weir-Key, or ?key=)", e.Key, latest.Version, subject)
}

// planDeclaration compares with what gateways read.
func (t *Tool) planDeclaration(ctx context.Context, e *File, r *Result) error {
	want := e.declaration()
	var have *declared.Event
	fetcher := t.Kafka.NewFetcher(1 << 20)
	defer fetcher.Close()
	err := system.Events.Read(ctx, t.Kafka, fetcher, t.Names.System(system.Events.Name), func(record *kafka.Record) error {
		if string(record.Key) != e.Event {
			return nil
		}
		have = nil
		var d declared.Event
		if record.Value != nil && json.Unmarshal(record.Value, &d) == nil {
			have = &d
		}
		return nil
	})
	if err != nil {
		return err
	}
	was, _ := json.Marshal(have)
	is, _ := json.Marshal(want)
	r.declare = string(was) != string(is)
	if have == nil {
		r.step("declaration", "create", "owner %s, key %s, id %s, idempotency %s", want.Owner, cmp.Or(want.Key, "none"), cmp.Or(want.ID, "none"), cmp.Or(want.Idempotency, declared.Stamped))
		have = &declared.Event{}
	} else {
		r.fields(have, want)
	}
	if len(want.Clients) == 0 {
		change := "none"
		switch {
		case string(was) == "null":
			change = "create"
		case len(have.Clients) > 0:
			change = "change"
		}
		r.step("permissions", change, "for whom the gateway's own list allows the topic, and nobody else")
	}
	for _, c := range want.Clients {
		change := "create"
		if at := slices.IndexFunc(have.Clients, func(h declared.Client) bool { return h.Name == c.Name }); at >= 0 {
			if change = "change"; have.Clients[at] == c {
				change = "none"
			}
		}
		r.step("permissions", change, "for %s: %s events and %s bytes a second", everybody(c.Name), bound(c.EventsPerSecond), bound(c.BytesPerSecond))
	}
	if r.declare && !slices.ContainsFunc(r.Steps, func(s Step) bool { return (s.Part == "declaration" || s.Part == "permissions") && s.Change != "none" }) {
		r.step("declaration", "change", "written in another order")
	}
	return nil
}

// everybody is the name of a client, with what * means.
func everybody(name string) string {
	if name == "*" {
		return "*, which is each client that the gateway knows, whatever its own list allows"
	}
	return name
}

// fields tells what changes of how gateways read an event that is declared already, and who may not publish it any more.
func (r *Result) fields(have, want *declared.Event) {
	for _, f := range []struct{ name, is, was, so string }{
		{"owner", want.Owner, have.Owner, "who answers for the event"},
		{"key", want.Key, have.Key, "events of one entity may be in another partition from then on"},
		{"id", want.ID, have.ID, "a repetition of an event from before is not known"},
		{"idempotency", cmp.Or(want.Idempotency, declared.Stamped), cmp.Or(have.Idempotency, declared.Stamped), "ids that the other level knows are not known"},
		{"keyless", fmt.Sprint(want.Keyless), fmt.Sprint(have.Keyless), "whether an event may have no key"},
		{"schema", fmt.Sprint(want.Schema), fmt.Sprint(have.Schema), "whether events are refused while the subject has no schema"},
	} {
		if f.is != f.was {
			r.step("declaration", "change", "%s %s, is %s: %s", f.name, cmp.Or(f.is, "none"), cmp.Or(f.was, "none"), f.so)
		}
	}
	for _, c := range have.Clients {
		if !slices.ContainsFunc(want.Clients, func(w declared.Client) bool { return w.Name == c.Name }) {
			r.step("permissions", "change", "not for %s any more", c.Name)
		}
	}
}

func bound(n float64) string {
	if n == 0 {
		return "any number of"
	}
	return fmt.Sprint(n)
}

// Apply plans, and makes what is missing: the topic, its schema, and last who may publish. It can be run again after it was interrupted.
func (t *Tool) Apply(ctx context.Context, e *File) (*Result, error) {
	r, err := t.Plan(ctx, e)
	if err != nil || r.Done {
		return r, err
	}
	if r.make {
		err = t.Kafka.CreateTopics(ctx, []kafka.TopicSpec{e.spec(r.Topic)})
	} else if len(r.settings) > 0 {
		err = t.Kafka.SetTopicConfig(ctx, r.Topic, r.settings)
	}
	if err == nil {
		r.did("topic", "setting")
	}
	if err == nil && r.level != "" {
		err = t.Registry.SetLevel(ctx, t.subject(e), registry.Level(r.level))
	}
	if err == nil {
		r.did("level")
	}
	if err == nil && r.register {
		var s registry.Schema
		if s, err = e.schema(); err == nil {
			s, _, err = (&evolution.Tool{Client: t.Registry}).Referred(ctx, s, true)
		}
		if err == nil {
			_, err = t.Registry.Register(ctx, t.subject(e), s)
		}
	}
	if err == nil {
		r.did("schema")
	}
	if err == nil && r.declare {
		err = t.declare(ctx, e)
	}
	if err == nil {
		r.did("declaration", "permissions")
	}
	r.Done = err == nil
	return r.ended(err)
}

// declare writes what gateways read.
func (t *Tool) declare(ctx context.Context, e *File) error {
	if err := system.Events.Ensure(ctx, t.Kafka, t.Names.System(system.Events.Name)); err != nil {
		return err
	}
	record, err := e.declaration().Record(t.Names)
	if err != nil {
		return err
	}
	sink, err := t.Kafka.NewSink(ctx, "")
	if err != nil {
		return err
	}
	if err = sink.Append(&record); err == nil {
		err = sink.Flush(ctx)
	}
	sink.Close()
	return err
}

// sample makes up a value that the schema takes, nil where that is not found.
func sample(compiled *values.Schema) json.RawMessage {
	document := madeUp(compiled.Registered())
	message, err := compiled.Message("")
	if err != nil {
		return nil // a file without a message
	}
	if _, err := compiled.AppendBare(nil, message, document); err != nil {
		return nil
	}
	return document
}
