package yamlfile

import (
	"strings"
	"testing"
)

type place struct {
	Street string `yaml:"street"`
}

type house struct {
	Place place `yaml:",inline"`
	Rooms []struct {
		Name  string  `yaml:"name"`
		Doors int32   `yaml:"doors"`
		Area  float64 `yaml:"area"`
	} `yaml:"rooms"`
	Garden *struct {
		Trees bool `yaml:"trees"`
	} `yaml:"garden"`
	Notes map[string]string `yaml:"notes"`

	hidden string
}

// What is wrong in a file is said with its line, all of it at once, and no text has a name or a type of Go.
//
// Mutations, each seen to fail it: unknown without Nearest; check that does not go into lists, or into pointers; one error in place of all; plain
// that returns what it gets; field without what is inline; one document read.
func TestWhatIsWrongIsSaidInTheWordsOfTheFile(t *testing.T) {
	for text, want := range map[string]string{
		"stret: a":                              `line 1: the file has no field "stret": did you mean "street"?`,
		"a: 1\nb: 2":                            "line 1: the file has no field \"a\", but street, rooms, garden, notes\nline 2: the file has no field \"b\"",
		"hidden: a":                             `the file has no field "hidden"`,
		"rooms:\n- {name: a}\n- {naem: b}":      `line 3: each of rooms has no field "naem": did you mean "name"?`,
		"rooms: a":                              "line 1: rooms is a list",
		"rooms: [{doors: six}]":                 "line 1: doors is a whole number",
		"rooms: [{doors: 3000000000}]":          "line 1: doors is a whole number, and not a too large one",
		"rooms: [{area: [1]}]":                  "line 1: area is a number",
		"garden: {trees: maybe}":                "line 1: trees is true or false",
		"garden:\n  tree: true":                 `line 2: garden has no field "tree": did you mean "trees"?`,
		"street: [a]":                           "line 1: street is a text",
		"notes: a":                              "line 1: notes has names with a value each",
		"notes: {a: {b: c}}":                    "line 1: a is a text",
		"- a":                                   "line 1: the file has the fields street, rooms, garden, notes",
		"street: a\nstreet: b":                  `line 2: mapping key "street" already defined at line 1`,
		"street: a\n---\nstreet: b":             "line 2: a second document",
		"---\nstreet: a\n---\n":                 "line 3: a second document",
		"street: a\n---\nrooms: {":              "line 3: did not find expected",
		"--- # of ours\nstreet: a\n...\n":       "",
		"street: {":                             "line 1: did not find expected",
		strings.Repeat("x", 1000) + ": 1":       `xx..."`,
		"garden: null\nrooms: []\nnotes: {a: }": "",
		"":                                      "",
	} {
		var h house
		said := ""
		if err := Decode([]byte(text), &h); err != nil {
			said = err.Error()
		}
		if !strings.HasPrefix(said, want) && !strings.Contains(said, want) || want == "" && said != "" || len(said) > 500 {
			t.Errorf("%.40q: %s, want %s", text, said, want)
		}
		for _, foreign := range []string{"yaml", "struct", "int32", "house", "unmarshal"} {
			if strings.Contains(said, foreign) {
				t.Errorf("%.40q: %s", text, said)
			}
		}
	}
	var h house
	if err := Decode([]byte("street: a\nrooms: [{name: b, doors: 2, area: 3}]\ngarden: {trees: true}\nnotes: {c: d}"), &h); err != nil || h.Place.Street != "a" || h.Rooms[0].Doors != 2 || h.Rooms[0].Area != 3 || !h.Garden.Trees || h.Notes["c"] != "d" || h.hidden != "" {
		t.Errorf("%+v, %v", h, err)
	}
}
