package evolution

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/registry"
)

// importing is an import that is under way.
type importing struct {
	tool *Tool
	plan *Importing
	left []*registry.Registered // to be registered
	live []*registry.Registered // that are registered, and deleted in the file
	stay []*registry.Registered // of live, which the registry does not delete
	why  error
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
				return slices.ContainsFunc(i.left, func(o *registry.Registered) bool { return o != s && is(s, ref, o) }) && !i.tool.has(ctx, s, ref)
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

// is says whether a reference of a version is to another one.
func is(s *registry.Registered, ref registry.Reference, o *registry.Registered) bool {
	return registry.Beside(s.Subject, ref.Subject) == o.Subject && ref.Version == o.Version
}

func refers(s, to *registry.Registered) bool {
	return slices.ContainsFunc(s.References, func(ref registry.Reference) bool { return is(s, ref, to) })
}

// makeWay deletes what is in the way of a version that is to be registered: the one that has its schema, which was deleted before that one came, because while
// it is live the registry answers with it and registers nothing; and what that one refers to and is deleted in the file, because while a version that lives
// refers to it, it is not deleted.
func (i *importing) makeWay(ctx context.Context, s *registry.Registered) error {
	for _, o := range slices.Clone(i.live) {
		if (o.Subject != s.Subject || o.ID != s.ID) && (s.Deleted || !refers(s, o)) {
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
		if refers(by, s) {
			if err := i.delete(ctx, by); err != nil {
				return err
			}
		}
	}
	switch err := i.tool.Client.DeleteVersion(ctx, s.Subject, s.Version, false); {
	case errors.Is(err, registry.ErrRefused):
		i.stay, i.why = append(i.stay, s), err
		return nil
	case err != nil && !errors.Is(err, registry.ErrNotFound):
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
	if len(i.stay) > 0 {
		return fmt.Errorf("%w: not deleted, as in the file: %s: %w", errLeft, some(i.stay), i.why)
	}
	return nil
}

// set sets levels, and what else is configured. What the registry does not take is left.
func (i *importing) set(ctx context.Context) error {
	var subjects []string
	changes := map[string]map[string]any{}
	change := func(subject, name string, value any) {
		if changes[subject] == nil {
			subjects, changes[subject] = append(subjects, subject), map[string]any{}
		}
		changes[subject][name] = value
	}
	for _, l := range i.plan.Levels {
		change(l.Subject, "compatibility", l.Level)
	}
	for _, s := range i.plan.Settings {
		change(s.Subject, s.Name, s.Value)
	}
	var left []error
	for _, subject := range subjects {
		switch err := i.tool.Client.SetConfig(ctx, subject, changes[subject]); {
		case errors.Is(err, registry.ErrRefused):
			left = append(left, fmt.Errorf("%w: %w", errLeft, err))
		case err != nil:
			return err
		}
	}
	return errors.Join(left...)
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

// has says whether what a version refers to is there.
func (t *Tool) has(ctx context.Context, s *registry.Registered, ref registry.Reference) bool {
	_, err := t.Client.Stored(ctx, registry.Beside(s.Subject, ref.Subject), ref.Version)
	return err == nil
}
