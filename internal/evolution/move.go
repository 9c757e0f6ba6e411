package evolution

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/weirstream/weir/registry"
)

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
	Levels []LevelChange `json:"levels"`
	// Settings are what else is configured, and Modes what may be done, that become others.
	Settings []SettingChange `json:"settings"`
	Modes    []ModeChange    `json:"modes"`
	// LeftOut is what the file has and an import does not do.
	LeftOut    []string `json:"left_out"`
	Registered int      `json:"registered"` // of those that are new or restored, by now
	Done       bool     `json:"done"`
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
func (l LevelChange) Of() string { return owner(l.Subject) }

// owner is for what something is set, in words.
func owner(subject string) string {
	if subject == "" {
		return "all subjects that have none of their own"
	}
	return subject
}

// SettingChange is something that is configured beside the level and that an import changes.
type SettingChange struct {
	Subject string          `json:"subject"`
	Name    string          `json:"name"`
	Value   json.RawMessage `json:"value"` // as in the file
	Is      json.RawMessage `json:"is,omitempty"`
}

// Of is for what it is set.
func (s SettingChange) Of() string { return owner(s.Subject) }

// ModeChange is the mode of a subject or context that an import changes.
type ModeChange struct {
	Subject string        `json:"subject"`
	Mode    registry.Mode `json:"mode"`
	Is      registry.Mode `json:"is"` // there; empty where the subject has none of its own
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
	plan := &Importing{Conflict: []string{}, Left: []string{}, Levels: []LevelChange{}, Settings: []SettingChange{}, Modes: []ModeChange{}, LeftOut: []string{}}
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
			is, _, err := t.ownConfig(ctx, l.Level.Subject)
			if err != nil {
				return nil, err
			}
			if is != l.Level.Level {
				plan.Levels = append(plan.Levels, LevelChange{l.Level.Subject, l.Level.Level, is})
			}
		case l.Config != nil:
			if err := t.placeConfig(ctx, plan, l.Config); err != nil {
				return nil, err
			}
		case l.Mode != nil:
			if err := t.placeMode(ctx, plan, l.Mode); err != nil {
				return nil, err
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

// placeConfig says what is to be configured. What the file does not name stays.
func (t *Tool) placeConfig(ctx context.Context, plan *Importing, c *subjectConfig) error {
	_, is, err := t.ownConfig(ctx, c.Subject)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Config)) {
		if !sameJSON(c.Config[name], is[name]) {
			plan.Settings = append(plan.Settings, SettingChange{c.Subject, name, c.Config[name], is[name]})
		}
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// placeMode says which modes are to be set. That of all subjects is left, because who moves to another registry makes the old one read-only first, and so is
// IMPORT, in which nobody can register.
func (t *Tool) placeMode(ctx context.Context, plan *Importing, m *subjectMode) error {
	is, err := t.ownMode(ctx, m.Subject)
	if err != nil || is == m.Mode {
		return err
	}
	if m.Subject == "" || m.Mode == importMode {
		plan.LeftOut = append(plan.LeftOut, fmt.Sprintf("mode of %s: %s in the file, is %s and stays so: set it yourself where it is wanted (PUT /mode)", owner(m.Subject), m.Mode, cmp.Or(string(is), "that of all subjects")))
		return nil
	}
	plan.Modes = append(plan.Modes, ModeChange{m.Subject, m.Mode, is})
	return nil
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
		other, err := t.idBeside(ctx, s)
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

// idBeside is the schema that has the id of another one in the context where that is to be.
func (t *Tool) idBeside(ctx context.Context, s *registry.Registered) (*registry.Registered, error) {
	if of := contextOf(s.Subject); of != "" {
		return t.Client.ByIDOf(ctx, s.ID, of)
	}
	return t.Client.ByID(ctx, s.ID)
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
		var left []error
		for _, do := range []func(context.Context) error{i.register, i.deleteSoftly, i.set, i.missing} { // levels before a subject is read-only again
			if err := do(ctx); err != nil {
				if left = append(left, err); !errors.Is(err, errLeft) {
					break
				}
			}
		}
		return errors.Join(left...)
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
		for _, m := range plan.Modes {
			before[m.Subject] = m.Mode
		}
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
