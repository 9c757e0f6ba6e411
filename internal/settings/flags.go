package settings

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// flagValue keeps what the command line says as text: it is parsed by Resolve, with everything else and in its words.
type flagValue struct {
	setting *Setting
	text    string
}

func (f *flagValue) String() string { return f.text }
func (f *flagValue) Type() string   { return f.setting.kind.flag }

// Set of a list adds to it; other settings take the last value.
func (f *flagValue) Set(text string) error {
	if f.setting.kind.isList() && f.text != "" {
		text = f.text + "," + text
	}
	f.text = text
	return nil
}

// AddFlags adds a flag for each of the settings, secrets excepted.
func AddFlags(flags *pflag.FlagSet, list []*Setting, defaults map[string]string) {
	for _, s := range list {
		if s.Secret {
			continue
		}
		for _, name := range s.names() {
			text := cmp.Or(defaults[s.Name], s.DefaultText, s.Default)
			help := s.Help
			if text != "" && text != "false" {
				help += fmt.Sprintf(" (default %s)", text)
			}
			f := flags.VarPF(&flagValue{setting: s}, name, "", help)
			if s.kind.name == boolKind().name {
				f.NoOptDefVal = "true"
			}
			f.Hidden = name != s.Name
		}
	}
}

// Except is a list of settings without doubles and without some.
func Except(list []*Setting, out ...*Setting) (left []*Setting) {
	seen := map[*Setting]bool{}
	for _, s := range out {
		seen[s] = true
	}
	for _, s := range list {
		if !seen[s] {
			left = append(left, s)
		}
		seen[s] = true
	}
	return left
}

// Reword gives a flag of AddFlags the help of a command for which the setting does something else than the table says.
func Reword(flags *pflag.FlagSet, s *Setting, help string) {
	for _, name := range s.names() {
		f := flags.Lookup(name)
		f.Usage = help + strings.TrimPrefix(f.Usage, s.Help)
	}
}

func fromFlags(flags *pflag.FlagSet) []given {
	if flags == nil {
		return nil
	}
	var found []given
	flags.Visit(func(f *pflag.Flag) {
		if value, ok := f.Value.(*flagValue); ok {
			found = append(found, given{setting: value.setting, text: value.text, origin: Origin{Source: Flag, Name: "--" + f.Name}})
		}
	})
	return found
}

// FlagError rewords an error of pflag: an unknown flag is answered with the nearest one, a secret with the reason why it
// is none.
func FlagError(flags *pflag.FlagSet, err error) error {
	var refused *pflag.InvalidValueError
	if errors.As(err, &refused) {
		if number, ok := errors.AsType[*strconv.NumError](err); ok && number.Func != "ParseBool" {
			return fmt.Errorf("--%s: %q is not allowed: want a number that is not too large", refused.GetFlag().Name, refused.GetValue())
		}
		return fmt.Errorf("--%s: %q is not allowed: %w", refused.GetFlag().Name, refused.GetValue(), refused.Unwrap())
	}
	var absent *pflag.NotExistError
	if !errors.As(err, &absent) || absent.GetSpecifiedShortnames() != "" {
		return err
	}
	name := absent.GetSpecifiedName()
	const noFlag = "not taken from the command line, where other users see it: set %s, or %s in the config file"
	if s, ok := Lookup(name); ok && s.Secret {
		return fmt.Errorf("--%s: a secret is "+noFlag, name, s.Env(), s.Name)
	}
	var known []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	if flags.Lookup(SASLMechanism.Name) != nil { // the command takes secrets too
		for _, s := range Table() {
			if s.Secret {
				known = append(known, s.Name)
			}
		}
	}
	slices.Sort(known)
	near := Nearest(name, known)
	if s, ok := Lookup(near); ok && s.Secret {
		return fmt.Errorf("unknown flag --%s: did you mean %s? A secret is "+noFlag, name, s.Name, s.Env(), s.Name)
	}
	if near != "" {
		return fmt.Errorf("unknown flag --%s: did you mean --%s?", name, near)
	}
	return fmt.Errorf("unknown flag --%s: --help lists all flags", name)
}
