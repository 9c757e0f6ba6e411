//go:build integration && unix

package jsonvalue_test

import (
	_ "embed"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

var (
	pairs = flag.Int("pairs", 5000, "how many schemas and documents another implementation is asked about")
	seed  = flag.Uint64("seed", 0, "what the schemas and documents are made from (default: the time)")
)

//go:embed testdata/peer.py
var peer string

// What is valid here is valid for another implementation, that of Python, and the other way round: over schemas and documents that are made up
// of each other's parts, so that some fit and some do not.
//
// Mutation seen to fail it: Parse without enumsOnce.
func TestAnotherImplementationSaysTheSame(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	g := generator{rand.New(rand.NewPCG(*seed, 0))}
	var all [][2]json.RawMessage // a schema and a document
	for range *pairs {
		all = append(all, [2]json.RawMessage{g.json(g.schema(3)), g.json(g.document(3))})
	}
	answers := strings.Fields(registrytest.Ask(t, registrytest.Confluent(t, peer), all).String())
	if len(answers) != len(all) {
		t.Fatalf("%d answers to %d questions", len(answers), len(all))
	}
	count, differ := map[string]int{}, 0
	for i, p := range all {
		verdict := "true"
		if schema, err := jsonvalue.Parse(string(p[0]), nil); err != nil {
			verdict = "null"
		} else if jsonvalue.Check(schema, p[1]) != nil {
			verdict = "false"
		}
		count[verdict]++
		if verdict != answers[i] {
			if differ++; differ <= 10 {
				t.Errorf("%s by %s: %s, and the other says %s", p[1], p[0], verdict, answers[i])
			}
		}
	}
	t.Logf("seed %d: %v, %d differ", *seed, count, differ)
	if count["true"] < len(all)/10 || count["false"] < len(all)/10 {
		t.Errorf("%v: nothing is shown by documents of which nearly all have one verdict", count)
	}
}

// generator makes up schemas of draft 7 and documents. Both have few names and numbers, so that they often speak of the same.
type generator struct{ *rand.Rand }

func (g generator) json(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func (g generator) one(of ...any) any { return of[g.IntN(len(of))] }
func (g generator) name() string      { return g.one("a", "b", "ab", "", "const", "enum").(string) }
func (g generator) number() json.Number {
	return json.Number(g.one("0", "1", "-1", "2", "1.0", "0.5", "3", "1e1", "9007199254740993").(string))
}
func (g generator) count() int { return g.IntN(3) }

func (g generator) document(depth int) any {
	switch n := g.IntN(8); {
	case n == 0:
		return nil
	case n == 1:
		return g.IntN(2) == 0
	case n <= 3 || depth == 0:
		return g.one(g.name(), g.number(), "ä", "long text")
	case n == 4:
		list := []any{}
		for range g.count() {
			list = append(list, g.document(depth-1))
		}
		return list
	default:
		object := map[string]any{}
		for range g.count() + 1 {
			object[g.name()] = g.document(depth - 1)
		}
		return object
	}
}

func (g generator) schema(depth int) any {
	if depth == 0 || g.IntN(8) == 0 {
		return g.one(true, true, false, map[string]any{})
	}
	below := func() any { return g.schema(depth - 1) }
	some := func() []any {
		list := []any{below()}
		for range g.count() {
			list = append(list, below())
		}
		return list
	}
	named := func() map[string]any { return map[string]any{g.name(): below(), g.name(): below()} }
	s := map[string]any{}
	words := []func(){
		func() {
			s["type"] = g.one("object", "object", "array", "string", "integer", "number", "boolean", "null", []string{"object", "string"}, []string{"integer", "null"})
		},
		func() {
			e := g.document(1)
			s["enum"] = []any{e, g.document(2), g.document(0), e}
		},
		func() { s["const"] = g.document(1) },
		func() { s["minimum"] = g.number() },
		func() { s["exclusiveMaximum"] = g.number() },
		func() { s["multipleOf"] = g.one(1, 2, 3) },
		func() { s["minLength"] = g.count() },
		func() { s["maxLength"] = g.count() },
		func() { s["pattern"] = g.one("^a", "b$", "^$", "[a-c]") },
		func() { s["properties"] = named() },
		func() { s["patternProperties"] = map[string]any{"^a": below()} },
		func() { s["additionalProperties"] = below() },
		func() { s["propertyNames"] = below() },
		func() { s["required"] = []string{g.name()} },
		func() { s["minProperties"] = g.count() },
		func() { s["maxProperties"] = g.count() },
		func() { s["dependencies"] = map[string]any{g.name(): g.one([]string{g.name()}, below())} },
		func() { s["items"], s["additionalItems"] = some(), below() }, // the other one stumbles over additionalItems without a list of items
		func() { s["contains"] = below() },
		func() { s["uniqueItems"] = true },
		func() { s["minItems"] = g.count() },
		func() { s["maxItems"] = g.count() },
		func() { s["anyOf"] = some() },
		func() { s["oneOf"] = some() },
		func() { s["allOf"] = some() },
		func() { s["not"] = below() },
		func() { s["if"], s["then"], s["else"] = below(), below(), below() },
	}
	for range g.count() + 1 {
		words[g.IntN(len(words))]()
	}
	if s["items"] == nil && g.IntN(8) == 0 {
		s["items"] = below()
	}
	return s
}
