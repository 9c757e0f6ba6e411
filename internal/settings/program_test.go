package settings

import (
	"strings"
	"testing"
	"time"
)

// A program's own settings are looked up, parsed and refused as those of other places are, in the name that the program has for
// them, and are stronger.
//
// Mutations tried: programLayer copied before envLayer; fromProgram without Config; a secret's value in its error.
func TestAProgramGivesSettingsItself(t *testing.T) {
	env := []string{"WEIR_WORKERS=2", "WEIR_COMMIT_INTERVAL=1s"}
	v, err := Resolve(Sources{Env: env, Program: []Given{{"workers", "3", "Options.Workers"}, {"bootstrap.servers", "a:1", "Options.Brokers"}}})
	if err != nil {
		t.Fatal(err)
	}
	if Workers.Of(v) != 3 || CommitInterval.Of(v) != time.Second || len(Brokers.Of(v)) != 1 || Workers.Origin(v).String() != "program Options.Workers" {
		t.Errorf("%d workers from %s, %s, %v", Workers.Of(v), Workers.Origin(v), CommitInterval.Of(v), Brokers.Of(v))
	}
	_, err = Resolve(Sources{Program: []Given{
		{"workers", "3", "A"}, {"workers", "4", "B"}, {"config", "f", "C"}, {"worker", "5", "D"}, {"sasl.password", "\xffhidden", "E"}, {"commit-interval", "1", "F"},
	}})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{"B: A gives it too: remove one", "C: a program gives its settings itself", `D: unknown setting "worker": did you mean "workers"?`,
		"E: it is not UTF-8", `F: "1" is not allowed: give a duration`}
	lines := strings.Split(err.Error(), "\n")
	for n, line := range lines {
		if len(lines) != len(want) || !strings.HasPrefix(line, want[n]) {
			t.Errorf("mistake %d: %s", n, line)
		}
	}
}
