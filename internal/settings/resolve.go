package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/secretfile"
)

// Source is a kind of place where a value may stand.
type Source string

// The sources, weakest first.
const (
	Default     Source = "default"
	File        Source = "file"
	Environment Source = "env"
	Flag        Source = "flag"
	Program     Source = "program"
)

// Origin is the place where a value stands.
type Origin struct {
	Source       Source
	Name         string // of the flag, the variable, the file, or what the program calls it
	Line, Column int    // in a file
}

func (o Origin) String() string {
	switch o.Source {
	case Flag, Environment, Program:
		return string(o.Source) + " " + o.Name
	case File:
		return o.place()
	}
	return string(o.Source)
}

// place is how an error names the origin.
func (o Origin) place() string {
	place := o.Name
	for _, n := range []int{o.Line, o.Column} {
		if n > 0 {
			place += ":" + strconv.Itoa(n)
		}
	}
	return place
}

// Error is a mistake in what a user has written: where it stands, and in which setting. It wraps a *mistake.Error where it is one of a
// setting.
type Error struct {
	Setting string // its name, "" where no setting has the name that is written, or where the file as a whole is wrong
	Origin  Origin
	Err     error // its text names the setting, unless the place does
}

func (e *Error) Error() string { return e.Origin.place() + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// errorf makes an *Error of a setting, or of none.
func (o Origin) errorf(setting, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if setting != "" {
		err = &mistake.Error{Settings: []string{setting}, Err: err}
	}
	return &Error{setting, o, err}
}

// Locate adds to each mistake that is joined in err the place where a user gave one of the settings that it concerns, the
// first one that was given: the mistake becomes an *Error.
func (v *Values) Locate(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := slices.Clone(joined.Unwrap())
		if errors.Join(all...).Error() != err.Error() {
			return err // a text with several causes
		}
		for i, e := range all {
			all[i] = v.Locate(e)
		}
		return errors.Join(all...)
	}
	wrong, ok := errors.AsType[*mistake.Error](err)
	if !ok {
		return err
	}
	for _, name := range wrong.Settings {
		if s, known := Lookup(name); known && v.Given(s) {
			return &Error{s.Name, v.entry(s).origin, err}
		}
	}
	return err
}

// Sources are what Resolve reads.
type Sources struct {
	Flags    *pflag.FlagSet // with the flags that AddFlags added; nil for none
	Env      []string       // as os.Environ gives it
	ReadFile func(name string) ([]byte, error)
	// CheckSecrets judges a config file that holds secrets by who else may read it (a warning) or write it (an error).
	CheckSecrets func(name string) (warning string, err error)
	// Defaults are text forms that stand for the table's defaults, by name.
	Defaults map[string]string
	// Program are settings that the program itself gives. They are stronger than all others.
	Program []Given
}

// FromSystem are the flags of a command, the process's environment and its files.
func FromSystem(flags *pflag.FlagSet, defaults map[string]string) Sources {
	return Sources{Flags: flags, Env: os.Environ(), ReadFile: readConfig, CheckSecrets: secretfile.Check, Defaults: defaults}
}

// readConfig reads no more than a config file may have: the name may be that of a device or a pipe.
func readConfig(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return secretfile.ReadAll(f, name, maxFileSize)
}

// Values are the values of all settings.
type Values struct {
	entries  map[string]entry
	warnings []string
}

// Warnings are what is not wrong enough to stop, for the log.
func (v *Values) Warnings() []string { return v.warnings }

type entry struct {
	value  any
	origin Origin
}

func (v *Values) entry(s *Setting) entry {
	if e, ok := v.entries[s.Name]; ok {
		return e
	}
	e, _ := s.entry(s.Default, Origin{Source: Default})
	return e
}

// given is a value as written, or a mistake in its place.
type given struct {
	setting *Setting
	text    string
	origin  Origin
	err     error
}

