package jsonschema_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/weirstream/weir/codecs/jsonschema"
)

// cost is the memory that reading takes.
func cost(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const treeSchema = `{"type":"object","properties":{"n":{"type":"number","multipleOf":0.01},"s":{"type":"string","pattern":"^(a+)+$"},"l":{"type":"array","items":{"$ref":"#"},"uniqueItems":true}}}`

// Documents that are deep, or have numbers that are expensive to calculate with, are an error, and cost what they hold. Patterns take linear
// time: the engine does not go back.
//
// Mutation seen to fail it: tooLong that lets all numbers pass.
func TestHostileDocumentsAreAnErrorAndCostNothing(t *testing.T) {
	codec := jsonschema.Of[any](treeSchema)
	_, _ = codec.Parse([]byte(`{}`))
	for name, data := range map[string]string{
		"a million lists":            `{"l":` + strings.Repeat("[", 1_000_000),
		"a million objects":          strings.Repeat(`{"l":[`, 1_000_000),
		"an exponent of a billion":   `{"n":1e1000000000}`,
		"an exponent below nothing":  `{"n":1e-1000000000}`,
		"a number of a megabyte":     `{"n":` + strings.Repeat("9", 1<<20) + `}`,
		"a pattern that is met late": `{"s":"` + strings.Repeat("a", 100_000) + `!"}`,
		"a name that comes twice":    `{"n":1,"n":2}`,
		"no UTF-8":                   "{\"s\":\"\xff\"}",
		"half a surrogate":           `{"s":"\ud800"}`,
		"two documents":              `{} {}`,
	} {
		var err error
		spent := cost(func() { _, err = codec.Parse([]byte(data)) })
		if err == nil {
			t.Errorf("%s: it is read", name)
		}
		if spent > 256<<10+200*uint64(len(data)) {
			t.Errorf("%s: %d bytes cost %d", name, len(data), spent)
		}
	}
}

// Any document is read or is an error; what is read is written, and read again as the same.
func FuzzParse(f *testing.F) {
	codec := jsonschema.Of[any](treeSchema)
	for _, seed := range []string{`{"n":1.25,"s":"aa","l":[{"n":0},{}]}`, `{"n":1e300}`, `[]`, `{"l":[{"l":[{"l":[]}]}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Parse(data)
		if err != nil {
			return
		}
		once, err := codec.Append(nil, v)
		if err != nil {
			if n := string(data); strings.ContainsAny(n, "eE.0") {
				return // a number that a float64 has in another way may be no multiple any more
			}
			t.Fatalf("%s was read, and is not written: %v", data, err)
		}
		again, err := codec.Parse(once)
		if err != nil {
			t.Fatalf("%s was written, and is not read: %v", once, err)
		}
		a, _ := json.Marshal(v)
		if b, _ := json.Marshal(again); string(a) != string(b) {
			t.Fatalf("%s, then %s", a, b)
		}
	})
}
