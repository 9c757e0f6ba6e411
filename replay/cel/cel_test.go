package cel

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// TestAnExpressionChoosesRecords by all that it may name. What cannot be evaluated chooses nothing.
//
// Mutation: UseNumber left out; an error that chooses.
func TestAnExpressionChoosesRecords(t *testing.T) {
	r := &kafka.Record{Offset: 7, Timestamp: 1_700_000_000_000, Key: []byte("customer-1"), Value: []byte(`{"amount":9007199254740993,"tags":["a"],"half":0.5}`),
		Headers: []kafka.Header{{Key: "region", Value: []byte("eu")}}}
	for expression, want := range map[string]bool{
		`value.amount == 9007199254740993`: true, `value.amount == 9007199254740992`: false, `"a" in value.tags`: true, `value.half < 1.0`: true,
		`value.missing == 1`: false, `has(value.missing) || key.startsWith("customer-")`: true, `headers.region == "eu"`: true, `headers["none"] == ""`: false,
		`partition == 3 && offset == 7`: true, `time > timestamp("2023-01-01T00:00:00Z")`: true, `value`: false, `value.amount > 0 && value.tags.exists(x, x == "a")`: true,
	} {
		p, err := compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := p(kafka.TopicPartition{Partition: 3}, r); got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
	for _, value := range [][]byte{nil, []byte("text"), {0xff}, []byte(`{"a":1} x`), []byte("null")} {
		p, err := compile(`value == "text"`)
		if err != nil {
			t.Fatal(err)
		}
		if got := p(kafka.TopicPartition{}, &kafka.Record{Value: value}); got != (string(value) == "text") {
			t.Errorf("%q: %v", value, got)
		}
	}
	for expression, says := range map[string]string{`value.`: "Syntax error", `colour == 1`: "undeclared reference", `1 + 1`: "must say true or false", `key`: "must say true or false"} {
		if _, err := compile(expression); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", expression, err)
		}
	}
}
