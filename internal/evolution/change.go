package evolution

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/registry"
)

// IncompatibleError says that a schema would break readers.
type IncompatibleError struct {
	Subject           string
	Level             registry.Level
	Incompatibilities []Incompatibility
}

func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("the schema is not compatible with subject %s (%s): %s", e.Subject, e.Level, schema.CountIncompatibilities(len(e.Incompatibilities)))
}

// Incompatibility is a difference with a version of the subject.
type Incompatibility struct {
	Version int    `json:"version"`
	Reader  string `json:"reader"` // "new" or "old"
	schema.Difference
}

// String is the rule, and why, in the words of all that stop such a schema.
func (i Incompatibility) String() string {
	of := schema.Incompatibility{Difference: i.Difference, Reader: i.Reader}
	return i.Rule + ": " + of.Explain("the new schema", fmt.Sprintf("version %d", i.Version))
}

// Registration is a schema for a subject, and how it stands to what is registered.
type Registration struct {
	Subject string `json:"subject"`
	Version int    `json:"version"` // which it is, or would be
	ID      int    `json:"id,omitempty"`
	Known   bool   `json:"known"` // it was there already
	// Needs is a file that it imports and that is registered before it, in a subject of the same name; empty where none is missing.
	Needs string `json:"needs,omitempty"`
	// Latest is the latest version, where the schema is known as an earlier one: readers and gateways use that one.
	Latest int            `json:"latest,omitempty"`
	Done   bool           `json:"done"` // it is registered now
	Level  registry.Level `json:"level"`
	Diff   *Diff          `json:"diff,omitempty"` // to the latest version
	// Incompatibilities are with the versions that the level compares with.
	Incompatibilities []Incompatibility `json:"incompatibilities"`
}

// Plan says what registering a schema would do, by this program's rules, which are those that Weir's registry has. Not compatible:
// the result with an IncompatibleError.
func (t *Tool) Plan(ctx context.Context, subject string, s registry.Schema) (*Registration, error) {
	return t.PlanAt(ctx, subject, s, "")
}

// ErrNoSchema is what NoSchema says of each text.
var ErrNoSchema = errors.New("it is no schema")

// NoSchema says why a schema is none. The libraries say of a schema that is not known only how it is called.
func NoSchema(err error) error {
	if text := err.Error(); strings.Contains(text, "unknown type") || strings.Contains(text, "no reference is named") {
		return fmt.Errorf("%w: %w: where that is in another subject, say in which: --reference NAME=SUBJECT:VERSION, or references in the file of an event", ErrNoSchema, err)
	}
	return fmt.Errorf("%w: %w", ErrNoSchema, err)
}

