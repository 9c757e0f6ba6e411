package processors

import "testing"

// An id that is not of the form that this topology's workers use is nobody's, and one of a long name is that of the whole name.
//
// Mutations: the worker's number not looked at; the first '-' taken for the last.
func TestATransactionalIDSaysItsInstance(t *testing.T) {
	for id, want := range map[string]string{
		"totals-a-0":               "a",
		"totals-host-7-12":         "host-7",
		"totals-host-7":            "host",
		"totals-a-x":               "",
		"totals-a-":                "",
		"totals-a":                 "",
		"totals--0":                "",
		"totals-0":                 "",
		"totalsa-0":                "",
		"other-a-0":                "",
		"weir-replay-totals-a-1-0": "",
	} {
		if got, ok := instanceOf("totals", id); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", id, got, ok)
		}
	}
}
