package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// What differs between the contracts of two schemas is told part by part: properties, tags, sensitive fields, rules and their order. What is empty is as what is
// not there, and the order of sets and members is no difference.
//
// Mutations seen to fail it: differences without one of its cases; inParts without the list of names, without the rules' parts, with raw as it is; a rule's name
// taken twice.
func TestChangesOfContractsAreToldByParts(t *testing.T) {
	datadriven.RunTest(t, "testdata/changes.txt", func(t *testing.T, d *datadriven.TestData) string {
		old, next, _ := strings.Cut(d.Input, "=>")
		read := func(text string) (given struct{ Metadata, RuleSet json.RawMessage }) {
			if err := json.Unmarshal([]byte(text), &given); err != nil {
				d.Fatalf(t, "%s: %v", text, err)
			}
			return given
		}
		a, b := read(old), read(next)
		var out strings.Builder
		for _, c := range Changes(a.Metadata, a.RuleSet, b.Metadata, b.RuleSet) {
			fmt.Fprintln(&out, c)
		}
		if out.Len() == 0 {
			return "the same"
		}
		return out.String()
	})
}
