package evolution

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
	Restored int      `json:"restored"` // that are deleted softly there, and not in the file
	Deleted  int      `json:"deleted"`  // that are deleted softly in the file, and not there
	Conflict []string `json:"conflict"` // why it cannot be done
	Left     []string `json:"left"`     // subjects that an import which was interrupted left in the mode IMPORT
	// Levels are those that become others, looser ones among them.
	Levels     []LevelChange `json:"levels"`
	Registered int           `json:"registered"` // of those that are new or restored, by now
	Done       bool          `json:"done"`
	// Problem is why it cannot be done, or was not done to the end.
	Problem string `json:"problem,omitempty"`

	subjects []string
	all      []*registry.Registered
	add      []*registry.Registered // what is new or restored
	remove   []*registry.Registered // what is there, and is to be deleted softly; what is new and deleted is not among it
}

// LevelChange is a subject's level, or that of all subjects, which an import changes.
type LevelChange struct {
	Subject string         `json:"subject"`
	Level   registry.Level `json:"level"` // as in the file
	Is      registry.Level `json:"is"`    // there; empty where the subject has none of its own
}

// Of is whose level it is.
func (l LevelChange) Of() string {
	if l.Subject == "" {
		return "all subjects that have none of their own"
	}
	return l.Subject
}

// importMode is the mode in which a subject takes schemas under ids that are given, and no others.
const importMode registry.Mode = "IMPORT"

// PlanImport reads an export and says what importing it would do: ids and versions stay as they were, so that records that were written
// with them are read. A version that is deleted softly in one place alone becomes as it is in the file. A schema that is there with another id
// or as another version, or an id that is another schema's, is a conflict.
func (t *Tool) PlanImport(ctx context.Context, r io.Reader) (*Importing, error) {
	in := bufio.NewReader(r)
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	var first line
	if err := d.Decode(&first); err != nil || first.Format != exportFormat {
		return nil, errors.New("it is no export of `weir schema export`: its first line is not {\"weirSchemas\":1}")
	}
	plan := &Importing{Conflict: []string{}, Left: []string{}, Levels: []LevelChange{}}
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
			is, err := t.ownLevel(ctx, l.Level.Subject)
			if err != nil {
				return nil, err
			}
			if is != l.Level.Level {
				plan.Levels = append(plan.Levels, LevelChange{l.Level.Subject, l.Level.Level, is})
			}
		case l.Schema == nil || l.Schema.Subject == "" || l.Schema.Version < 1 || l.Schema.ID < 1:
			return nil, fmt.Errorf("line %d: it is no schema with subject, version and id", n)
		default:
			plan.Schemas++
			plan.all = append(plan.all, l.Schema)
			if !slices.Contains(plan.subjects, l.Schema.Subject) {
				plan.subjects = append(plan.subjects, l.Schema.Subject)
			}
		}
	}
	for _, subject := range plan.subjects {
		live, err := t.Client.Versions(ctx, subject, false)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, err
		}
		if err := t.place(ctx, plan, subject, live); err != nil {
			return nil, err
		}
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

// place says what is to be done with the versions of a subject, of which some are live in the registry.
func (t *Tool) place(ctx context.Context, plan *Importing, subject string, live []int) error {
	var add []*registry.Registered
	file := map[int]*registry.Registered{}
	for _, s := range plan.all {
		if s.Subject != subject {
			continue
		}
		file[s.Version] = s
		have, err := t.Client.Stored(ctx, subject, s.Version)
		if err == nil {
			is := slices.Contains(live, s.Version)
			switch {
			case have.ID != s.ID || have.Text != s.Text:
				plan.Conflict = append(plan.Conflict, fmt.Sprintf("version %d of %s is there with id %d, and has id %d in the file", s.Version, subject, have.ID, s.ID))
			case s.Deleted && is:
				plan.Deleted++
				plan.remove = append(plan.remove, s)
			case !s.Deleted && !is:
				plan.Restored++
				add = append(add, s)
			default:
				plan.Known++
			}
			continue
		}
		if !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		other, err := t.Client.ByID(ctx, s.ID)
		switch {
		case err == nil && other.Text != s.Text:
			plan.Conflict = append(plan.Conflict, fmt.Sprintf("id %d of version %d of %s is that of another schema there", s.ID, s.Version, subject))
			continue
		case err != nil && !errors.Is(err, registry.ErrNotFound):
			return err
		}
		plan.New++
		add = append(add, s)
	}
	plan.add = append(plan.add, add...)
	if len(add) == 0 {
		return nil
	}
	for _, n := range live { // a registry has a schema once among the live versions, and would answer with this one
		if in := file[n]; in != nil && in.Deleted {
			continue // it goes first
		}
		have, err := t.Client.Stored(ctx, subject, n)
		if err != nil {
			return err
		}
		for _, s := range add {
			if s.ID == have.ID {
				plan.Conflict = append(plan.Conflict, fmt.Sprintf("the schema of version %d of %s, id %d, is there as version %d", s.Version, subject, s.ID, n))
			}
		}
	}
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
		return plan.ended(fmt.Errorf("nothing was imported: %d in the way", len(plan.Conflict)))
	}
	err = t.inImport(ctx, plan, func() error {
		i := &importing{tool: t, plan: plan, left: slices.Clone(plan.add), live: slices.Clone(plan.remove)}
		refused := i.register(ctx)
		if refused != nil && !errors.Is(refused, errLeft) {
			return refused
		}
		if err := i.deleteSoftly(ctx); err != nil {
			return errors.Join(refused, err)
		}
		for _, l := range plan.Levels { // before a subject is read-only again
			if err := t.Client.SetLevel(ctx, l.Subject, l.Level); err != nil {
				return errors.Join(refused, err)
			}
		}
		return errors.Join(refused, i.missing(ctx))
	})
	return plan.ended(err)
}

