package plan

import "testing"

// TestLabelsAreQuoted draws labels that a type or a later kind of name may have, though Check admits none of them today.
// Seen to fail: a quote or a backslash left as it is.
func TestLabelsAreQuoted(t *testing.T) {
	for _, c := range []struct{ label, mermaid, dot string }{
		{`plain.name-1_a`, `"plain.name-1_a"`, `"plain.name-1_a"`},
		{`"]; x[`, `"#quot;]; x["`, `"\"]; x["`},
		{`a\"b`, `"a\#quot;b"`, `"a\\\"b"`},
		{"#<b>&`", `"#35;#lt;b#gt;#amp;#96;"`, "\"#<b>&`\""},
		{"two\nlines", `"two lines"`, `"two\nlines"`},
	} {
		if got := mermaidText(c.label); got != c.mermaid {
			t.Errorf("Mermaid: %s, want %s", got, c.mermaid)
		}
		if got := dotText(c.label); got != c.dot {
			t.Errorf("DOT: %s, want %s", got, c.dot)
		}
	}
}
