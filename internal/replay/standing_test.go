package replay

import (
	"fmt"
	"testing"
	"time"
)

// Jobs are listed with the newest first.
//
// Mutation seen to fail it: list in the order of names.
func TestTheNewestJobIsListedFirst(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	k := &known{jobs: map[string]*standing{}}
	for name, days := range map[string]int{"a": 1, "b": 3, "c": 2, "e": 0, "d": 0} {
		k.jobs[name] = &standing{Job: name, Began: at.AddDate(0, 0, days)}
	}
	var names []string
	for _, s := range k.list() {
		names = append(names, s.Job)
	}
	if got := fmt.Sprint(names); got != "[b c a d e]" {
		t.Error(got)
	}
}
