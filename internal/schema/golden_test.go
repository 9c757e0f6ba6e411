package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Each rule of compatibility is a row: `read` has what was written and what it is read with, and says why that cannot be. A row
// without differences is a change that is allowed.
//
// Mutations seen to fail it: promotions without float to double; sameName that compares full names; protoGroups without bool;
// defaulted that is always false; open that passes over patterns; beside without unevaluatedProperties; combined without its look at one alternative;
// logical without partial; a primitive type that any branch may read; lifted that leaves the type as it is;
// spelledOut without what stands beside a reference, without dynamic references, or without oneOf beside allOf; a new property of any value that may be required;
// readFields without a second field that it may be, or with it where the schemas are the same; renamed that lets names go to each field, or once only; values that are equal where their texts are; propertiesOfParts left out; partsOf that finds none; items of parts left out, or taken for closed;
// refsAlone without const; tighter that is the
// inclusive bound; an exclusive bound compared with an exclusive one alone.
func TestWhatBreaksReaders(t *testing.T) {
	for file, kind := range map[string]Type{"avro": Avro, "protobuf": Protobuf, "json": JSON, "json_references": JSON} {
		datadriven.RunTest(t, "testdata/"+file+".txt", func(t *testing.T, d *datadriven.TestData) string {
			parts := strings.Split(d.Input, "\n=>\n")
			if len(parts) != 2 {
				d.Fatalf(t, "want what was written, =>, and what it is read with")
			}
			var parsed []*Schema
			for _, text := range parts {
				if kind == Protobuf && !strings.Contains(text, "syntax") {
					text = `syntax = "proto3"; ` + text
				}
				s, err := Parse(Source{Type: kind, Text: text})
				if err != nil {
					d.Fatalf(t, "%s: %v", text, err)
				}
				again, err := Parse(Source{Type: kind, Text: s.Text})
				if err != nil || again.Text != s.Text || len(Read(again, s))+len(Read(s, again)) > 0 {
					d.Fatalf(t, "the canonical form is not the same schema: %v\n%s\n%s", err, s.Text, again.Text)
				}
				parsed = append(parsed, s)
			}
			var out strings.Builder
			for _, diff := range Read(parsed[1], parsed[0]) {
				fmt.Fprintf(&out, "%s %s\n    %s\n", diff.Rule, diff.Path, diff.Detail)
				if (Incompatibility{Difference: diff}).Allowed() == asItWas {
					d.Fatalf(t, "nothing says what is allowed in place of %s", diff.Rule)
				}
			}
			if out.Len() == 0 {
				return "compatible"
			}
			return out.String()
		})
	}
}