// ended notes how it ended.
func (i *Importing) ended(err error) (*Importing, error) {
	if i.Done = err == nil; err != nil {
		i.Problem = err.Error()
	}
	return i, err
}

// inImport does something while the subjects that an import changes are in the mode IMPORT, and puts back what they were in before: also
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
	for _, s := range append(slices.Clone(plan.add), plan.remove...) {
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

// importing is an import that is under way.
type importing struct {
	tool *Tool
	plan *Importing
	left []*registry.Registered // to be registered
	live []*registry.Registered // that are registered, and deleted in the file
}

// errLeft says that schemas are left which the registry does not take.
var errLeft = errors.New("not everything was imported")

// register registers schemas, those that others refer to before these. What cannot be registered is left, and an errLeft.
func (i *importing) register(ctx context.Context) error {
	for len(i.left) > 0 {
		var again []*registry.Registered
		var last error
		for _, s := range i.left {
			waits := slices.ContainsFunc(s.References, func(ref registry.Reference) bool {
				return slices.ContainsFunc(i.left, func(o *registry.Registered) bool {
					return o.Subject == ref.Subject && o.Version == ref.Version && o != s
				}) &&
					!i.tool.has(ctx, ref)
			})
			if waits {
				again = append(again, s)
				continue
			}
			err := i.makeWay(ctx, s)
			if err == nil {
				err = i.tool.Client.RegisterAs(ctx, s)
			}
			if err != nil {
				last = err
				if !errors.Is(err, registry.ErrRefused) {
					return err
				}
				again = append(again, s)
				continue
			}
			i.plan.Registered++
			if s.Deleted {
				i.live = append(i.live, s)
			}
		}
		if len(again) == len(i.left) {
			if last == nil {
				last = errors.New("they refer to each other")
			}
			return fmt.Errorf("%w: %s: %w", errLeft, some(again), last)
		}
		i.left = again
	}
	return nil
}

// some names versions, the first few of them.
func some(list []*registry.Registered) string {
	const few = 5
	var names []string
	for _, s := range list[:min(few, len(list))] {
		names = append(names, fmt.Sprintf("version %d of %s", s.Version, s.Subject))
	}
	if more := len(list) - few; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// makeWay deletes the version that has the schema of one that is to be registered: it was deleted before that one came, and while it is
// live the registry answers with it and registers nothing.
func (i *importing) makeWay(ctx context.Context, s *registry.Registered) error {
	for _, o := range slices.Clone(i.live) {
		if o.Subject != s.Subject || o.ID != s.ID {
			continue
		}
		if err := i.delete(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes a version softly, before it those that refer to it. Its subject may have lost its mode then, with its last version.
func (i *importing) delete(ctx context.Context, s *registry.Registered) error {
	at := slices.Index(i.live, s)
	if at < 0 {
		return nil
	}
	i.live = slices.Delete(i.live, at, at+1)
	for _, by := range slices.Clone(i.live) {
		if slices.ContainsFunc(by.References, func(ref registry.Reference) bool { return ref.Subject == s.Subject && ref.Version == s.Version }) {
			if err := i.delete(ctx, by); err != nil {
				return err
			}
		}
	}
	if err := i.tool.Client.DeleteVersion(ctx, s.Subject, s.Version, false); err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	if slices.ContainsFunc(i.left, func(o *registry.Registered) bool { return o.Subject == s.Subject }) {
		return i.tool.Client.SetMode(ctx, s.Subject, importMode, true)
	}
	return nil
}

// deleteSoftly deletes the rest of those that are deleted in the export.
func (i *importing) deleteSoftly(ctx context.Context) error {
	for len(i.live) > 0 {
		if err := i.delete(ctx, i.live[0]); err != nil {
			return err
		}
	}
	return nil
}

// missing says which versions that the file has are not there: what a registry answered is not what it did.
func (i *importing) missing(ctx context.Context) error {
	var lost []*registry.Registered
	live := map[string][]int{}
	for _, s := range i.plan.add {
		if s.Deleted || slices.Contains(i.left, s) {
			continue
		}
		if _, asked := live[s.Subject]; !asked {
			versions, err := i.tool.Client.Versions(ctx, s.Subject, false)
			if err != nil && !errors.Is(err, registry.ErrNotFound) {
				return err
			}
			live[s.Subject] = versions
		}
		if !slices.Contains(live[s.Subject], s.Version) {
			lost = append(lost, s)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the registry took %s, and does not have it now", errLeft, some(lost))
}

func (t *Tool) has(ctx context.Context, ref registry.Reference) bool {
	_, err := t.Client.Stored(ctx, ref.Subject, ref.Version)
	return err == nil
}
