package jsonvalue_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// Patterns of ECMA-262 that RE2 does not have are taken where they can be said without; the others are refused, with what is taken.
//
// Mutations seen to fail it: conditions whose sense is not looked at; a condition that is not bound to the start; alternatives that are not
// looked for; surrogates one by one.
func TestPatternsOfECMA262(t *testing.T) {
	for pattern, c := range map[string]struct{ yes, no []string }{
		`^(?!x).*$`:                        {[]string{"", "ax"}, []string{"x", "xa"}},
		`^(?=.*[0-9])(?=.*[a-z])[^ ]{4,}$`: {[]string{"abc1", "1xyz"}, []string{"abcd", "1234", "a1", "ab 1"}},
		`^(?!(a|b\)|[)c])$)[a-z)]+$`:       {[]string{"ab", "d"}, []string{"a", "b)", "c", ")"}},
		`^(?!test$)(?!.*--)[a-z-]+$`:       {[]string{"tests", "a-b"}, []string{"test", "a--b"}},
		`^\u00e9\cJ$`:                      {[]string{"é\n"}, []string{"e\n"}},
		`^\ud83d\ude00+$`:                  {[]string{"😀😀"}, []string{"😁"}},
		`^a[^]b$`:                          {[]string{"a\nb", "axb"}, []string{"ab"}},
		`^\\u00e9$`:                        {[]string{`\u00e9`}, []string{"é"}},
	} {
		text, _ := json.Marshal(map[string]any{"type": "string", "pattern": pattern})
		s, err := jsonvalue.Parse(string(text), nil)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for _, want := range []bool{true, false} {
			for _, v := range map[bool][]string{true: c.yes, false: c.no}[want] {
				if err := jsonvalue.CheckValue(s, v); (err == nil) != want {
					t.Errorf("%s of %q: %v", pattern, v, err)
				}
			}
		}
	}
	for _, pattern := range []string{`^(?!a)b|c`, `a(?!b)`, `(?<!a)b`, `(a)\1`, `^a{1,1001}$`, `^(?=a(?!b))a`, `^(?!`} {
		text, _ := json.Marshal(map[string]any{"pattern": pattern})
		if _, err := jsonvalue.Parse(string(text), nil); err == nil || !strings.Contains(err.Error(), "patterns are those of RE2") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
