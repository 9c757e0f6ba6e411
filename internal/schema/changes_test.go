package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// What two schemas do not have in common is told part by part, in each of the types; what means nothing is no part.
func TestChangesAreToldByMeaning(t *testing.T) {
	datadriven.RunTest(t, "testdata/changes.txt", func(t *testing.T, d *datadriven.TestData) string {
		kind, err := ParseType(d.Cmd)
		if err != nil {
			t.Fatal(err)
		}
		old, next, _ := strings.Cut(d.Input, "\n=>\n")
		var parsed [2]*Schema
		for i, text := range []string{old, next} {
			if parsed[i], err = Parse(Source{Type: kind, Text: text}); err != nil {
				d.Fatalf(t, "%s: %v", text, err)
			}
		}
		var out strings.Builder
		for _, c := range Changes(parsed[0], parsed[1]) {
			fmt.Fprintln(&out, c)
		}
		if out.Len() == 0 {
			return "the same"
		}
		return out.String()
	})
}
