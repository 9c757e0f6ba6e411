package replay

import (
	"strings"
	"testing"
)

// TestAReceiptCommandsNoTerminal.
//
// Mutation: a value as it is.
func TestAReceiptCommandsNoTerminal(t *testing.T) {
	var out strings.Builder
	(&Receipt{Differences: []Difference{{Topic: "t", Key: "k", Production: "\x1b[2J", Shadow: "\x1b[1m", Causes: []string{"\x1b[0m"}}}}).Print(&out)
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Errorf("%q", out.String())
	}
}

// A difference whose causes are not known says so.
//
// Mutation seen to fail it: cause without its first case.
func TestADifferenceWithoutACauseSaysSo(t *testing.T) {
	var out strings.Builder
	(&Receipt{Differences: []Difference{{Topic: "t", Key: "k"}}}).Print(&out)
	if !strings.Contains(out.String(), "; the cause is not known\n") || strings.Contains(out.String(), "caused by") {
		t.Errorf("printed: %s", out.String())
	}
}
