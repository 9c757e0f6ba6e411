package jsonscan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/jsonscan"
)

// A mistake has its place, to the member and the element.
//
// Mutation seen to fail it: names without add.
func TestAMistakeHasItsPlace(t *testing.T) {
	for document, want := range map[string]string{
		`{"lines":[{"amount":1},{"amount":tru}]}`: `$.lines[1].amount: true is misspelled`,
		`{"a":{"b":1,"b":2}}`:                     `$.a.b: the name comes twice`,
		`{"a b":[01]}`:                            `$["a b"][0]: a number begins with a digit, and with 0 only where it is the only one`,
		"{\"a\":\"\xff\"}":                        `$.a: a string has bytes that are not UTF-8`,
		`["\ud800"]`:                              `$[0]: a string has half of a surrogate pair`,
		`[1,]`:                                    `$: a comma stands before ']'`,
		`{} {}`:                                   `$: something follows the JSON document`,
		``:                                        `$: a value is wanted, and the document ends`,
		`{"a":}`:                                  `$.a: a value is wanted, and there is '}'`,
		`{"a" 1}`:                                 `$.a: ':' is wanted, and there is a number`,
		"\uFEFF{}":                                `$: a value is wanted, and there is a byte order mark, which JSON does not have: send the document without it`,
	} {
		if err := jsonscan.Check([]byte(document)); fmt.Sprint(err) != want {
			t.Errorf("%s: %v\nwant %s", document, err, want)
		}
	}
	deep := strings.Repeat("[", 201) + strings.Repeat("]", 201)
	if err := jsonscan.Check([]byte(deep)); err == nil || !strings.Contains(err.Error(), "deeper than 200") {
		t.Errorf("%v", err)
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"n%d":0`, i)
	}
	if err := jsonscan.Check([]byte("{" + strings.Join(many, ",") + `,"n39":1}`)); err == nil {
		t.Error("of many names one comes twice, and it is not found")
	}
}

// The place of an offset is that of the innermost value there; a name is part of its value.
//
// Mutation seen to fail it: a name that is no part of its value.
func TestPathOfAnOffset(t *testing.T) {
	const document = `{"a":{"b":[10,{"c":"x"}]},"d":2}`
	for at, want := range map[string]string{`"a"`: "$.a", "10": "$.a.b[0]", `"c"`: "$.a.b[1].c", "x": "$.a.b[1].c", "2}": "$.d", `},"d"`: "$.a"} {
		if got := jsonscan.AtOffset(errors.New("why"), []byte(document), strings.Index(document, at)).Error(); got != want+": why" {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// What is taken, encoding/json takes too, and reads the same strings; what is not is JSON that one of the stated limits refuses, or none.
//
// Mutation seen to fail it: control characters in strings.
func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e+3,"\u00e9\ud83d\ude00\/\n",true,false,null]}`, "\"\x01\"", `"\ud800\u0041"`, `[1 2]`, `-`, `1.`, `"\x"`, ` "a" `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := jsonscan.Check(data)
		if err == nil && (!json.Valid(data) || !utf8.Valid(data)) {
			t.Fatalf("%q is taken", data)
		}
		for offset := range min(len(data), 20) {
			_ = jsonscan.AtOffset(errors.New("why"), data, offset).Error()
		}
		s := jsonscan.New(data)
		text, err := s.String()
		if err == nil {
			err = s.End()
		}
		var want string
		switch wrong := json.Unmarshal(data, &want); {
		case s.Peek() != 0 && err != nil:
		case err == nil && (wrong != nil || string(text) != want):
			t.Fatalf("%q is read as %q, and encoding/json reads %q, %v", data, text, want, wrong)
		case err != nil && wrong == nil && utf8.Valid(data) && len(data) > 0 && data[0] == '"' && !strings.Contains(err.Error(), "surrogate"):
			t.Fatalf("%q is refused: %v", data, err)
		}
	})
}

// An error that has a place already keeps it, below what is put above it.
func TestPlacesAddUp(t *testing.T) {
	cause := errors.New("why")
	err := jsonscan.Below(jsonscan.At(jsonscan.Below(cause, "amount"), 2), "lines")
	if err.Error() != "$.lines[2].amount: why" || !errors.Is(err, cause) {
		t.Error(err)
	}
}

// A place is also a JSON pointer. However long names and texts are, what is said of a mistake is short, and the pointer leads to what lies around the mistake.
//
// Mutations seen to fail it: names that are not escaped; a name without a bound; a pointer to a part of a name; a path, a text without a bound.
func TestPlacesAreJSONPointers(t *testing.T) {
	long := strings.Repeat("é", 50_000)
	deep, want, whole := jsonscan.Place{}, "", true
	for i := range 200 {
		deep = deep.Member("child").Element(i)
		for _, token := range []string{"/child", fmt.Sprint("/", i)} {
			if whole = whole && len(want)+len(token) <= 1000; whole {
				want += token
			}
		}
	}
	for _, c := range []struct {
		place   jsonscan.Place
		pointer string
	}{
		{nil, ""},
		{jsonscan.Place{}.Member("lines").Element(2).Member("amount"), "/lines/2/amount"},
		{jsonscan.Place{}.Member("a~/b").Member("").Member(`x: "]`), `/a~0~1b//x: "]`},
		{jsonscan.Place{}.Member("a").Member(long).Member("b"), "/a"},
		{deep, want},
	} {
		err := c.place.Of(errors.New(long))
		var e *jsonscan.Error
		if !errors.As(err, &e) || e.Pointer() != c.pointer || len(err.Error()) > 1500 || !utf8.ValidString(err.Error()) {
			t.Errorf("%.100s: %.300s, %d bytes", c.pointer, e.Pointer(), len(err.Error()))
		}
	}
	if text := (jsonscan.Place{}).Member(long).Of(errors.New("why")).Error(); !strings.HasPrefix(text, `$["ééé`) || !strings.HasSuffix(text, `é..."]: why`) {
		t.Errorf("of a long name its beginning is told: %s", text)
	}
	several := jsonscan.Errors{errors.New("first"), jsonscan.Place{}.Member("a").Of(errors.New("second"))}
	if several.Error() != "first; $.a: second" || !strings.HasPrefix(jsonscan.Located(several).Error(), "first") {
		t.Error(several)
	}
}
