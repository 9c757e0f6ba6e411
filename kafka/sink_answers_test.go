package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
)

var verdictNames = [...]string{"acknowledged", "resend", "resend moved", "resend unknown", "too large", "refused", "refused all", "out of order", "broken", "fenced", "hopeless"}

// Mutation: any line of judge moved to another verdict.
func TestEveryAnswerToAProduceRequestHasAVerdict(t *testing.T) {
	datadriven.RunTest(t, "testdata/produce_answers", func(t *testing.T, d *datadriven.TestData) string {
		lines := make([]strings.Builder, len(verdictNames))
		for code := int16(-1); code < 140; code++ {
			name := "NONE"
			if err := kerr.TypedErrorForCode(code); err != nil {
				name = err.Message
				if err.Code != code {
					continue
				}
			}
			v := judge(sinkCode(&kerr.Error{Code: code}))
			if v != hopeless {
				fmt.Fprintf(&lines[v], "\n  %d %s", code, name)
			}
		}
		var all strings.Builder
		for v := range verdictNames[:hopeless] {
			fmt.Fprintf(&all, "%s:%s\n", verdictNames[v], lines[v].String())
		}
		return all.String()
	})
}
