package event

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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

	do func(context.Context) error // makes it so, and what the steps after it say that have none; nil: nothing is to be done
}

// Result is the steps of an event.
type Result struct {
	Event string `json:"event"`
	Topic string `json:"topic"` // in the cluster
	Steps []Step `json:"steps"`
	Done  bool   `json:"done"` // nothing is missing now
	// Problem is why it cannot be done, or was not done to the end. Steps that were not come to are not among the steps, or not done.
	Problem string `json:"problem,omitempty"`
	// Sample is the value of an event that gateways take, as JSON; empty where none could be made up.
	Sample json.RawMessage `json:"sample,omitempty"`
	// SampleKey and SampleID stand beside it, where it has to have one and no field of it is.
	SampleKey string `json:"sample_key,omitempty"`
	SampleID  string `json:"sample_id,omitempty"`
	// Unsampled is why, where none could be made up.
	Unsampled string `json:"unsampled,omitempty"`
	KeyName   string `json:"key,omitempty"`

	policy string // the topic's cleanup.policy, as it is or will be; "" where that is not known
}

// Changes says whether anything is to be done.
func (r *Result) Changes() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Change != "none" })
}

func (r *Result) step(part, change, format string, args ...any) {
	r.Steps = append(r.Steps, Step{Part: part, Change: change, What: fmt.Sprintf(format, args...), Done: change == "none"})
}

// from says what makes the steps from the nth on.
func (r *Result) from(n int, do func(context.Context) error) { r.Steps[n].do = do }

func (t *Tool) topic(e *File) string { return t.Names.Prefix + e.Event }

// subjects are where the schemas of the values and of the keys are registered: the topic's, by Confluent's naming.
func (t *Tool) subjects(e *File) (value, key string) {
	return t.topic(e) + "-value", t.topic(e) + "-key"
}

// Plan says what is missing. What cannot be brought about is an error: another number of partitions, a schema that breaks readers.
func (t *Tool) Plan(ctx context.Context, e *File) (*Result, error) {
	if err := plan.CheckTarget(t.topic(e)); err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Event, err)
	}
	r := &Result{Event: e.Event, Topic: t.topic(e), KeyName: e.Key, Steps: []Step{}}
	value, compiled, err := t.compile(ctx, e, &e.Value)
	if err != nil {
		return nil, err
	}
	if err := e.checkFields(compiled); err != nil {
		return nil, err
	}
	ofValues, ofKeys := t.subjects(e)
	err = errors.Join(t.planTopic(ctx, e, r), t.planSchema(ctx, &e.Value, value, ofValues, r))
	keys, ofKey := t.planKey(ctx, e, ofKeys, r)
	if err = errors.Join(err, ofKey, t.planDeclaration(ctx, e, r)); err == nil {
		e.sample(compiled, keys, !kept(r.policy), r)
	}
	r.Done = err == nil && !r.Changes()
	return r.ended(err)
}

// compile reads one of the file's schemas.
func (t *Tool) compile(ctx context.Context, e *File, of *Schema) (registry.Schema, *values.Schema, error) {
	s, err := of.read(e.dir)
	if err != nil {
		return s, nil, err
	}
	imports, err := (&evolution.Tool{Client: t.Registry}).Imports(ctx, s.References)
	if err != nil {
		return s, nil, fmt.Errorf("schema %s: %w", of.File, err)
	}
	compiled, err := values.Compile(&registry.Registered{Schema: s, Imports: imports, ID: 1})
	if err != nil {
		return s, nil, fmt.Errorf("schema %s: %w", of.File, evolution.NoSchema(err))
	}
	return s, compiled, nil
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
		r.policy = spec.Config["cleanup.policy"]
		r.step("topic", "create", "%s with %d partitions", r.Topic, spec.Partitions)
		for _, name := range slices.Sorted(maps.Keys(spec.Config)) {
			r.step("setting", "create", "%s=%s", name, spec.Config[name])
		}
		r.from(0, func(ctx context.Context) error { return t.Kafka.CreateTopics(ctx, []kafka.TopicSpec{spec}) })
		return nil
	}
	if info.Partitions != spec.Partitions {
		return fmt.Errorf("topic %s has %d partitions, and the file says %d: that changes which partition a key is in, so it is done by hand (docs/adding-partitions.md)", r.Topic, info.Partitions, spec.Partitions)
	}
	if e.Topic.ReplicationFactor > 0 && info.ReplicationFactor != e.Topic.ReplicationFactor {
		return fmt.Errorf("topic %s has %d replicas, and the file says %d: reassign its partitions with Kafka's own tools", r.Topic, info.ReplicationFactor, e.Topic.ReplicationFactor)
	}
	r.step("topic", "none", "%s with %d partitions", r.Topic, info.Partitions)
	if r.policy = info.Config["cleanup.policy"]; e.Topic.Settings["cleanup.policy"] != "" {
		r.policy = spec.Config["cleanup.policy"]
	}
	settings, first := map[string]string{}, 0
	for _, name := range slices.Sorted(maps.Keys(e.Topic.Settings)) { // what the file does not say stays as it is
		have, want := info.Config[name], spec.Config[name]
		if kafka.SameSetting(have, want) {
			r.step("setting", "none", "%s=%s", name, want)
			continue
		}
		if len(settings) == 0 {
			first = len(r.Steps)
		}
		settings[name] = want
		if info.Config == nil {
			r.step("setting", "change", "%s=%s, and whether it is so is not known: allow this principal to DESCRIBE_CONFIGS topic %s", name, want, r.Topic)
			continue
		}
		r.step("setting", "change", "%s=%s, is %s", name, want, have)
	}
	if len(settings) > 0 {
		r.from(first, func(ctx context.Context) error { return t.Kafka.SetTopicConfig(ctx, r.Topic, settings) })
	}
	return nil
}

