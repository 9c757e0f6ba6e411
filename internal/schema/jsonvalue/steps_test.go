package jsonvalue_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// nested is a document with others in it, some levels deep.
func nested(levels int, before, innermost, after string) string {
	return strings.Repeat(before, levels) + innermost + strings.Repeat(after, levels)
}

// levels is a schema of some levels, each of which looks at the next one with each of two keywords.
func levels(n int, level, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"l%d":%s,`, i, strings.ReplaceAll(level, "NEXT", fmt.Sprintf(`{"$ref":"#/definitions/l%d"}`, i+1)))
	}
	return fmt.Sprintf(`{"definitions":{%s"l%d":%s},"allOf":[{"$ref":"#/definitions/l0"}]}`, b.String(), n, last)
}

const alternative = `{"type":"object","properties":{"child":{"REF"}},"allOf":[{"properties":{"kind":{"const":"KIND"}},"required":["kind"]}]}`

// kinds is a schema of a tree whose nodes are of several kinds, as generators write it: a base and what tells the kinds apart.
func kinds(head, ref string, of ...string) string {
	var all []string
	for _, k := range of {
		all = append(all, strings.ReplaceAll(strings.ReplaceAll(alternative, `"REF"`, ref), "KIND", k))
	}
	return `{` + head + `"oneOf":[` + strings.Join(all, ",") + `]}`
}

func list(n int, element func(int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = element(i)
	}
	return "[" + strings.Join(all, ",") + "]"
}

// A document that would take for ever is refused after a number of steps that its length alone decides, whatever in the schema makes it so.
//
// Mutations seen to fail it (most by a test that does not end):
func TestADocumentTakesBoundedSteps(t *testing.T) {
	const tree = `{"kind":"a","child":`
	for name, c := range map[string]struct{ schema, document string }{
		"alternatives of a tree":        {kinds("", `"$ref":"#"`, "a", "b"), nested(60, tree, `{"kind":"a"}`, "}")},
		"none of them fits":             {kinds("", `"$ref":"#"`, "a", "b"), nested(60, tree, `{"kind":"c"}`, "}")},
		"a recursive reference":         {kinds(`"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveAnchor":true,`, `"$recursiveRef":"#"`, "a", "b"), nested(60, tree, `{"kind":"a"}`, "}")},
		"a dynamic reference":           {kinds(`"$schema":"https://json-schema.org/draft/2020-12/schema","$dynamicAnchor":"n",`, `"$dynamicRef":"#n"`, "a", "b"), nested(60, tree, `{"kind":"a"}`, "}")},
		"one to a schema of that alone": {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$dynamicRef":"#n","$defs":{"x":` + kinds(`"$dynamicAnchor":"n",`, `"$dynamicRef":"#n"`, "a", "b") + `}}`, nested(60, tree, `{"kind":"a"}`, "}")},
		"one that another resource has": {`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/r","$ref":"inner","$defs":{"inner":{"$id":"inner","$dynamicRef":"#n","$defs":{"d":{"$dynamicAnchor":"n"}}},"x":` +
			kinds(`"$dynamicAnchor":"n",`, `"$dynamicRef":"#n"`, "a", "b") + `}}`, nested(60, tree, `{"kind":"a"}`, "}")},
		"allOf":                  {levels(40, `{"allOf":[NEXT,NEXT]}`, `{"type":"object"}`), `{"a":1}`},
		"of a text":              {levels(40, `{"allOf":[NEXT,NEXT]}`, `{"type":"string"}`), `"a"`},
		"anyOf that fails":       {levels(40, `{"anyOf":[NEXT,NEXT]}`, `{"type":"array"}`), `{"a":1}`},
		"if and then":            {levels(40, `{"if":NEXT,"then":NEXT}`, `{"type":"object"}`), `{"a":1}`},
		"not":                    {levels(40, `{"not":NEXT,"allOf":[{"not":NEXT}]}`, `{"type":"array"}`), `{"a":1}`},
		"dependencies that fail": {levels(40, `{"dependencies":{"a":NEXT,"b":NEXT}}`, `{"type":"array"}`), `{"a":1,"b":1}`},
		"patterns of properties": {`{"patternProperties":{"a":{"$ref":"#"},"^a":{"$ref":"#"},"b":false}}`, nested(60, `{"a":`, `{"b":1}`, "}")},
		"contains":               {`{"items":{"$ref":"#"},"contains":{"$ref":"#"}}`, nested(60, "[", "[]", "]")},
		"names":                  {levels(40, `{"propertyNames":NEXT,"allOf":[NEXT,NEXT]}`, `{}`), `{"a":1}`},
		"a long pattern":         {`{"items":{"pattern":"^.{0,1000}.{0,1000}.{0,1000}.{0,1000}$"}}`, list(1, func(int) string { return `"` + strings.Repeat("a", 1_000_000) + `"` })},
		"numbers of a long enum": {`{"items":{"anyOf":[{"enum":` + list(2000, func(i int) string { return fmt.Sprint(i) }) + `},true]}}`,
			list(2000, func(i int) string { return fmt.Sprint(5000 + i) })},
		"exponents": {`{"items":{"anyOf":[{"multipleOf":0.7},{"maximum":1e-3},{"type":"integer"},true]}}`, list(50_000, func(int) string { return "1e-999" })},
		"unevaluated": {`{"$schema":"https://json-schema.org/draft/2020-12/schema","unevaluatedProperties":true,"not":{"anyOf":` + list(500, func(int) string { return `{"type":"array"}` }) + `}}`,
			"{" + strings.Trim(list(50_000, func(i int) string { return fmt.Sprintf(`"p%d":1`, i) }), "[]") + "}"},
	} {
		s, err := jsonvalue.Compile(c.schema, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = s.Check([]byte(c.document))
		if !errors.Is(err, jsonvalue.ErrSteps) || !strings.Contains(err.Error(), "nest the value less deep") {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

// A value that an ordinary schema describes is taken, however large it is.
//
// Mutations seen to fail it: a step for each byte; a hundred steps for each element.
func TestAnHonestDocumentHasStepsEnough(t *testing.T) {
	var kinds []string
	for i := range 60 {
		kinds = append(kinds, fmt.Sprintf(`{"type":"object","properties":{"kind":{"const":"k%d"},"id":{"type":"integer","minimum":1},"name":{"type":"string","minLength":1,"pattern":"^[a-z ]{1,64}$"},"tags":{"type":"array","uniqueItems":true,"items":{"enum":["a","b","c"]}}},"required":["kind","id"],"additionalProperties":false}`, i))
	}
	for name, c := range map[string]struct{ schema, document string }{
		"numbers":  {`{"type":"array","items":{"type":"integer","minimum":0,"maximum":1000000}}`, list(150_000, func(i int) string { return fmt.Sprint(100_000 + i) })},
		"decimals": {`{"type":"array","items":{"type":"number","multipleOf":0.01}}`, list(150_000, func(i int) string { return fmt.Sprintf("%d.%02d", i, i%100) })},
		"short":    {`{"type":"array","items":{"enum":[0,1,2,3]}}`, list(500_000, func(i int) string { return fmt.Sprint(i % 4) })},
		"objects":  {`{"type":"array","items":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}`, list(100_000, func(i int) string { return fmt.Sprintf(`{"a":%d}`, i) })},
		"a union": {`{"type":"array","items":{"oneOf":[` + strings.Join(kinds, ",") + `]}}`, list(10_000, func(i int) string {
			return fmt.Sprintf(`{"kind":"k%d","id":%d,"name":"some name of a thing","tags":["a","b"],"tags":["a","b"]}`, i%60, i+1)
		})},
		"different": {`{"type":"array","uniqueItems":true}`, list(100_000, func(i int) string { return fmt.Sprintf(`["%d"]`, i) })},
		"a map":     {`{"type":"object","propertyNames":{"pattern":"^[a-z][a-z0-9]*$"},"patternProperties":{"^a":{"type":"integer"},"^b":{"type":"string"}},"additionalProperties":{"type":"boolean"}}`, "{" + strings.Trim(list(100_000, func(i int) string { return fmt.Sprintf(`"a%d":%d`, i, i) }), "[]") + "}"},
		"a text":    {`{"type":"object","properties":{"file":{"type":"string","pattern":"^[A-Za-z0-9+/]*={0,2}$","maxLength":2000000}}}`, `{"file":"` + strings.Repeat("QUJD", 300_000) + `"}`},
		"a tree":    {`{"type":"object","properties":{"id":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["id"]}`, nested(90, `{"id":1,"children":[`, `{"id":2}`, "]}")},
		"unevaluated": {`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"array","items":{"$ref":"#/$defs/c"},"$defs":{"b":{"properties":{"id":{"type":"integer"}}},"c":{"allOf":[{"$ref":"#/$defs/b"}],"properties":{"name":{"type":"string"}},"unevaluatedProperties":false}}}`,
			list(40_000, func(i int) string { return fmt.Sprintf(`{"id":%d,"name":"x"}`, i) })},
	} {
		s, err := jsonvalue.Compile(c.schema, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		document := strings.ReplaceAll(c.document, `,"tags":["a","b"],"tags"`, `,"tags"`)
		if err := s.Check([]byte(document)); err != nil {
			t.Errorf("%s, %d bytes: %.200v", name, len(document), err)
		}
	}
}

// What is wrong with a document is told in bounded work as well: how much is wrong with it does not matter.
//
// Mutations seen to fail it: more steps for the reasons than for the verdict; the two verdicts mixed up.
func TestMistakesAreToldInBoundedWork(t *testing.T) {
	s, err := jsonvalue.Compile(`{"type":"array","items":{"anyOf":`+list(100, func(i int) string { return fmt.Sprintf(`{"properties":{"a":{"const":%d}},"not":{}}`, i) })+`}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	document := list(1000, func(int) string { return `{"a":-1}` })
	if err := s.Check([]byte(document)); err == nil || errors.Is(err, jsonvalue.ErrSteps) || !strings.Contains(err.Error(), "where takes too long to say") {
		t.Errorf("%.200v", err)
	}
	if err := s.Check([]byte(`[{"a":-1}]`)); err == nil || !strings.HasPrefix(err.Error(), "$[0]") {
		t.Errorf("%.200v", err)
	}
}

// Counting changes no verdict and no text: both are those of the library. Schemas are of each draft, with references to themselves.
//
// Mutation seen to fail it: items of which none are the same.
func TestCountingChangesNoVerdict(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 0)), false}
	for range 3000 {
		schema, ok := g.schema(3).(map[string]any)
		if !ok {
			continue
		}
		draft := g.one("http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema").(string)
		whole := map[string]any{"$schema": draft, "definitions": map[string]any{"a": schema, "b": g.schema(2)}, "properties": map[string]any{"a": map[string]any{"$ref": "#"}, "b": map[string]any{"$ref": "#/definitions/b"}}, "allOf": []any{map[string]any{"$ref": "#/definitions/a"}}}
		if g.IntN(3) == 0 {
			whole["unevaluatedProperties"] = g.schema(1)
		}
		text := g.json(whole)
		plain, err := jsonvalue.Parse(string(text), nil)
		counted, err2 := jsonvalue.Compile(string(text), nil)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%s: %v, %v", text, err, err2)
		} else if err != nil {
			continue // an enum is no schema of draft 4, and so on
		}
		for range 5 {
			document := g.json(g.document(3))
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
			if err != nil {
				t.Fatal(err)
			}
			err = counted.Check(document)
			if want := plain.Validate(v); (err == nil) != (want == nil) || errors.Is(err, jsonvalue.ErrSteps) {
				t.Errorf("%s by %s: %v, without counting %v", document, text, err, want)
			}
		}
	}
}

// Many goroutines may check by one schema: each has its own count.
//
// Mutation seen to fail it: one checker for all.
func TestASchemaIsForManyGoroutines(t *testing.T) {
	s, err := jsonvalue.Compile(`{"items":{"type":"integer","format":"x"},"uniqueItems":true}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				if err := s.Check([]byte(list(100, func(n int) string { return fmt.Sprint(n + i) }))); err != nil {
					t.Error(g, err)
				}
				if err := s.Check([]byte(`["a"]`)); err == nil || err.Error() != "$[0]: got string, want integer" {
					t.Error(g, err)
				}
			}
		})
	}
	all.Wait()
}

// Items are the same when JSON Schema says so, whatever they are written like, and values that are made to look alike are not.
//
// Mutations seen to fail it: numbers with their zeros; texts without their length; members in the order of the document; the sign of a number left out.
func TestItemsAreTheSame(t *testing.T) {
	s, err := jsonvalue.Compile(`{"uniqueItems":true}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for document, same := range map[string]bool{
		`[1,1.0]`: true, `[100,1e2]`: true, `[0,-0.0]`: true, `[0.01,1e-2]`: true, `[12300,1.23e4]`: true, `[1,-1]`: false, `[1,10]`: false, `[0.1,0.01]`: false,
		`[{"a":1,"b":2},{"b":2,"a":1}]`: true, `[{"a":"b"},{"b":"a"}]`: false, `[{},[]]`: false, `[[],[[]]]`: false, `[null,false,"",0,[],{}]`: false,
		`[["as","b"],["a","sb"]]`: false, `["1",1]`: false, `[true,false]`: false, `["a","a"]`: true, `[[1,[2]],[1,[2.0]]]`: true, `[[1,2],[12]]`: false,
	} {
		for _, document := range []string{document, "[1e3,2e3,3e3,4e3,5e3,6e3,7e3,8e3,9e3,11e3,12e3,13e3,14e3,15e3,16e3,17e3,18e3,19e3,21e3," + document[1:]} { // both ways to look
			if err := s.Check([]byte(document)); (err != nil) != same {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
	made := list(30_000, func(i int) string { // values of which the library's hash is one
		var b strings.Builder
		for bit := range 15 {
			if b.WriteString("a"); i>>bit&1 == 1 {
				b.WriteString(`","`)
			} else {
				b.WriteString(`\u0004`)
			}
		}
		return `["` + b.String() + `"]`
	})
	if err := s.Check([]byte(strings.ReplaceAll(made, `\u`, `\u`))); err != nil {
		t.Errorf("%.200v", err)
	}
}