// Resolve finds the value of every setting. Its error joins all mistakes, in the order flags, environment, program, file.
func Resolve(src Sources) (*Values, error) {
	flagLayer, err1 := layer(fromFlags(src.Flags))
	envLayer, err2 := layer(fromEnv(src.Env))
	programLayer, err3 := layer(fromProgram(src.Program))
	mistakes := []error{err1, err2, err3}

	values := map[string]entry{}
	for name, text := range src.Defaults {
		s, _ := Lookup(name)
		e, err := s.entry(text, Origin{Source: Default})
		if err != nil {
			mistakes = append(mistakes, err)
		}
		values[name] = e
	}
	path, ok := flagLayer[Config.Name]
	if !ok {
		path, ok = envLayer[Config.Name]
	}
	var warnings []string
	if ok {
		fileLayer, warning, err := readFile(path.value.(string), src)
		mistakes = append(mistakes, err)
		if warning != "" {
			warnings = append(warnings, warning)
		}
		maps.Copy(values, fileLayer)
	}
	maps.Copy(values, envLayer)
	maps.Copy(values, flagLayer)
	maps.Copy(values, programLayer)
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return &Values{values, warnings}, nil
}

func readFile(path string, src Sources) (values map[string]entry, warning string, err error) {
	data, err := src.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("read the config file: %w", err)
	}
	found := fromFile(path, data)
	values, err = layer(found)
	secret := slices.ContainsFunc(found, func(g given) bool { return g.setting != nil && g.setting.Secret })
	if secret && src.CheckSecrets != nil {
		var refused error
		warning, refused = src.CheckSecrets(path)
		err = errors.Join(err, refused)
	}
	return values, warning, err
}

// layer parses the values of one source. A setting that is there under both its names is a mistake: which one counts
// would be a guess.
func layer(found []given) (map[string]entry, error) {
	values := map[string]entry{}
	var mistakes []error
	for _, g := range found {
		if g.err != nil {
			mistakes = append(mistakes, g.err)
			continue
		}
		other, twice := values[g.setting.Name]
		switch {
		case twice && g.origin.Source == Program:
			mistakes = append(mistakes, g.origin.errorf(g.setting.Name, "%s gives it too: remove one", other.origin.place()))
			continue
		case twice:
			mistakes = append(mistakes, g.origin.errorf(g.setting.Name, "%s and %s are two names of one setting, which %s gives too: remove one",
				g.setting.Name, g.setting.Alias, other.origin.place()))
			continue
		}
		e, err := g.setting.entry(g.text, g.origin)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		values[g.setting.Name] = e
	}
	return values, errors.Join(mistakes...)
}

// entry parses a text form. The error names the place, the setting, the value and what is allowed.
func (s *Setting) entry(text string, origin Origin) (entry, error) {
	e := entry{origin: origin}
	if text == "" && s.Default == "" {
		return e, nil // not set, in so many words
	}
	value, err := s.kind.parse(text)
	if err != nil {
		if !s.Secret {
			err = fmt.Errorf("%q is not allowed: %w", text, err)
		}
		if origin.Source == File {
			err = fmt.Errorf("%s: %w", s.Name, err)
		}
		return e, origin.errorf(s.Name, "%w", err)
	}
	e.value = value
	return e, nil
}

// unknown is the error for a name that no setting has.
func (o Origin) unknown(what, name string, known []string) error {
	list := "run --print-config"
	if o.Source == Program {
		list = "docs/configuration.md"
	}
	var way string
	if len(name) > 100 {
		name = name[:100] + "..."
	} else if near := Nearest(name, known); near != "" {
		way = fmt.Sprintf("did you mean %q?", near)
	}
	return &Error{"", o, mistake.In(name).Errorf("unknown %s %q: %s", what, name, cmp.Or(way, list+" lists all settings"))}
}

// Lookup finds a setting by its name or alias.
func Lookup(name string) (*Setting, bool) {
	i := slices.IndexFunc(Table(), func(s *Setting) bool { return slices.Contains(s.names(), name) })
	if i < 0 {
		return nil, false
	}
	return Table()[i], true
}
