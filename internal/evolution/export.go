package evolution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/weirstream/weir/registry"
)

// line is one line of an export: the first has the format, the others a schema, or what is set for a subject, a context or everything.
type line struct {
	Format int                  `json:"weirSchemas,omitempty"`
	Schema *registry.Registered `json:"schema,omitempty"`
	Level  *subjectLevel        `json:"level,omitempty"`
	Config *subjectConfig       `json:"config,omitempty"`
	Mode   *subjectMode         `json:"mode,omitempty"`
}

type subjectLevel struct {
	Subject string         `json:"subject"` // "" is everything
	Level   registry.Level `json:"level"`
}

// subjectConfig is what is configured beside the level.
type subjectConfig struct {
	Subject string                     `json:"subject"`
	Config  map[string]json.RawMessage `json:"config"`
}

type subjectMode struct {
	Subject string        `json:"subject"`
	Mode    registry.Mode `json:"mode"`
}

// exportFormat is the number in the first line. Programs that do not know a kind of line refuse the file.
const exportFormat = 1

// exporting is an export that is under way.
type exporting struct {
	tool *Tool
	out  *json.Encoder
	left []string // what is not in the file
}

// Export writes all subjects, or those that are named, with all versions, ids and what is set for them themselves, as lines of JSON. Those that were
// deleted softly are there as such: records may have been written with them. The number is that of the schemas, and the texts say what is not
// in the file.
func (t *Tool) Export(ctx context.Context, w io.Writer, subjects []string) (n int, left []string, err error) {
	names := subjects
	var deleted []string // not asked for by version: a registry whose topic is damaged does not say that something is not there
	if len(names) == 0 {
		if names, err = t.Client.Subjects(ctx, true); err != nil {
			return 0, nil, err
		}
		live, err := t.Client.Subjects(ctx, false)
		if err != nil {
			return 0, nil, err
		}
		deleted = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(live, name) })
	}
	for _, name := range subjects { // or a part of the file would be written
		if _, err := t.Client.Versions(ctx, name, true); err != nil {
			return 0, nil, err
		}
	}
	e := &exporting{tool: t, out: json.NewEncoder(w)}
	if err := e.out.Encode(line{Format: exportFormat}); err != nil {
		return 0, nil, err
	}
	if len(subjects) == 0 {
		around := []string{t.Client.Qualified("")} // everything, or the client's context
		if around[0] == "" {
			for _, name := range names {
				around = append(around, contextOf(name))
			}
		}
		slices.Sort(around)
		for _, of := range slices.Compact(around) {
			if err := e.settings(ctx, of); err != nil {
				return 0, nil, err
			}
		}
	}
	for _, name := range names {
		all, err := t.Client.Versions(ctx, name, true)
		if err != nil {
			return n, nil, err
		}
		var live []int
		if !slices.Contains(deleted, name) {
			if live, err = t.Client.Versions(ctx, name, false); err != nil && !errors.Is(err, registry.ErrNotFound) {
				return n, nil, err
			}
		}
		for _, v := range all {
			r, err := t.Client.Stored(ctx, name, v)
			if err != nil {
				return n, nil, err
			}
			r.Deleted = !slices.Contains(live, v)
			if err := e.out.Encode(line{Schema: r}); err != nil {
				return n, nil, err
			}
			n++
		}
		if err := e.settings(ctx, name); err != nil {
			return n, nil, err
		}
	}
	return n, e.left, nil
}

// contextOf is the context in the name of a subject, as it is configured; "" is everything.
func contextOf(subject string) string {
	if !strings.HasPrefix(subject, ":.") {
		return ""
	}
	return subject[:strings.IndexByte(subject[1:]+":", ':')+1] + ":"
}

// settings writes what is set for a subject, a context or everything itself.
func (e *exporting) settings(ctx context.Context, subject string) error {
	level, config, err := e.tool.ownConfig(ctx, subject)
	if err == nil && level != "" {
		err = e.out.Encode(line{Level: &subjectLevel{subject, level}})
	}
	if err == nil && len(config) > 0 {
		err = e.out.Encode(line{Config: &subjectConfig{subject, config}})
	}
	if err != nil || len(e.left) > 0 {
		return err
	}
	mode, err := e.tool.ownMode(ctx, subject)
	switch {
	case err != nil && ctx.Err() == nil: // not every registry has modes
		e.left = append(e.left, fmt.Sprintf("modes are not in the file: %v", err))
		return nil
	case err != nil || mode == "" || subject == "" && mode == "READWRITE":
		return err
	}
	return e.out.Encode(line{Mode: &subjectMode{subject, mode}})
}

// ownConfig is the level that a subject has itself, "" where it has none, and what is configured for it beside; for "" it is that of everything.
func (t *Tool) ownConfig(ctx context.Context, subject string) (registry.Level, map[string]json.RawMessage, error) {
	raw, err := t.Client.Config(ctx, subject, true)
	if errors.Is(err, registry.ErrNotFound) && t.Client.Qualified(subject) != "" {
		return "", nil, nil
	}
	var own struct {
		CompatibilityLevel registry.Level `json:"compatibilityLevel"`
	}
	config := map[string]json.RawMessage{}
	if err == nil {
		err = errors.Join(json.Unmarshal(raw, &own), json.Unmarshal(raw, &config))
	}
	delete(config, "compatibilityLevel")
	maps.DeleteFunc(config, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return own.CompatibilityLevel, config, err
}

// ownMode is the mode that a subject has itself, "" where it has none.
func (t *Tool) ownMode(ctx context.Context, subject string) (registry.Mode, error) {
	mode, err := t.Client.OwnMode(ctx, subject)
	if errors.Is(err, registry.ErrNotFound) {
		return "", nil
	}
	return mode, err
}
