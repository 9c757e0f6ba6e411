package kafka

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
)

var updateAnswers = flag.Bool("update", false, "write the tables of answers into docs/guarantees.md")

// lastCode is the largest code of Kafka 4.3.
const lastCode = 133

// Mutations: a row left out, two rows swapped, a name mistyped.
func TestEveryCodeOfTheProtocolHasARow(t *testing.T) {
	for code := int16(firstAnswer); code <= lastCode; code++ {
		a := answerFor(sarama.KError(code))
		if a.code != code {
			t.Fatalf("%d has the row of %d", code, a.code)
		}
		name := "NONE"
		if err := kerr.TypedErrorForCode(code); err != nil {
			name = err.Message
		}
		if name == "NOT_LEADER_FOR_PARTITION" {
			name = "NOT_LEADER_OR_FOLLOWER" // since Kafka 2.6
		}
		if a.name != name {
			t.Errorf("%d is %s, not %s", code, name, a.name)
		}
	}
	if last := answers[len(answers)-1].code; last != lastCode {
		t.Errorf("the table ends at %d", last)
	}
	for _, code := range []sarama.KError{lastCode + 1, 1000, -2, -1000} {
		if v := verdictOf(code); v != blocked {
			t.Errorf("the unknown code %d has verdict %d: an unknown code is the world's", code, v)
		}
	}
}

// Mutation: any row of the table with another verdict or remedy; any class of coordinatorAnswers.
func TestTheGuaranteesShowTheTablesOfAnswers(t *testing.T) {
	const begin, end = "<!-- answers: made by go test ./internal/kafka -run TestTheGuaranteesShowTheTablesOfAnswers -update -->\n", "<!-- end of answers -->\n"
	path := filepath.Join("..", "..", "docs", "guarantees.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the marks of the tables are missing")
	}
	want := answersPage()
	if *updateAnswers {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range max(len(g), len(w)) {
			if i >= len(g) || i >= len(w) || g[i] != w[i] {
				t.Fatalf("line %d of the tables differs from the code; write them again with -update", i+1)
			}
		}
	}
}

func answersPage() string {
	var b strings.Builder
	b.WriteString("\n| code | answer to a produce request | whose | what Weir does | what you can do |\n| --- | --- | --- | --- | --- |\n")
	for _, a := range answers {
		whose := "the world's"
		switch {
		case a.verdict == acknowledged:
			whose = "no error"
		case a.verdict.ofRecord():
			whose = "the record's"
		}
		remedy := strings.NewReplacer("{topic}", "`T`", "{partition}", "the partition").Replace(a.remedy)
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s |\n", a.code, a.name, whose, a.verdict.does(), remedy)
	}
	fmt.Fprintf(&b, "| any other | unknown | the world's | %s | |\n", blocked.does())
	b.WriteString("\n| code | answer of a coordinator | what Weir does | what you can do |\n| --- | --- | --- | --- |\n")
	for _, code := range slices.Sorted(maps.Keys(coordinatorAnswers)) {
		a := coordinatorAnswers[code]
		does := map[Class]string{
			Fenced: fenced.does(), Abortable: broken.does(), Blocked: "The partitions concerned wait.",
			Fatal: "The instance stops: the program or its settings are wrong.",
		}[a.class]
		if a.stale {
			does = "The newer generation of the group is waited for."
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", code, answerFor(code).name, does, strings.ReplaceAll(a.remedy, "{id}", "in question"))
	}
	b.WriteString("| any other | unknown | The partitions concerned wait. | |\n\n")
	return b.String()
}

// A code is named in an error, also where sarama has no text for it.
//
// Mutation seen to fail this test: named returns every code as it is.
func TestEveryCodeIsNamedInErrors(t *testing.T) {
	for _, a := range answers {
		if err := named(sarama.KError(a.code)); strings.Contains(err.Error(), "how did this happen") || !errors.Is(err, sarama.KError(a.code)) {
			t.Errorf("%d: %v", a.code, err)
		}
	}
}
