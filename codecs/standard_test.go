package codecs

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// standard reads a document as each of many types, and compares with encoding/json what is read, and what is then written.
var standard = []func(fatal, []byte){
	is[shape](), is[any](), is[map[string]any](), is[[]any](), is[*any](), is[bool](), is[int8](), is[uint64](), is[float32](), is[string](), is[time.Time](), is[time.Duration](),
	is[json.Number](), is[map[string]json.Number](), is[json.RawMessage](), is[[]json.RawMessage](), is[map[int]string](), is[map[uint8][]int](), is[map[place]int](),
	is[[]byte](), is[[2]int](), is[[]place](), is[place](), is[*place](), is[optional](), is[outer](), is[*outer](), is[quoted](), is[omits](), is[mixed](), is[folds](), is[[]folds](), is[struct{ M map[string]*folds }](),
}

type fatal interface{ Fatalf(string, ...any) }

func is[T any]() func(fatal, []byte) {
	c := JSON[T]()
	return func(t fatal, data []byte) {
		parsesAsJSON(t, c, data)
		if v, err := c.Parse(data); err == nil {
			writesAsJSON(t, c, v)
		}
	}
}

func parses[T any]() func(fatal, []byte) {
	c := JSON[T]()
	return func(t fatal, data []byte) { parsesAsJSON(t, c, data) }
}

// writesAsJSON compares Append with json.Marshal: the same bytes, or an error from both that says the same.
func writesAsJSON[T any](t fatal, c Codec[T], v T) {
	want, wantErr := json.Marshal(&v)
	got, err := c.Append([]byte("before"), v)
	switch {
	case errors.Is(err, ErrNull) && string(want) == "null": // no value of the type, whatever json makes of it
	case (err == nil) != (wantErr == nil) || err != nil && !strings.HasSuffix(err.Error(), wantErr.Error()):
		t.Fatalf("%T %+v: %v, json says %v", v, v, err, wantErr)
	case err == nil && string(got) != "before"+string(want):
		t.Fatalf("%T %+v: %s, json says %s", v, v, got, want)
	}
}

// place is text, as a value and as a key.
type place struct{ x, y byte }

func (p place) MarshalText() ([]byte, error) { return []byte{'<', p.x, p.y}, nil }

func (p *place) UnmarshalText(text []byte) error {
	if len(text) != 3 {
		return errors.New("no place")
	}
	p.x, p.y = text[1], text[2]
	return nil
}

type inner struct {
	A int
	B string `json:"b,omitempty"`
}

type Middle struct {
	inner
	*Deepest
	A string
}

type Deepest struct {
	B, C int
	inner
}

// outer has fields that hide each other.
type outer struct {
	Middle
	time.Time `json:"when"`
	C         *int `json:"c"`
}

type quoted struct {
	N int     `json:"n,string"`
	F float64 `json:"f,string,omitempty"`
	S string  `json:"s,string"`
	B *bool   `json:"b,string"`
}

type omits struct {
	T time.Time         `json:"t,omitzero"`
	N int               `json:"n,omitzero"`
	S []int             `json:"s,omitempty"`
	M map[string]string `json:"m,omitzero"`
	A [0]int            `json:"a,omitempty"`
	E struct{}          `json:"e,omitempty"`
	I any               `json:"i,omitempty"`
}

type mixed struct {
	Any  any             `json:"any"`
	Err  error           `json:"err,omitempty"`
	Raw  json.RawMessage `json:"raw,omitempty"`
	Num  json.Number     `json:"num,omitempty"`
	Kept optional        `json:"kept"`
	Next *mixed          `json:"next"`
}

type folds struct {
	Key   int            `json:"key"`
	Ask   string         `json:"ask"`
	KEY   int            `json:"KEY"`
	Parts []folds        `json:"parts"`
	Map   map[string]int `json:"map"`
	Raw   []byte         `json:"raw"`
}

