package protovalue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/protovalue"
	_ "github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/internal/schema/source"
)

func numbers(n int, of string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(of, i)
	}
	return strings.Join(all, ",")
}

const once = "this.all(a, this.exists_one(b, a == b))"

func compiled(t *testing.T, text string, imports ...source.Import) func(document string) error {
	t.Helper()
	file, err := protovalue.Compile(`syntax = "proto3"; import "buf/validate/validate.proto"; `+text, imports)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	f, err := protovalue.Of(file)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	m, err := f.Message(nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(document string) error {
		_, err := f.Append(nil, m, []byte(document))
		return err
	}
}

// A message whose rules would take for ever is refused after a number of steps, wherever the rule stands and whatever in it takes them.
//
// Mutations seen to fail it: predefined rules that are not counted, and loops that all count as one with the loop around them (both by a test that does not
// end); keys or elements left out; a pattern as one step; a list that is made taken for one of the message.
func TestRulesTakeBoundedSteps(t *testing.T) {
	defer protovalue.FewSteps()()
	predefined := source.Import{Name: "once.proto", Text: `syntax = "proto2"; import "buf/validate/validate.proto";
		extend buf.validate.RepeatedRules { optional bool once = 80048952 [(buf.validate.predefined).cel = {id: "once", expression: "!rule || this.all(a, this.exists_one(b, a == b))"}]; }`}
	cel := func(expression string) string {
		return `(buf.validate.field).cel = {id: "x", expression: "` + expression + `"}`
	}
	objects := `[` + numbers(100_000, `{"n":%d}`) + `]`
	for name, c := range map[string]struct{ text, document, path string }{
		"of a list":                   {`message M { repeated int32 l = 1 [` + cel(once) + `]; }`, `{"l":[` + numbers(100_000, "%d") + `]}`, "$.l"},
		"in one line":                 {`message M { repeated int32 l = 1 [(buf.validate.field).cel_expression = "` + once + `"]; }`, `{"l":[` + numbers(100_000, "%d") + `]}`, "$.l"},
		"of a message":                {`message M { option (buf.validate.message).cel = {id: "x", expression: "this.l.all(a, this.l.exists_one(b, a == b))"}; repeated int32 l = 1; }`, `{"l":[` + numbers(100_000, "%d") + `]}`, "$"},
		"of messages":                 {`message M { repeated N l = 1 [` + cel("this.all(a, this.exists_one(b, a.n == b.n))") + `]; } message N { int32 n = 1; }`, `{"l":` + objects + `}`, "$.l"},
		"of whole messages":           {`message M { repeated N l = 1 [` + cel(once) + `]; } message N { int32 n = 1; }`, `{"l":` + objects + `}`, "$.l"},
		"of a map":                    {`message M { map<string, N> l = 1 [` + cel("this.all(a, this.exists_one(b, this[a].n == this[b].n))") + `]; } message N { int32 n = 1; }`, `{"l":{` + numbers(20_000, `"%[1]d":{"n":%[1]d}`) + `}}`, "$.l"},
		"below":                       {`message M { map<string, N> by = 1; repeated N all = 2; N one = 3; } message N { repeated int32 l = 1 [` + cel(once) + `]; }`, `{"one":{"l":[` + numbers(20_000, "%d") + `]}}`, "$.one.l"},
		"below a list":                {`message M { map<string, N> by = 1; repeated N all = 2; N one = 3; } message N { repeated int32 l = 1 [` + cel(once) + `]; }`, `{"all":[{"l":[` + numbers(20_000, "%d") + `]}]}`, "$.all[0].l"},
		"below a map":                 {`message M { map<string, N> by = 1; repeated N all = 2; N one = 3; } message N { repeated int32 l = 1 [` + cel(once) + `]; }`, `{"by":{"a":{"l":[` + numbers(20_000, "%d") + `]}}}`, "$.by.a.l"},
		"in many":                     {`message M { repeated N all = 1; } message N { repeated int32 l = 1 [` + cel(once) + `]; }`, `{"all":[` + numbers(2000, `{"l":[%d,`+numbers(60, "7%d")+`]}`) + `]}`, "$.all[8].l"},
		"of itself":                   {`message M { M m = 1; repeated int32 l = 2 [` + cel(once) + `]; }`, `{"m":{"m":{"l":[` + numbers(20_000, "%d") + `]}}}`, "$.m.m.l"},
		"in a list":                   {`message M { repeated int32 l = 1 [` + cel("this.all(a, (a + 1) in this)") + `]; }`, `{"l":[` + numbers(100_000, "%d") + `]}`, "$.l"},
		"three loops":                 {`message M { repeated int32 l = 1 [` + cel("this.all(a, this.all(b, this.all(c, a + b != c - 5000)))") + `]; }`, `{"l":[` + numbers(300, "%d") + `]}`, "$.l"},
		"a pattern":                   {`message M { string p = 1; string s = 2; option (buf.validate.message).cel = {id: "x", expression: "this.s.matches(this.p)"}; }`, `{"s":"` + strings.Repeat("a", 400_000) + `","p":"` + strings.Repeat("a?", 20_000) + `"}`, "$"},
		"a text in each":              {`message M { repeated string l = 1; string s = 2; option (buf.validate.message).cel = {id: "x", expression: "this.l.all(a, !this.s.contains(a))"}; }`, `{"l":[` + numbers(50_000, `"some text that is none %d"`) + `],"s":"` + strings.Repeat("some text ", 50_000) + `"}`, "$"},
		"a name that the program has": {`package google.rpc; message Status { repeated int32 numbers = 9 [` + cel(once) + `]; }`, `{"numbers":[` + numbers(20_000, "%d") + `]}`, "$.numbers"},
		"a list that is made":         {`message M { repeated int32 l = 1 [` + cel("this.map(a, this).all(b, b.all(c, c >= 0))") + `]; }`, `{"l":[` + numbers(20_000, "%d") + `]}`, "$.l"},
		"lists in a list":             {`message M { repeated int32 l = 1 [` + cel("[this].all(b, b.all(c, this.exists_one(d, c == d)))") + `]; }`, `{"l":[` + numbers(20_000, "%d") + `]}`, "$.l"},
		"predefined":                  {`import "once.proto"; message M { repeated int32 l = 1 [(buf.validate.field).repeated.(once) = true]; }`, `{"l":[` + numbers(100_000, "%d") + `]}`, "$.l"},
		"of keys":                     {`message M { map<string, int32> l = 1 [(buf.validate.field).map.keys = {cel: {id: "x", expression: "this.split('').all(a, this.split('').exists(b, a == b))"}}]; }`, `{"l":{"` + strings.Repeat("ab", 10_000) + `":1}}`, "$.l"},
		"of elements":                 {`message M { repeated string l = 1 [(buf.validate.field).repeated.items = {cel: {id: "x", expression: "this.split('').all(a, this.split('').exists(b, a == b))"}}]; }`, `{"l":["` + strings.Repeat("ab", 10_000) + `"]}`, "$.l[0]"},
		"of entries":                  {`message M { map<string, string> l = 1 [(buf.validate.field).map.values = {cel: {id: "x", expression: "this.split('').all(a, this.split('').exists(b, a == b))"}}]; }`, `{"l":{"a":"` + strings.Repeat("ab", 10_000) + `"}}`, "$.l.a"},
	} {
		check := compiled(t, c.text, predefined)
		err := check(c.document)
		if !errors.Is(err, protovalue.ErrSteps) || !strings.HasPrefix(err.Error(), c.path+": too many steps: the rule ") || !strings.Contains(err.Error(), "send fewer elements") {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

// Rules that ordinary schemas have take what an honest message needs, and say what they said before.
//
// Mutation seen to fail it: a tenth of the steps.
func TestAnHonestMessageHasStepsEnough(t *testing.T) {
	cel := func(expression string) string {
		return `(buf.validate.field).cel = {id: "x", expression: "` + expression + `"}`
	}
	lines := func(n int) string { return numbers(n, `{"sku":"sku-%d","qty":1,"tags":["a","b"]}`) }
	message := func(expression string) string {
		return `message M { option (buf.validate.message).cel = {id: "x", message: "broken", expression: "` + expression + `"}; repeated Line lines = 1; string kind = 2; } message Line { string sku = 1; int32 qty = 2; repeated string tags = 3; }`
	}
	for name, c := range map[string]struct{ text, document, err string }{
		"a loop":               {message("this.lines.all(l, l.qty > 0 && l.sku.matches('^sku-[0-9]+$') && l.sku != this.kind)"), `{"lines":[` + lines(20_000) + `]}`, ""},
		"a loop in an element": {message("this.lines.all(l, l.tags.all(t, t.size() < 10 && t in ['a', 'b']))"), `{"lines":[` + lines(20_000) + `]}`, ""},
		"each with each":       {message("this.lines.all(l, this.lines.exists_one(m, m.sku == l.sku))"), `{"lines":[` + lines(500) + `]}`, ""},
		"not looked at":        {message("this.kind != 'k' || this.lines.all(l, this.lines.exists_one(m, m.sku == l.sku))"), `{"kind":"other","lines":[` + lines(20_000) + `]}`, ""},
		"after the size":       {message("this.lines.size() < 100 && this.lines.all(l, this.lines.exists_one(m, m.sku == l.sku))"), `{"lines":[` + lines(20_000) + `]}`, "$: broken"},
		"ends early":           {message("this.lines.all(l, !this.lines.exists(m, m.sku == l.sku))"), `{"lines":[` + lines(20_000) + `]}`, "$: broken"},
		"unique":               {`message M { repeated int32 l = 1 [(buf.validate.field).repeated.unique = true, ` + cel("this.unique() && this.all(a, a >= 0)") + `]; }`, `{"l":[` + numbers(100_000, "%d") + `]}`, ""},
	} {
		err := compiled(t, c.text)(c.document)
		if text := fmt.Sprint(err); err == nil && c.err != "" || err != nil && text != c.err {
			t.Errorf("%s: %.300v, want %s", name, err, c.err)
		}
	}
}
