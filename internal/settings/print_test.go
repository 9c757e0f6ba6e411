package settings

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What --print-config prints is a config file that gives the same settings, whatever is in the values.
//
// Mutations seen to fail this test: yamlText that never quotes; the secret printed without a comment's sign; the place not
// quoted.
func TestPrintConfigIsAConfigFileWithTheSameSettings(t *testing.T) {
	odd := rapid.SampledFrom([]string{"a", "B", "7", " ", "\n", "\t", "\"", "'", "#", ": ", ":", "-", "- ", "&", "*", "!", "|", ">", "%", "@", "`", "{", "}", "[", "]", ",", "~",
		"null", "true", "\x00", "\x1b[31m", "\x7f", "\u009b", "\u202e", "\u2028", "\ufeff", "ä", "日", "\U0001f600", "\\", "\\n", "\r\n", "---", "<<", "=", "?"})
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(odd, 1, 6).Draw(t, "text"), "") })
	rapid.Check(t, func(t *rapid.T) {
		env := map[string]string{}
		for _, s := range Table() {
			if s == Config.Setting || !rapid.Bool().Draw(t, "set") {
				continue
			}
			value := text.Draw(t, s.Name)
			if _, err := s.kind.parse(value); err != nil {
				value = s.Default
			}
			env[s.Env()] = value
		}
		var list []string
		for name, value := range env {
			list = append(list, name+"="+value)
		}
		first, err := Resolve(Sources{Env: list})
		if err != nil {
			t.Fatal(err)
		}
		var printed strings.Builder
		if err := first.Print(&printed); err != nil {
			t.Fatal(err)
		}
		file := "odd\nname: " + text.Draw(t, "file")
		second, err := Resolve(Sources{Env: []string{"WEIR_CONFIG=" + file}, ReadFile: func(string) ([]byte, error) { return []byte(printed.String()), nil }})
		if err != nil {
			t.Fatalf("%v\n%s", err, printed.String())
		}
		for _, s := range Table() {
			if s.Secret || s.NoFile || first.entry(s).value == nil {
				continue
			}
			if !reflect.DeepEqual(first.entry(s).value, second.entry(s).value) || (first.entry(s).origin.Source == Default) != (second.entry(s).origin.Source == Default) {
				t.Fatalf("%s: %#v, read back %#v\n%s", s.Name, first.entry(s).value, second.entry(s).value, printed.String())
			}
		}
		// Printed once more, with the odd name of the file in every comment.
		var again strings.Builder
		if err := second.Print(&again); err != nil {
			t.Fatal(err)
		}
		if found := fromFile("f", []byte(again.String())); strings.Count(again.String(), "\n") != len(Table()) {
			t.Fatalf("%d settings in:\n%s", len(found), again.String())
		}
		for _, s := range Table() {
			if s.Secret && env[s.Env()] != "" && strings.Contains(printed.String(), s.Name+": "+yamlText(env[s.Env()])) {
				t.Fatalf("%s is shown", s.Name)
			}
		}
	})
}

// A help line is read alone, below a flag or in a cell of the docs: it names what it speaks of.
//
// Mutation seen to fail this test: "bound of that wait" put back.
func TestEveryHelpLineStandsAlone(t *testing.T) {
	leaning := regexp.MustCompile(`(?i)\b(that|this|these|those) (wait|answer|password|token|certificate|key|file|interval|timeout|time|size|bound|limit|name|setting|value)\b|\b(of|for|to|under|over) (it|them|that)$|^(its|their|it|they|the same|as above|likewise|also)\b|\babove\b|\bbelow\b`)
	for _, s := range Table() {
		if found := leaning.FindString(s.Help); found != "" {
			t.Errorf("%s: %q leans on another line: %s", s.Name, found, s.Help)
		}
		if len(strings.Fields(s.Help)) < 3 {
			t.Errorf("%s says little: %s", s.Name, s.Help)
		}
	}
}
