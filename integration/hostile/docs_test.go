//go:build unix

package hostile

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of kinds into docs/testing.md")

const (
	docsFile  = "../../docs/testing.md"
	docsBegin = "<!-- Made from integration/hostile by: go test ./integration/hostile -run TestDocs -update -->\n"
	docsEnd   = "<!-- End of what is made. -->\n"
)

// TestDocsListEveryKind needs no Kafka. Mutation: a kind taken out of the table, or one word of a row changed.
func TestDocsListEveryKind(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if seen[k.Name] || k.Name == "" || k.Done == "" || k.Must == "" || k.Try == nil {
			t.Errorf("kind %q: its name, what is done, what must happen and how to try it must be there, and the name once", k.Name)
		}
		if strings.ContainsAny(k.Name+k.Done+k.Must, "|\n") {
			t.Errorf("kind %q: a row of the table takes no | and no line's end", k.Name)
		}
		seen[k.Name] = true
	}
	docs, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(docs), docsBegin)
	had, after, ok2 := strings.Cut(rest, docsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", docsFile, docsBegin, docsEnd)
	}
	want := table()
	if *update {
		if err := os.WriteFile(docsFile, []byte(before+docsBegin+want+docsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if had != want {
		t.Errorf("%s does not list the kinds as they are: go test ./integration/hostile -run TestDocs -update", docsFile)
	}
}

// table is the chapter's table, one for each of those who do it.
func table() string {
	var b strings.Builder
	for _, who := range []struct {
		who   Who
		title string
	}{{Record, "Records"}, {Broker, "Brokers, networks, topics and permissions"}, {Operator, "Operators, processes and files"}} {
		fmt.Fprintf(&b, "\n| %s | what is done | what happens |\n| --- | --- | --- |\n", who.title)
		for _, k := range kinds() {
			if k.Who == who.who {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", k.Name, k.Done, k.Must)
			}
		}
	}
	return b.String() + "\n"
}
