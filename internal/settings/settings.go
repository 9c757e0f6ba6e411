// Package settings describes every setting of a Weir program once, and finds its value.
//
// A setting has one name in all places: the flag is --name, the environment variable WEIR_NAME (upper case, every other
// sign an underscore), the key of the YAML file is name. Where Kafka has a name, it is Kafka's. A flag is stronger than
// the environment, the environment than the file, the file than the default.
//
// Resolve reads all four and reports every mistake at once, each with the place where it stands, what is allowed there
// and the nearest right name. Secrets are taken from the environment or a file only and never printed.
//
// The flags, their help and completion, the print of --print-config and docs/configuration.md are made from the table.
package settings

import (
	"strings"
)

// Setting describes one setting. The text form of a value is what a user writes, wherever it is written.
type Setting struct {
	Name    string
	Alias   string // a second name, Kafka's where ours is the first
	Group   string // the heading under which docs and help list it
	Kafka   bool   // the name and meaning are those of a Kafka property
	Secret  bool   // never on the command line, never printed
	Default string // text form; "" is "not set"
	// DefaultText stands for Default in docs where Default differs between machines.
	DefaultText string
	// NoFile: flag and environment only. The path of the file cannot stand in the file, and what is meant for one start
	// must not stay there.
	NoFile bool
	Help   string // one sentence or two, without a full stop at the end

	kind kind
}

// kind is what values of a type look like.
type kind struct {
	name    string   // in docs: "duration"
	flag    string   // in help, after the flag: "DURATION"
	choices []string // all there are, where they can be listed
	// parse turns the text form into a value. Its error says what is allowed.
	parse  func(text string) (any, error)
	format func(value any) string
}

func (k kind) isList() bool { return strings.HasPrefix(k.name, "list") }

// Kind is the type of the setting's values in the words of the docs.
func (s *Setting) Kind() string { return s.kind.name }

// Env is the name of the setting's environment variable.
func (s *Setting) Env() string { return envName(s.Name) }

func envName(name string) string {
	return envPrefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// names are all names under which the setting is known.
func (s *Setting) names() []string {
	if s.Alias != "" {
		return []string{s.Name, s.Alias}
	}
	return []string{s.Name}
}

// Key is a setting with the type of its values.
type Key[T any] struct{ *Setting }

// Of is the setting's value.
func (k Key[T]) Of(v *Values) T {
	value, _ := v.entry(k.Setting).value.(T)
	return value
}

// Origin is where the value comes from.
func (k Key[T]) Origin(v *Values) Origin { return v.entry(k.Setting).origin }

// Given says whether a user has given the setting; else it has its default.
func (v *Values) Given(s *Setting) bool { return v.entry(s).origin.Source != Default }
