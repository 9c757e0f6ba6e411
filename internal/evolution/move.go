package evolution

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weirstream/weir/registry"
)

// line is one line of an export: the first has the format, the others a schema or a level.
type line struct {
	Format int                  `json:"weirSchemas,omitempty"`
	Schema *registry.Registered `json:"schema,omitempty"`
	Level  *subjectLevel        `json:"level,omitempty"`
}

type subjectLevel struct {
	Subject string         `json:"subject"` // "" is everything
	Level   registry.Level `json:"level"`
}

// exportFormat is the number in the first line.
const exportFormat = 1

// Export writes all subjects, or those that are named, with all versions, ids and levels of their own, as lines of JSON. Those that were
// deleted softly are there as such: records may have been written with them. The number is that of the schemas.
func (t *Tool) Export(ctx context.Context, w io.Writer, subjects []string) (int, error) {
	names := subjects
	var deleted []string // not asked for by version: a registry whose topic is damaged does not say that something is not there
	if len(names) == 0 {
		var err error
		if names, err = t.Client.Subjects(ctx, true); err != nil {
			return 0, err
		}
		live, err := t.Client.Subjects(ctx, false)
		if err != nil {
			return 0, err
		}
		deleted = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(live, name) })
	}
	for _, name := range subjects { // or a part of the file would be written
		if _, err := t.Client.Versions(ctx, name, true); err != nil {
			return 0, err
		}
	}
	out := json.NewEncoder(w)
	if err := out.Encode(line{Format: exportFormat}); err != nil {
		return 0, err
	}
	if len(subjects) == 0 {
		level, err := t.Client.Level(ctx, "")
		if err == nil {
			err = out.Encode(line{Level: &subjectLevel{"", level}})
		}
		if err != nil {
			return 0, err
		}
	}
	n := 0
	for _, name := range names {
		all, err := t.Client.Versions(ctx, name, true)
		if err != nil {
			return n, err
		}
		var live []int
		if !slices.Contains(deleted, name) {
			if live, err = t.Client.Versions(ctx, name, false); err != nil && !errors.Is(err, registry.ErrNotFound) {
				return n, err
			}
		}
		for _, v := range all {
			r, err := t.Client.Stored(ctx, name, v)
			if err != nil {
				return n, err
			}
			r.Deleted = !slices.Contains(live, v)
			if err := out.Encode(line{Schema: r}); err != nil {
				return n, err
			}
			n++
		}
		level, err := t.ownLevel(ctx, name)
		if err == nil && level != "" {
			err = out.Encode(line{Level: &subjectLevel{name, level}})
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// ownLevel is the level that a subject has itself, "" where it has none; for "" it is that of everything.
func (t *Tool) ownLevel(ctx context.Context, subject string) (registry.Level, error) {
	if subject == "" {
		return t.Client.Level(ctx, "")
	}
	raw, err := t.Client.Config(ctx, subject, true)
	if errors.Is(err, registry.ErrNotFound) {
		return "", nil
	}
	var own struct {
		CompatibilityLevel registry.Level `json:"compatibilityLevel"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &own)
	}
	return own.CompatibilityLevel, err
}

// Importing is what an import does.
type Importing struct {
	Schemas  int      `json:"schemas"`  // in the file
	New      int      `json:"new"`      // that are registered by it
	Known    int      `json:"known"`    // that are there already, as they are in the file
	Conflict []string `json:"conflict"` // why it cannot be done
	Left     []string `json:"left"`     // subjects that an import which was interrupted left in the mode IMPORT
	Done     bool     `json:"done"`

	subjects []string
	add      []*registry.Registered
	known    []*registry.Registered // that are there already
	levels   []subjectLevel
}

// importMode is the mode in which a subject takes schemas under ids that are given, and no others.
const importMode registry.Mode = "IMPORT"

// PlanImport reads an export and says what importing it would do: ids and versions stay as they were, so that records that were written
// with them are read. A schema that is there with another id, or an id that is another schema's, is a conflict.
func (t *Tool) PlanImport(ctx context.Context, r io.Reader) (*Importing, error) {
	in := bufio.NewReader(r)
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	var first line
	if err := d.Decode(&first); err != nil || first.Format != exportFormat {
		return nil, errors.New("it is no export of `weir schema export`: its first line is not {\"weirSchemas\":1}")
	}
	plan := &Importing{Conflict: []string{}, Left: []string{}}
	for n := 2; ; n++ {
		var l line
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case l.Level != nil:
			plan.levels = append(plan.levels, *l.Level)
		case l.Schema == nil || l.Schema.Subject == "" || l.Schema.Version < 1 || l.Schema.ID < 1:
			return nil, fmt.Errorf("line %d: it is no schema with subject, version and id", n)
		default:
			plan.Schemas++
			if !slices.Contains(plan.subjects, l.Schema.Subject) {
				plan.subjects = append(plan.subjects, l.Schema.Subject)
			}
			if err := t.place(ctx, plan, l.Schema); err != nil {
				return nil, err
			}
		}
	}
	plan.New = len(plan.add)
	for _, subject := range plan.subjects {
		mode, err := t.ownMode(ctx, subject)
		if err != nil {
			return nil, err
		}
		if mode == importMode {
			plan.Left = append(plan.Left, subject)
		}
	}
	return plan, nil
}

func (t *Tool) place(ctx context.Context, plan *Importing, s *registry.Registered) error {
	have, err := t.Client.Stored(ctx, s.Subject, s.Version)
	if err == nil {
		if have.ID != s.ID || have.Text != s.Text {
			plan.Conflict = append(plan.Conflict, fmt.Sprintf("version %d of %s is there with id %d, and has id %d in the file", s.Version, s.Subject, have.ID, s.ID))
		} else {
			plan.Known++
			plan.known = append(plan.known, s)
		}
		return nil
	}
	if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	other, err := t.Client.ByID(ctx, s.ID)
	switch {
	case err == nil && other.Text != s.Text:
		plan.Conflict = append(plan.Conflict, fmt.Sprintf("id %d of version %d of %s is that of another schema there", s.ID, s.Version, s.Subject))
		return nil
	case err != nil && !errors.Is(err, registry.ErrNotFound):
		return err
	}
	plan.add = append(plan.add, s)
	return nil
}

// ownMode is the mode that a subject has itself, "" where it has none.
func (t *Tool) ownMode(ctx context.Context, subject string) (registry.Mode, error) {
	mode, err := t.Client.OwnMode(ctx, subject)
	if errors.Is(err, registry.ErrNotFound) {
		return "", nil
	}
	return mode, err
}

// Import does what PlanImport says, unless there is a conflict. It can be run again after it was interrupted, which also takes subjects out
// of the mode IMPORT that it was left in.
func (t *Tool) Import(ctx context.Context, r io.Reader) (*Importing, error) {
	plan, err := t.PlanImport(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(plan.Conflict) > 0 {
		return plan, fmt.Errorf("nothing was imported: %d schemas are in the way", len(plan.Conflict))
	}
	err = t.inImport(ctx, plan, func() error {
		added, err := t.register(ctx, plan.add)
		if err != nil {
			return err
		}
		for _, s := range plan.known { // that the interrupted import did not come to delete
			if slices.Contains(plan.Left, s.Subject) {
				added = append(added, s)
			}
		}
		if err := t.deleteSoftly(ctx, added); err != nil {
			return err
		}
		for _, l := range plan.levels { // before a subject is read-only again
			have, err := t.ownLevel(ctx, l.Subject)
			if err == nil && have != l.Level {
				err = t.Client.SetLevel(ctx, l.Subject, l.Level)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	plan.Done = err == nil
	return plan, err
}

// inImport does something while the subjects to which an import adds are in the mode IMPORT, and puts back what they were in before: also
// after a failure, since a subject in this mode takes no other registration.
func (t *Tool) inImport(ctx context.Context, plan *Importing, do func() error) (err error) {
	before := map[string]registry.Mode{}
	for _, subject := range plan.Left {
		before[subject] = ""
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		for subject, mode := range before {
			if mode != "" {
				err = errors.Join(err, t.Client.SetMode(ctx, subject, mode, false))
			} else if reset := t.Client.ResetMode(ctx, subject); !errors.Is(reset, registry.ErrNotFound) {
				err = errors.Join(err, reset)
			}
		}
	}()
	for _, s := range plan.add {
		if _, ok := before[s.Subject]; ok {
			continue
		}
		mode, err := t.ownMode(ctx, s.Subject)
		if err != nil {
			return err
		}
		before[s.Subject] = mode
		if err := t.Client.SetMode(ctx, s.Subject, importMode, true); err != nil {
			return err
		}
	}
	return do()
}

// register registers schemas, those that others refer to before these, and returns them in that order.
func (t *Tool) register(ctx context.Context, left []*registry.Registered) (added []*registry.Registered, err error) {
	for len(left) > 0 {
		var again []*registry.Registered
		var last error
		for _, s := range left {
			waits := slices.ContainsFunc(s.References, func(ref registry.Reference) bool {
				return slices.ContainsFunc(left, func(o *registry.Registered) bool {
					return o.Subject == ref.Subject && o.Version == ref.Version && o != s
				}) &&
					!t.has(ctx, ref)
			})
			if waits {
				again = append(again, s)
				continue
			}
			if err := t.Client.RegisterAs(ctx, s); err != nil {
				last = err
				if !errors.Is(err, registry.ErrRefused) {
					return added, err
				}
				again = append(again, s)
				continue
			}
			added = append(added, s)
		}
		if len(again) == len(left) {
			return added, errors.Join(errors.New("the schemas that are left refer to ones that are not there"), last)
		}
		left = again
	}
	return added, nil
}

// deleteSoftly deletes those that are deleted in the export, those that refer to others before these. Nothing is registered afterwards:
// with the last version of a subject its mode goes as well.
func (t *Tool) deleteSoftly(ctx context.Context, added []*registry.Registered) error {
	for _, s := range slices.Backward(added) {
		if !s.Deleted {
			continue
		}
		if err := t.Client.DeleteVersion(ctx, s.Subject, s.Version, false); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (t *Tool) has(ctx context.Context, ref registry.Reference) bool {
	_, err := t.Client.Stored(ctx, ref.Subject, ref.Version)
	return err == nil
}
