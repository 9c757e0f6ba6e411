// Package evolution is how the schemas of a registry change: what differs between versions, what a change would break, and the
// changes themselves, each shown before it is made.
//
// It asks any registry with Confluent's API, and compares by the rules of package schema. It writes to no topic.
package evolution

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/contract"
	"github.com/weirstream/weir/registry"
)

// Tool changes and shows the schemas of one registry.
type Tool struct{ Client *registry.Client }

// Parse understands a schema of a registry with what it refers to. One that has an id is registered, and was taken by its registry.
func Parse(r *registry.Registered) (*schema.Schema, error) {
	src := schema.Source{Type: schema.Type(cmp.Or(r.Type, registry.Avro)), Text: r.Text, Stored: r.ID != 0}
	for _, in := range r.Imports {
		src.Imports = append(src.Imports, schema.Import(in))
	}
	s, err := schema.Parse(src)
	if err != nil && r.Subject != "" {
		err = fmt.Errorf("version %d of %s: %w", r.Version, r.Subject, err)
	}
	return s, err
}

// Subject is a subject in a list.
type Subject struct {
	Name     string         `json:"subject"`
	Type     registry.Type  `json:"type"`
	Versions []int          `json:"versions"`
	ID       int            `json:"id"` // of the latest version
	Level    registry.Level `json:"level"`
	Deleted  bool           `json:"deleted,omitempty"` // softly, all of it
}

// List shows the subjects; those that were deleted softly too where they are wanted.
func (t *Tool) List(ctx context.Context, deleted bool) ([]Subject, error) {
	names, err := t.Client.Subjects(ctx, deleted)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	list := []Subject{}
	for _, name := range names {
		s := Subject{Name: name}
		if s.Versions, err = t.Client.Versions(ctx, name, false); errors.Is(err, registry.ErrNotFound) && deleted {
			s.Deleted = true
			s.Versions, err = t.Client.Versions(ctx, name, true)
		}
		if errors.Is(err, registry.ErrNotFound) || err == nil && len(s.Versions) == 0 {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		latest, err := t.Client.Stored(ctx, name, s.Versions[len(s.Versions)-1])
		if err != nil {
			return nil, err
		}
		s.Type, s.ID = latest.Type, latest.ID
		if s.Level, err = t.Client.Level(ctx, name); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Diff is how two schemas differ by meaning, and whether each reads what the other writes.
type Diff struct {
	Old     int             `json:"old"` // versions
	New     int             `json:"new"`
	Changes []schema.Change `json:"changes"`
	// Contract is how metadata and rule sets differ. The levels do not compare them.
	Contract []schema.Change     `json:"contract"`
	Broken   []schema.Difference `json:"backward"` // why the new one cannot read what the old one wrote
	Breaks   []schema.Difference `json:"forward"`  // why the old one cannot read what the new one writes
}

func diff(old, next *registry.Registered) (*Diff, error) {
	before, err1 := Parse(old)
	after, err2 := Parse(next)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	brought, err := referenced(old, next)
	if err != nil {
		return nil, err
	}
	return &Diff{old.Version, next.Version, append(schema.Changes(before, after), brought...), contract.Changes(old.Metadata, old.RuleSet, next.Metadata, next.RuleSet),
		list(schema.Read(after, before)), list(schema.Read(before, after))}, nil
}

func list[T any](l []T) []T { return append([]T{}, l...) }

// Diff compares two versions of a subject, of which -1 is the latest.
func (t *Tool) Diff(ctx context.Context, subject string, old, next int) (*Diff, error) {
	before, err1 := t.Version(ctx, subject, old)
	after, err2 := t.Version(ctx, subject, next)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return diff(before, after)
}

// Version finds a version with all that it refers to, also one that was deleted softly. -1 is the latest, of those that are deleted where no
// other is left.
func (t *Tool) Version(ctx context.Context, subject string, n int) (*registry.Registered, error) {
	r, err := t.Client.Version(ctx, subject, n)
	if !errors.Is(err, registry.ErrNotFound) {
		return r, err
	}
	stored, gone := t.Client.Stored(ctx, subject, n)
	if gone != nil {
		return nil, err
	}
	known, err := t.Client.ByIDOf(ctx, stored.ID, stored.Subject) // which has its references
	if err != nil {
		return nil, err
	}
	stored.Imports, stored.Deleted = known.Imports, true
	return stored, nil
}

// Version is one version in the history of a subject.
type Version struct {
	Version int           `json:"version"`
	ID      int           `json:"id"`
	Type    registry.Type `json:"type"`
	Deleted bool          `json:"deleted,omitempty"` // softly
	Diff    *Diff         `json:"diff,omitempty"`    // to the one before
}

// History shows the versions of a subject, the oldest first, each with how it differs from the one before; those that were deleted
// softly too.
func (t *Tool) History(ctx context.Context, subject string) ([]Version, error) {
	numbers, err := t.Client.Versions(ctx, subject, true)
	if err != nil {
		return nil, err
	}
	live, err := t.Client.Versions(ctx, subject, false)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	all := []Version{}
	var before *registry.Registered
	for _, n := range numbers {
		r, err := t.Version(ctx, subject, n)
		if err != nil {
			return nil, err
		}
		v := Version{Version: n, ID: r.ID, Type: r.Type, Deleted: !slices.Contains(live, n)}
		if before != nil {
			if v.Diff, err = diff(before, r); err != nil {
				return nil, err
			}
		}
		all, before = append(all, v), r
	}
	return all, nil
}
