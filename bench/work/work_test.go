package work

import (
	"strings"
	"testing"
	"time"
)

// TestWorksHaveCases looks at each work in each form: names tell cases apart, each has records and an engine. Mutation: two cases of scale with the same name.
func TestWorksHaveCases(t *testing.T) {
	for _, w := range All() {
		for _, form := range []string{"quick", "full", "long"} {
			s := Settings{Form: form, Rounds: 1, Partitions: 4, Workers: 2, Interval: time.Second}
			names := map[string]bool{}
			for _, c := range w.cases(s) {
				if names[c.Name] || c.Name == "" || c.Job.Records < 1 || len((&Bench{Settings: s}).contestants(w, c)) == 0 {
					t.Errorf("%s, %s: case %q", w.Name, form, c.Name)
				}
				names[c.Name] = true
			}
			if len(names) == 0 {
				t.Errorf("%s, %s: no cases", w.Name, form)
			}
		}
	}
}

// TestTheAxisIsTheKeysThatAreAskedFor asks works whose axis is keys for a number of their own: one case of so many, and as many records, since a
// key is there once a record has named it. Mutations: restore with its own keys; dedup with its own ids.
func TestTheAxisIsTheKeysThatAreAskedFor(t *testing.T) {
	const keys = 4_000_000
	for _, w := range []Work{totals, dedup, restore, takeover} {
		cases := w.cases(Settings{Form: "long", Keys: keys, Partitions: 4})
		if len(cases) != 1 || cases[0].Job.Keys != keys || cases[0].Job.Records < keys || cases[0].Name != "4 M" {
			t.Errorf("%s: %+v", w.Name, cases)
		}
	}
}

// TestGrowthIsNamedAfterWhatWasAskedFor asks growth for keys and records of its own: its rows are of so many, and say so. Mutation: growth with its
// own keys.
func TestGrowthIsNamedAfterWhatWasAskedFor(t *testing.T) {
	const n = 4_000_000
	for _, s := range []Settings{{Keys: n}, {Records: n}, {Keys: n, Records: 2 * n}} {
		s.Form, s.Partitions = "long", 4
		for _, c := range growth.cases(s) {
			switch what := strings.Fields(c.Name); what[len(what)-1] {
			case "keys":
				if c.Name != thousands(c.Job.Keys)+" keys" || c.Job.Records < c.Job.Keys {
					t.Errorf("%+v: %q has %d keys, %d records", s, c.Name, c.Job.Keys, c.Job.Records)
				}
			case "records":
				if c.Name != thousands(c.Job.Records)+" records" {
					t.Errorf("%+v: %q has %d records", s, c.Name, c.Job.Records)
				}
			}
		}
	}
}
