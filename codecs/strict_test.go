package codecs

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type strictBase struct {
	Base string `json:"base"`
	Both string
}

type strictLine struct {
	SKU    string    `json:"sku"`
	Amount int       `json:"amount"`
	At     time.Time `json:"at"`
}

type strictOrder struct {
	strictBase
	ID     string                `json:"id"`
	Lines  []strictLine          `json:"lines,omitempty"`
	Next   *strictOrder          `json:"next"`
	By     map[string]strictLine `json:"by"`
	Any    any                   `json:"any"`
	Raw    []byte                `json:"raw"`
	Two    [2]int                `json:"two"`
	Both   string
	Hidden string `json:"-"`
}

// Each thing that encoding/json passes over is refused, with its place.
func TestStrictJSONTellsWhatIsPassedOver(t *testing.T) {
	c := JSON[strictOrder](Strict())
	for document, want := range map[string]string{
		`{"id":"a","colour":1}`:          `$.colour: codecs.strictOrder has no such field`,
		`{"ID":"a"}`:                     `$.ID: the name is spelled "id"`,
		`{"id":"a","id":"b"}`:            `$.id: the name comes twice`,
		`{"lines":[{"sku":"s"},null]}`:   `$.lines[1]: null is no value of codecs.strictLine`,
		`{"lines":[{"amount":null}]}`:    `$.lines[0].amount: null is no value of int`,
		`{"by":{"k":{"Sku":"s"}}}`:       `$.by.k.Sku: the name is spelled "sku"`,
		`{"next":{"next":{"hidden":1}}}`: `$.next.next.hidden: codecs.strictOrder has no such field`,
		"{\"id\":\"\xff\"}":              `$.id: a string has bytes that are not UTF-8`,
		`{"any":{"x":1,"x":2}}`:          `$.any.x: the name comes twice`,
		`{"two":[1,null]}`:               `$.two[1]: null is no value of int`,
		`{"id":"a"} {}`:                  `$: something follows the JSON document`,
		strings.Repeat(`{"next":`, 201) + `null` + strings.Repeat("}", 201): `deeper than 200`,
	} {
		if _, err := c.Parse([]byte(document)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%.60s: %v\nwant %s", document, err, want)
		}
	}
	if _, err := c.Parse([]byte("null")); !errors.Is(err, ErrNull) {
		t.Errorf("null: %v", err)
	}
	for _, document := range []string{`{"id":"a","base":"b","Both":"c","lines":null,"next":null,"any":null,"raw":"AA==","two":[1,2],"by":null}`, `{"lines":[{"at":"2026-01-02T03:04:05Z"}]}`} {
		got, err := c.Parse([]byte(document))
		var want strictOrder
		if wrong := json.Unmarshal([]byte(document), &want); err != nil || wrong != nil || got.ID != want.ID || got.Base != want.Base || got.Both != want.Both {
			t.Errorf("%s: %+v, %v", document, got, err)
		}
	}
	if v, err := JSON[*strictOrder](Strict()).Parse([]byte("null")); v != nil || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}

// strictNames has names that encoding/json passes over: in a tag, because of a character, and of a struct that is embedded twice. An embedded
// struct with a name in its tag is a field, exported or not.
type strictNames struct {
	strictLeft
	strictRight
	strictBase `json:"named"`
	Quote      string `json:"it's"`
	Marks      string `json:"a-b.c/d:e f<g>h|i"`
}

type strictLeft struct{ strictTwice }

type strictRight struct{ strictTwice }

type strictTwice struct{ Twice, Own string }

// A strict codec knows the names that encoding/json knows: it reads what that writes, and refuses what that would pass over.
//
// Mutations, each seen to fail: tagName that takes any name; a struct that is looked at once at each depth; fields that are not exported left out.
func TestStrictJSONHasTheNamesOfEncodingJSON(t *testing.T) {
	c := JSON[strictNames](Strict())
	data, err := c.Append(nil, strictNames{strictBase: strictBase{Base: "b"}, Quote: "q", Marks: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Parse(data); err != nil || v.Quote != "q" || v.Marks != "m" || v.strictBase.Base != "b" {
		t.Errorf("%s is read as %+v, %v", data, v, err)
	}
	for _, document := range []string{`{"it's":"q"}`, `{"Twice":"t"}`, `{"Own":"o"}`} {
		if v, err := c.Parse([]byte(document)); err == nil {
			t.Errorf("%s is read as %+v", document, v)
		}
	}
}

// What a codec writes, a strict one reads; and the default one does as before.
func TestStrictJSONReadsWhatIsWritten(t *testing.T) {
	strict, plain := JSON[strictOrder](Strict()), JSON[strictOrder]()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~é€]{0,5}`)
		draw := func() strictOrder {
			v := strictOrder{ID: text.Draw(t, "id"), Both: text.Draw(t, "both"), Any: text.Draw(t, "any"), Raw: []byte(text.Draw(t, "raw"))}
			v.Base = text.Draw(t, "base")
			for range rapid.IntRange(0, 2).Draw(t, "lines") {
				v.Lines = append(v.Lines, strictLine{SKU: text.Draw(t, "sku"), Amount: rapid.Int().Draw(t, "amount")})
			}
			return v
		}
		v := draw()
		next := draw()
		v.Next = &next
		v.By = map[string]strictLine{text.Draw(t, "key"): {}}
		data, err := strict.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := strict.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		again, err1 := plain.Append(nil, got)
		if err1 != nil || string(again) != string(data) {
			t.Fatalf("%s is read as %s", data, again)
		}
	})
	if v, err := plain.Parse([]byte(`{"ID":"a","colour":1,"lines":null}`)); err != nil || v.ID != "a" {
		t.Errorf("the default codec: %+v, %v", v, err)
	}
}
