package evolution

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/registry"
)

// Impact is what a new schema of a subject would do to those who use it.
type Impact struct {
	Subject string          `json:"subject"`
	Level   registry.Level  `json:"level"`
	Allowed bool            `json:"allowed"` // by the level
	Reads   []VersionImpact `json:"versions"`
	Uses    []Use           `json:"topologies"`
	Records *Records        `json:"records,omitempty"`
	Unknown []string        `json:"unknown"` // what cannot be known from here
}

// Breaks says whether the schema is refused, or somebody could not read any more.
func (i *Impact) Breaks() bool {
	return !i.Allowed || i.Records != nil && i.Records.Undecodable > 0 || slices.ContainsFunc(i.Uses, func(u Use) bool { return len(u.Breaks) > 0 })
}

// VersionImpact is how the new schema stands to one that is registered.
type VersionImpact struct {
	Version int                 `json:"version"`
	Broken  []schema.Difference `json:"backward"` // why the new schema cannot read what this version wrote
	Breaks  []schema.Difference `json:"forward"`  // why this version cannot read what the new schema writes
}

// Use is a topology that reads or writes the subject.
type Use struct {
	Topology string   `json:"topology"`
	Nodes    []string `json:"nodes"`
	Role     string   `json:"role"` // reads or writes
	Topic    string   `json:"topic"`
	Codec    string   `json:"codec"`
	// Breaks are the versions with which it would break: while it reads with one of these and others write with the new schema, or
	// the other way round.
	Breaks []int `json:"breaks_with"`
	// Instances are those that run now, as they announce themselves. None where only a file says that there is such a topology.
	Instances []Instance `json:"instances"`
}

// Instance is a running instance of a topology.
type Instance struct {
	Instance string `json:"instance"`
	Version  string `json:"version"` // of its program
	Revision string `json:"revision,omitempty"`
	Host     string `json:"host"`
}

// Question is which schema of which subject is asked about.
type Question struct {
	Subject string
	Topic   string // "" is the subject's without -value or -key
	Schema  registry.Schema
	Last    int           // records to look at
	Kafka   *kafka.Client // nil: no records are looked at, and no instances
	Names   plan.Names    // of the environment whose instances are meant
	Graphs  io.Reader     // topologies as `topology describe --output json` writes them; nil for none
}

// place is the topic of a subject, and whether its keys are meant.
func (q *Question) place() (topic string, key bool) {
	topic, key = strings.CutSuffix(q.Subject, "-key")
	if !key {
		topic = strings.TrimSuffix(q.Subject, "-value")
	}
	if q.Topic != "" {
		topic = q.Topic
	}
	return topic, key
}

// Impact says what a schema would do, without registering it.
func (t *Tool) Impact(ctx context.Context, q Question) (*Impact, error) {
	given := &registry.Registered{Schema: q.Schema}
	var err error
	if given.Imports, err = t.Imports(ctx, q.Schema.References); err != nil {
		return nil, err
	}
	next, err := Parse(given)
	if err != nil {
		return nil, NoSchema(err)
	}
	result := &Impact{Subject: q.Subject, Reads: []VersionImpact{}, Uses: []Use{}, Unknown: []string{}}
	planned, err := t.Plan(ctx, q.Subject, q.Schema)
	var broken *IncompatibleError
	if err != nil && !errors.As(err, &broken) {
		return nil, err
	}
	result.Level, result.Allowed = planned.Level, err == nil
	live, err := t.Client.Versions(ctx, q.Subject, false)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	for _, n := range live {
		r, err := t.Client.Version(ctx, q.Subject, n)
		if err != nil {
			return nil, err
		}
		old, err := Parse(r)
		if err != nil {
			return nil, err
		}
		result.Reads = append(result.Reads, VersionImpact{n, list(schema.Read(next, old)), list(schema.Read(old, next))})
	}
	topic, key := q.place()
	if err := result.uses(ctx, &q, topic); err != nil {
		return nil, err
	}
	if q.Kafka == nil {
		result.Unknown = append(result.Unknown, "which real records the schema cannot read: give --brokers")
		return result, nil
	}
	all, err := t.Client.Versions(ctx, q.Subject, true)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	versions, err := t.byID(ctx, q.Subject, all)
	if err != nil {
		return nil, err
	}
	result.Records, err = t.read(ctx, q.Kafka, q.Subject, topic, key, q.Last, given, versions)
	return result, err
}

// byID are versions of a subject by the id of their schema.
func (t *Tool) byID(ctx context.Context, subject string, all []int) (map[int][]int, error) {
	versions := map[int][]int{}
	for _, n := range all {
		r, err := t.Client.Stored(ctx, subject, n)
		if err != nil {
			return nil, err
		}
		versions[r.ID] = append(versions[r.ID], n)
	}
	return versions, nil
}

// judged says with which versions a use breaks. A codec without a schema registry knows no version: what it can read is not known.
func (i *Impact) judged(u Use) Use {
	u.Breaks = []int{}
	for _, v := range i.Reads {
		if u.Role == "reads" && len(v.Breaks) > 0 || u.Role == "writes" && len(v.Broken) > 0 {
			u.Breaks = append(u.Breaks, v.Version)
		}
	}
	return u
}
