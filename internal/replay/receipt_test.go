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
