package cli

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/letters"
)

// TestFailuresMdHasEachFieldOfJSON: what the table says of each command is what the command prints, no field more and none less.
//
// Mutations, each seen to fail it: a field of Trial and of Answer that the table does not have; a row of a field that nothing prints.
func TestFailuresMdHasEachFieldOfJSON(t *testing.T) {
	page, err := os.ReadFile("../../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What `--json` prints\n")
	section, _, _ = strings.Cut(section, "\n## ")
	said := map[string][]string{}
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, verb := range strings.Split(cells[2], ",") {
			for _, field := range strings.Split(cells[1], ",") {
				verb := strings.TrimSpace(verb)
				said[verb] = append(said[verb], strings.Trim(field, " `"))
			}
		}
	}
	want := map[string]any{
		"list": letters.Group{}, "show": letters.Shown{}, "export": letters.Exported{}, "try": letters.Trial{}, "redrive": letters.Result{}, "discard": letters.Result{},
		"parked list": letters.ParkedKey{}, "parked release": letters.Released{},
	}
	for _, verb := range slices.Sorted(maps.Keys(said)) {
		if _, ok := want[verb]; !ok {
			t.Errorf("the page has a command %q", verb)
		}
	}
	for _, verb := range slices.Sorted(maps.Keys(want)) {
		prints, has := fieldsOf(reflect.TypeOf(want[verb]), ""), said[verb]
		slices.Sort(prints)
		slices.Sort(has)
		if !slices.Equal(prints, has) {
			t.Errorf("dlq %s prints\n%q\nand the page has\n%q", verb, prints, has)
		}
	}
}

// fieldsOf are the names that a type has in JSON.
func fieldsOf(of reflect.Type, prefix string) (names []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() || of == reflect.TypeFor[json.RawMessage]() {
		return []string{strings.TrimSuffix(prefix, ".")}
	}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			names = append(names, fieldsOf(f.Type, prefix)...)
		case f.IsExported() && name != "-":
			names = append(names, fieldsOf(f.Type, prefix+name+".")...)
		}
	}
	return names
}
