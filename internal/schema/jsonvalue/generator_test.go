package jsonvalue_test

import (
	"encoding/json"
	"math/rand/v2"
)

// generator makes up schemas of draft 7 and documents. Both have few names and numbers, so that they often speak of the same.
type generator struct {
	*rand.Rand
	refers bool // schemas refer to #/definitions/some
}

// whole is a schema, with what it refers to.
func (g generator) whole(depth int) any {
	s, ok := g.schema(depth).(map[string]any)
	if !ok || !g.refers {
		return s
	}
	g.refers = false
	s["definitions"] = map[string]any{"some": g.schema(1)}
	return s
}

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
	if g.refers && g.IntN(8) == 0 {
		s["$ref"] = "#/definitions/some"
	}
	if s["items"] == nil && g.IntN(8) == 0 {
		s["items"] = below()
	}
	return s
}