// kept says whether records without a key may be in a topic.
func kept(policy string) bool { return policy != "" && !strings.Contains(policy, "compact") }

// planSchema compares a schema of the file, as it was read, with what its subject has.
func (t *Tool) planSchema(ctx context.Context, of *Schema, s registry.Schema, subject string, r *Result) error {
	if of.Compatibility != "" {
		if err := t.planLevel(ctx, subject, registry.Level(of.Compatibility), r); err != nil {
			return err
		}
	}
	schemas := &evolution.Tool{Client: t.Registry}
	planned, err := schemas.PlanAt(ctx, subject, s, registry.Level(of.Compatibility))
	if err != nil {
		var broken *evolution.IncompatibleError
		if errors.As(err, &broken) {
			for _, i := range broken.Incompatibilities {
				err = fmt.Errorf("%w\n  %s", err, i)
			}
		}
		return fmt.Errorf("schema %s: %w", of.File, err)
	}
	if planned.Latest > 0 { // gateways and readers use the latest one, which somebody has made another one on purpose
		return fmt.Errorf("schema %s is version %d of %s, and version %d is the latest, by which the gateway checks events: "+
			"`weir schema rollback %s --to %d` makes it the latest again; or write the latest one into the file, which `weir schema show %s latest` prints",
			of.File, planned.Version, subject, planned.Latest, subject, planned.Version, subject)
	}
	if planned.Known {
		r.step("schema", "none", "%s is version %d of %s, id %d", of.File, planned.Version, subject, planned.ID)
		return nil
	}
	change := "create"
	if planned.Version > 1 {
		change = "change"
	}
	first := len(r.Steps)
	if planned.Needs != "" {
		r.step("schema", "create", "%s, which %s imports, in a subject of that name", planned.Needs, of.File)
	}
	r.step("schema", change, "%s as version %d of %s", of.File, planned.Version, subject)
	r.from(first, func(ctx context.Context) error {
		s, _, err := schemas.Referred(ctx, s, true)
		if err == nil {
			_, err = t.Registry.Register(ctx, subject, s)
		}
		return err
	})
	return nil
}

func (t *Tool) planLevel(ctx context.Context, subject string, want registry.Level, r *Result) error {
	have, err := t.Registry.Level(ctx, subject)
	if err != nil {
		return err
	}
	config, err := t.Registry.Config(ctx, subject, true)
	var own struct{ CompatibilityLevel string }
	if err == nil {
		err = json.Unmarshal(config, &own)
	}
	switch {
	case errors.Is(err, registry.ErrNotFound), err == nil && own.CompatibilityLevel == "":
		r.step("level", "create", "%s of %s", want, subject)
	case err != nil:
		return err
	case have == want:
		r.step("level", "none", "%s of %s", have, subject)
		return nil
	default:
		r.step("level", "change", "%s of %s, is %s", want, subject, have)
	}
	r.from(len(r.Steps)-1, func(ctx context.Context) error { return t.Registry.SetLevel(ctx, subject, want) })
	return nil
}

// planKey plans the schema of the keys, where the file has one, and refuses a key of which that schema, or the one that is there, takes neither a text
// nor a number: the gateway would refuse every event. It returns the schema, nil where keys have none.
func (t *Tool) planKey(ctx context.Context, e *File, subject string, r *Result) (*values.Schema, error) {
	if e.KeySchema != nil {
		s, compiled, err := t.compile(ctx, e, e.KeySchema)
		if err != nil {
			return nil, err
		}
		return compiled, errors.Join(e.checkKey(compiled, e.KeySchema.File), t.planSchema(ctx, e.KeySchema, s, subject, r))
	}
	latest, err := t.Registry.Latest(ctx, subject)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	of := fmt.Sprintf("version %d of %s", latest.Version, subject)
	compiled, err := values.Compile(latest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", of, evolution.NoSchema(err))
	}
	return compiled, e.checkKey(compiled, of)
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
	first := len(r.Steps)
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
	if string(was) == string(is) {
		return nil
	}
	if !slices.ContainsFunc(r.Steps[first:], func(s Step) bool { return s.Change != "none" }) {
		r.step("declaration", "change", "written in another order")
	}
	r.from(first, func(ctx context.Context) error { return t.declare(ctx, want) })
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
		{"key schema", fmt.Sprint(want.KeySchema), fmt.Sprint(have.KeySchema), "keys become other bytes, so that events of one entity may be in another partition from then on"},
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

// Apply plans, and makes what is missing: the topic, its schemas, and last who may publish. It can be run again after it was interrupted.
func (t *Tool) Apply(ctx context.Context, e *File) (*Result, error) {
	r, err := t.Plan(ctx, e)
	if err != nil || r.Done {
		return r, err
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.do != nil {
			if err := s.do(ctx); err != nil {
				return r.ended(err)
			}
		}
		s.Done = true
	}
	r.Done = true
	return r, nil
}

// declare writes what gateways read.
func (t *Tool) declare(ctx context.Context, d *declared.Event) error {
	if err := system.Events.Ensure(ctx, t.Kafka, t.Names.System(system.Events.Name)); err != nil {
		return err
	}
	record, err := d.Record(t.Names)
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
