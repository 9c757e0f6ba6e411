//go:build unix

package main

import (
	"strings"
	"testing"
)

// TestWrongUseIsRefusedBeforeAKafkaStarts parses what cannot work; each error names what is wrong. Mutations: -engines not looked at; -keys
// not looked at; the profile's folder not looked at.
func TestWrongUseIsRefusedBeforeAKafkaStarts(t *testing.T) {
	for args, want := range map[string]string{
		"-work nothing":                  `unknown work "nothing"`,
		"-work totals,":                  `unknown work ""`,
		"-engines nothing":               `-engines: unknown engine "nothing"`,
		"-engines weir;streams:cache=1":  "-engines: engine streams",
		"-engines weir;;streams":         `unknown engine ""`,
		"-keys -1":                       "-keys",
		"-records -1":                    "-records",
		"-runs -1":                       "-runs",
		"-partitions 0":                  "-partitions",
		"-cpuprofile /nothing/here/file": "-cpuprofile",
		"-memprofile /nothing/here/file": "-memprofile",
		"totals":                         "no flag",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %s", args, err, want)
		}
	}
	o, err := parse(strings.Fields("-quick -work totals,copy -engines weir:workers=2;streams:threads=1,caching=false"))
	if err != nil || len(o.works) != 2 || len(o.Engines) != 2 || o.Rounds != 1 {
		t.Errorf("%v, %d works, engines %q, %d rounds", err, len(o.works), o.Engines, o.Rounds)
	}
}