// PlanAt is Plan by another level than the subject's, where one is given.
func (t *Tool) PlanAt(ctx context.Context, subject string, s registry.Schema, level registry.Level) (*Registration, error) {
	result := &Registration{Subject: subject, Level: level, Incompatibilities: []Incompatibility{}}
	var err error
	if level == "" {
		result.Level, err = t.Client.Level(ctx, subject)
	}
	if err != nil {
		return nil, err
	}
	s, missing, err := t.Referred(ctx, s, false)
	if err != nil {
		return nil, err
	}
	given := &registry.Registered{Schema: s}
	if given.Imports, err = t.Imports(ctx, s.References); err != nil {
		return nil, err
	}
	next, none := Parse(given)
	known, err := t.lookup(ctx, subject, s)
	if none != nil && (err != nil || missing) { // what is registered may be what nobody may register any more
		return nil, NoSchema(none)
	}
	switch {
	case missing: // what is registered does not refer to it
		result.Needs = protovalue.RulesPath
	case err == nil:
		result.Known, result.Version, result.ID = true, known.Version, known.ID
		latest, err := t.Client.Latest(ctx, subject)
		if err != nil {
			return nil, err
		}
		if latest.ID != known.ID && latest.Version > known.Version {
			result.Latest = latest.Version
		}
		return result, nil
	case !errors.Is(err, registry.ErrNotFound):
		return nil, err
	}
	all, err := t.Client.Versions(ctx, subject, true)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	if result.Version = 1; len(all) > 0 {
		result.Version = slices.Max(all) + 1
	}
	live, err := t.Client.Versions(ctx, subject, false)
	if errors.Is(err, registry.ErrNotFound) {
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	return result, t.compare(ctx, result, live, given, next)
}

// lookup finds the version of a subject that a schema is. Registries find it in a subject of that name in another context as well.
func (t *Tool) lookup(ctx context.Context, subject string, s registry.Schema) (*registry.Registered, error) {
	found, err := t.Client.Lookup(ctx, subject, s)
	if err == nil && t.Client.Qualified(found.Subject) != t.Client.Qualified(subject) && found.Subject != "" {
		return nil, registry.NewError("look up a schema in subject "+subject, registry.ErrNotFound, fmt.Errorf("it is in %s", found.Subject))
	}
	return found, err
}

// compare fills in how a schema differs from the versions that it is compared with.
func (t *Tool) compare(ctx context.Context, result *Registration, live []int, given *registry.Registered, next *schema.Schema) error {
	level, err := schema.ParseLevel(string(result.Level))
	if err != nil {
		return err
	}
	compared := live
	if !level.Transitive() {
		compared = live[len(live)-1:]
	}
	var old []*schema.Schema
	for _, n := range compared {
		r, err := t.Client.Version(ctx, result.Subject, n)
		if err != nil {
			return err
		}
		parsed, err := Parse(r)
		if err != nil {
			return err
		}
		old = append(old, parsed)
		if n == live[len(live)-1] {
			given.Version = result.Version
			if given.Metadata == nil { // the registry takes those of the latest version
				given.Metadata = r.Metadata
			}
			if given.RuleSet == nil {
				given.RuleSet = r.RuleSet
			}
			if result.Diff, err = diff(r, given); err != nil {
				return err
			}
		}
	}
	for _, i := range schema.Check(level, old, next) {
		result.Incompatibilities = append(result.Incompatibilities, Incompatibility{compared[i.Old], i.Reader, i.Difference})
	}
	if len(result.Incompatibilities) > 0 {
		return &IncompatibleError{result.Subject, result.Level, result.Incompatibilities}
	}
	return nil
}

// Imports are the texts that references name, each after its own.
func (t *Tool) Imports(ctx context.Context, references []registry.Reference) (list []registry.Import, err error) {
	for _, ref := range references {
		r, err := t.Version(ctx, ref.Subject, ref.Version)
		if err != nil {
			return nil, fmt.Errorf("reference %s: %w", ref.Name, err)
		}
		for _, in := range append(slices.Clone(r.Imports), registry.Import{Name: ref.Name, Text: r.Text}) {
			if !slices.ContainsFunc(list, func(have registry.Import) bool { return have.Name == in.Name }) {
				list = append(list, in)
			}
		}
	}
	return list, nil
}

// Register plans, and registers what is compatible.
func (t *Tool) Register(ctx context.Context, subject string, s registry.Schema) (*Registration, error) {
	result, err := t.Plan(ctx, subject, s)
	if err != nil || result.Known {
		return result, err
	}
	s, _, err = t.Referred(ctx, s, true)
	if err != nil {
		return result, err
	}
	r, err := t.Client.Register(ctx, subject, s)
	if err != nil {
		return result, err
	}
	result.Done, result.Version, result.ID = true, r.Version, r.ID
	return result, nil
}

// Deletion is which versions of a subject are deleted.
type Deletion struct {
	Subject   string `json:"subject"`
	Versions  []int  `json:"versions"`
	Permanent bool   `json:"permanent"`
	None      bool   `json:"none_left"` // no version is left that is not deleted
	Done      bool   `json:"done"`
}

// PlanDelete says which versions a deletion is for: of the whole subject for version 0. For good, those that were deleted softly.
func (t *Tool) PlanDelete(ctx context.Context, subject string, version int, permanent bool) (*Deletion, error) {
	all, err := t.Client.Versions(ctx, subject, true)
	if err != nil {
		return nil, err
	}
	live, err := t.Client.Versions(ctx, subject, false)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	d := &Deletion{Subject: subject, Permanent: permanent, Versions: []int{}}
	for _, n := range all {
		if isLive := slices.Contains(live, n); (version == 0 || n == version) && isLive != permanent {
			d.Versions = append(d.Versions, n)
		}
	}
	d.None = !slices.ContainsFunc(live, func(n int) bool { return !slices.Contains(d.Versions, n) })
	switch {
	case version != 0 && !slices.Contains(all, version):
		return nil, fmt.Errorf("subject %s has no version %d", subject, version)
	case version == 0 && permanent && len(live) > 0:
		return nil, fmt.Errorf("subject %s has versions that are not deleted: delete it without --permanent first", subject)
	case len(d.Versions) == 0 && permanent:
		return nil, fmt.Errorf("version %d of subject %s is not deleted: delete it without --permanent first", version, subject)
	case len(d.Versions) == 0:
		return nil, fmt.Errorf("subject %s is deleted already; --permanent deletes it for good", subject)
	}
	return d, nil
}

// Delete deletes.
func (t *Tool) Delete(ctx context.Context, subject string, version int, permanent bool) (*Deletion, error) {
	d, err := t.PlanDelete(ctx, subject, version, permanent)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		d.Versions, err = t.Client.DeleteSubject(ctx, subject, permanent)
	} else {
		err = t.Client.DeleteVersion(ctx, subject, version, permanent)
	}
	d.Done = err == nil
	return d, err
}

// Leveling is the level of a subject, and the one that it is to have.
type Leveling struct {
	Subject string         `json:"subject,omitempty"` // none is everything
	Level   registry.Level `json:"level"`
	New     registry.Level `json:"new,omitempty"`
	Done    bool           `json:"done"`
}

// Level shows the level of a subject; change says which one it gets, and execute to set it.
func (t *Tool) Level(ctx context.Context, subject, change string, execute bool) (*Leveling, error) {
	level, err := t.Client.Level(ctx, subject)
	if err != nil {
		return nil, err
	}
	l := &Leveling{Subject: subject, Level: level}
	if change == "" {
		return l, nil
	}
	wanted, err := schema.ParseLevel(change)
	if err != nil {
		return nil, err
	}
	if l.New = registry.Level(wanted); execute {
		err = t.Client.SetLevel(ctx, subject, l.New)
		l.Done = err == nil
	}
	return l, err
}
