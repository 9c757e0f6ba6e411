package evolution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/contract"
	"github.com/weirstream/weir/registry"
)

// Rollback is how a subject goes back to the schema of an earlier version.
type Rollback struct {
	Registration
	To int `json:"to"`
	// NewID says that the id is not that of the version that is gone back to: the registry's configuration makes another schema of it.
	// Added is what it adds to its metadata and rules, if that is how.
	NewID bool            `json:"new_id"`
	Added []schema.Change `json:"added"`
	// Records are those of the topic, as readers with the older schema see them.
	Records *Records `json:"records,omitempty"`
	// Newer is how many of them were written with a schema that came after the version that is gone back to.
	Newer int `json:"newer"`
}

// Rollback registers the schema of an earlier version as the next one, with its metadata and rules, where the level allows it: what was written with the
// versions in between stays, so the older schema must read it. Its id stays the same, unless the configuration adds something. With execute it is done,
// otherwise shown.
func (t *Tool) Rollback(ctx context.Context, q Question, to int, execute bool) (*Rollback, error) {
	older, err := t.Version(ctx, q.Subject, to)
	if err != nil {
		return nil, err
	}
	all, err := t.Client.Versions(ctx, q.Subject, true)
	if err != nil {
		return nil, err
	}
	live, err := t.Client.Versions(ctx, q.Subject, false)
	if err != nil {
		return nil, err
	}
	result := &Rollback{Registration: Registration{Subject: q.Subject, Version: all[len(all)-1] + 1, ID: older.ID, Incompatibilities: []Incompatibility{}}, To: to, Added: []schema.Change{}}
	latest, err := t.Client.Latest(ctx, q.Subject)
	if err != nil {
		return nil, err
	}
	if latest.ID == older.ID {
		result.Known, result.Version = true, latest.Version
		return result, nil
	}
	if result.Level, err = t.Client.Level(ctx, q.Subject); err != nil {
		return nil, err
	}
	versions, err := t.byID(ctx, q.Subject, all)
	if err != nil {
		return nil, err
	}
	topic, key := q.place()
	if q.Kafka != nil {
		if result.Records, err = t.read(ctx, q.Kafka, q.Subject, topic, key, q.Last, older, versions); err != nil {
			return nil, err
		}
		for _, w := range result.Records.By {
			if w.Version > to {
				result.Newer += w.Records
			}
		}
	}
	next, err := Parse(older)
	if err != nil {
		return nil, err
	}
	planned, err := t.configured(ctx, older, next, result.Version)
	if err != nil {
		return nil, err
	}
	result.became(older, planned)
	planned.Metadata, planned.RuleSet = stated(planned.Metadata), stated(planned.RuleSet) // or they would be taken for those of the latest version
	others := slices.DeleteFunc(slices.Clone(live), func(n int) bool { return n == to })
	if err := t.compare(ctx, &result.Registration, others, planned, next); err != nil || !execute {
		return result, err
	}
	return result, t.goBack(ctx, result, older, latest)
}

// became notes how what is registered, or would be, differs from the version that is gone back to.
func (r *Rollback) became(older, next *registry.Registered) {
	r.ID, r.NewID = next.ID, next.ID != older.ID
	r.Added = contract.Changes(older.Metadata, older.RuleSet, next.Metadata, next.RuleSet)
}

// goBack registers the older schema. A registry answers one that is live already with the version that it is, so that one is deleted softly first, which
// leaves its id. When the registration fails then, running it again does it.
func (t *Tool) goBack(ctx context.Context, result *Rollback, older, latest *registry.Registered) error {
	s := older.Schema
	if !contract.Empty(latest.Metadata) {
		s.Metadata = stated(s.Metadata)
	}
	if !contract.Empty(latest.RuleSet) {
		s.RuleSet = stated(s.RuleSet)
	}
	for was := 0; ; {
		r, err := t.Client.Register(ctx, result.Subject, s)
		switch {
		case err != nil:
			return err
		case r.Version > latest.Version:
			result.Done, result.Version = true, r.Version
			result.became(older, r)
			return nil
		case r.Version == was:
			return fmt.Errorf("the registry takes the schema of version %d for version %d, which is deleted", result.To, was)
		}
		was = r.Version
		if err := t.Client.DeleteVersion(ctx, result.Subject, was, false); err != nil {
			return err
		}
	}
}

// stated is a part of a contract that a registry does not take for one that was left out.
func stated(part json.RawMessage) json.RawMessage {
	if part == nil {
		return contract.None
	}
	return part
}

// configured is what a registry makes of an older version that is registered again: with what is configured as metadata and rules, or in the form of
// normalize. It has no id then, since that is a new one.
func (t *Tool) configured(ctx context.Context, older *registry.Registered, parsed *schema.Schema, version int) (*registry.Registered, error) {
	config := map[string]json.RawMessage{}
	for _, at := range scopes(older.Subject) {
		raw, err := t.Client.Config(ctx, at, true)
		if errors.Is(err, registry.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var here map[string]json.RawMessage
		_ = json.Unmarshal(raw, &here) // what is no object configures nothing
		for name, v := range here {
			if _, nearer := config[name]; !nearer && string(v) != "null" {
				config[name] = v
			}
		}
	}
	next := *older
	next.Metadata = contract.Metadata(contract.Metadata(config["defaultMetadata"], older.Metadata), config["overrideMetadata"])
	next.Metadata = contract.OfVersion(next.Metadata, version)
	next.RuleSet = contract.Rules(contract.Rules(config["defaultRuleSet"], older.RuleSet), config["overrideRuleSet"])
	same := contract.SameMetadata(older.Metadata, next.Metadata, true) && contract.SameRules(older.RuleSet, next.RuleSet)
	if normalized := string(config["normalize"]) == "true" && parsed.Normal != older.Text; normalized || !same {
		next.ID = 0
	}
	return &next, nil
}

// scopes are what configures a subject, the nearest first: itself, its context where it names one, and everything.
func scopes(subject string) []string {
	if rest, qualified := strings.CutPrefix(subject, ":"); qualified {
		if context, _, ok := strings.Cut(rest, ":"); ok {
			return []string{subject, ":" + context + ":", ""}
		}
	}
	return []string{subject, ""}
}
