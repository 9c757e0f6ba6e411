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
		`^\u{1f600}+$`:                     {[]string{"😀😀"}, []string{"😁"}},
		`^\p{Script=Greek}+$`:              {[]string{"αβ"}, []string{"ab"}},
		`^a|[]$`:                           {[]string{"a"}, []string{"", "[]"}},
		`^(?!a)b|c`:                        {[]string{"b", "ac"}, []string{"ab"}},
		`a(?!b)`:                           {[]string{"a", "ba", "aba"}, []string{"ab", ""}},
		`(?<!a)b`:                          {[]string{"b", "cb", "abb"}, []string{"ab"}},
		`(?<=€)[0-9]+$`:                    {[]string{"x€12"}, []string{"12", "$12"}},
		`^[a-z]+(?:-(?=[a-z])[a-z]+)*$`:    {[]string{"a", "a-b"}, []string{"a-", "a--b"}},
		`^(?=a(?!b))a`:                     {[]string{"ac"}, []string{"ab"}},
		`^(?:(?!--)[a-z-])+$`:              {[]string{"a-b-"}, []string{"a--b"}},
	} {
		text, _ := json.Marshal(map[string]any{"type": "string", "pattern": pattern})
		s, err := jsonvalue.Compile(string(text), nil)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for _, want := range []bool{true, false} {
			for _, v := range map[bool][]string{true: c.yes, false: c.no}[want] {
				text, _ := json.Marshal(v)
				if err := s.Check(text); (err == nil) != want {
					t.Errorf("%s of %q: %v", pattern, v, err)
				}
			}
		}
	}
	for _, pattern := range []string{`(a)\1`, `^a{1,1001}$`, `^(?!`} {
		text, _ := json.Marshal(map[string]any{"pattern": pattern})
		if _, err := jsonvalue.Compile(string(text), nil); err == nil || !strings.Contains(err.Error(), "patterns are those of RE2") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