// documents are what standard reads in ordinary tests, and what fuzzing begins with.
var documents = []string{
	`{"A":1,"a":"x","b":"y","B":2,"C":3,"c":4,"when":"2024-05-06T07:08:09Z"}`, `{"inner":{"A":1},"Middle":{}}`, `{"n":"1","f":"1e3","s":"\"a\"","b":"true"}`, `{"n":1}`, `{"n":"01"}`, `{"s":"a"}`, `{"n":null,"b":null}`, `{"b":"null"}`,
	`{"t":"2024-05-06T07:08:09Z","n":0,"s":[],"m":{},"a":[],"e":{},"i":[]}`, `{"any":{"a":[1,"b",null,true,{"c":1e3}]},"raw": [1, "<"] ,"num":12e3,"kept":true,"next":{"any":"<"}}`, `{"num":"12"}`, `{"num":""}`, `{"num":"x"}`, `{"err":null}`, `{"err":1}`, `{"raw":null}`,
	`{"1":"a","-1":"b","01":"c","+1":"d"," 1":"e","256":"f"}`, `{"1":[1],"2":null}`, `{"<12":1,"<34":2,"<12":3}`, `"<12"`, `["<12",null,"<1"]`, `"12"`, `12`, `"1e5"`, `-0`, `1e400`, `[1,2,3]`, `[1]`, `[]`,
	`{"key":1,"KEY":2,"Key":3,"parts":[{"key":1,"ask":"a"},{"key":2}],"parts":[{"ask":"b"}],"map":{"a":1},"map":{"b":2},"raw":"AAE="}`, "{\"\u212aey\":1,\"a\u017fk\":\"b\"}", `{"\u212aey":1}`, `{"keY":1,"aSk":"x"}`,
	`"\ud83d\ude00"`, `"\ud83d"`, `"\ud83d\u0041\n"`, "\"\xff\"", "{\"\xff\":\"\xff\"}", `"<>&\u2028"`, "\"\x00\"", "\ufeff{}", "{}\x00", "", " ", "\n\tnull \r", "null", "nul", "{} {}", "[1 2]", "[1,]", `{"a":1,}`, `{"a":1 "b":2}`, "01", "1.", "+1", "1e", "true", "tru",
	`21000000000000000000`, `9223372036854775808`, `18446744073709551616`, `"2024-05-06 07:08:09Z"`, `"2024-05-06T07:08:09,1Z"`, `"1s"`, `1000000000`, `128`, `{"unknown":[{"x":"\x"}]}`, `{"unknown":{"a":[1,{"b":null}]}}`,
}

// TestAllTypesAreReadAndWrittenAsByEncodingJSON reads every document, and beginnings of it, as every type.
func TestAllTypesAreReadAndWrittenAsByEncodingJSON(t *testing.T) {
	for _, data := range documents {
		for cut := len(data); cut >= 0; cut -= 1 + cut/3 {
			for _, as := range standard {
				as(t, []byte(data[:cut]))
			}
		}
	}
	writesAsJSON(t, JSON[float64](), math.NaN())
	writesAsJSON(t, JSON[[]float32](), []float32{1, float32(math.Inf(-1))})
	writesAsJSON(t, JSON[time.Time](), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
	writesAsJSON(t, JSON[map[string]time.Time](), map[string]time.Time{"a": time.Date(2024, 1, 1, 0, 0, 0, 0, time.FixedZone("", 24*3600))})
	writesAsJSON(t, JSON[mixed](), mixed{Err: errors.New("x"), Raw: json.RawMessage(` { "<" : 1 } `)})
	writesAsJSON(t, JSON[mixed](), mixed{Raw: json.RawMessage(`{`), Num: "x"})
	writesAsJSON(t, JSON[map[string]string](), map[string]string{"\xff": "1", "\xfe": "2", "<": "3", "": "4"})
	cycle := &folds{}
	type node struct{ Next *node }
	round := &node{}
	round.Next = round
	writesAsJSON(t, JSON[node](), *round)
	cycle.Parts = []folds{{}}
	cycle.Parts[0].Parts = cycle.Parts
	writesAsJSON(t, JSON[*folds](), cycle)
}

type nest []nest

// TestDeepDocumentsAreReadAsByEncodingJSON nests values up to, and beyond, the depth that encoding/json reads, in documents
// of 20 KB and more.
func TestDeepDocumentsAreReadAsByEncodingJSON(t *testing.T) {
	deep := []func(fatal, []byte){parses[nest](), parses[shape](), parses[any]()}
	for _, depth := range []int{63, 64, 65, 10_000, 10_001, 20_000} {
		for _, d := range []struct{ open, inside, end string }{{"[", "", "]"}, {`{"next":`, "{}", "}"}, {`[{"unknown":`, "1", "}]"}} {
			data := []byte(strings.Repeat(d.open, depth) + d.inside + strings.Repeat(d.end, depth))
			for _, data := range [][]byte{data, append([]byte(`{"unknown":`), append(data, '}')...)} {
				for _, as := range deep {
					as(t, data)
				}
			}
		}
	}
	nests, value := JSON[nest](), nest{}
	for range 100 {
		writesAsJSON(t, nests, value)
		value = nest{value}
	}
}
