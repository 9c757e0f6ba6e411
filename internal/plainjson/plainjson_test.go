package plainjson

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fatal is a test, or one draw of rapid's.
type fatal interface {
	Helper()
	Fatalf(string, ...any)
}

// reads compares what the shape of t makes of data with json.Unmarshal, and what it then writes with json.Marshal.
// It says whether the shape accepted data. Data is overwritten before the values are compared, so that one which refers to it differs.
func reads(t fatal, of reflect.Type, data []byte) bool {
	t.Helper()
	s := shapes{}.of(of)
	if s == nil {
		t.Fatalf("%s is not plain", of)
	}
	want := reflect.New(of)
	wantErr := json.Unmarshal(data, want.Interface())
	got, mine := reflect.New(of), []byte(string(data))
	if r := (&reader{data: mine}); !r.document(s, got.Elem()) {
		return false
	}
	for i := range mine {
		mine[i] = 'x'
	}
	if wantErr != nil {
		t.Fatalf("%s: %q is accepted as %+v; json says %v", of, data, got.Elem(), wantErr)
	}
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%s: %q is %+v, json says %+v", of, data, got.Elem(), want.Elem())
	}
	writes(t, of, got.Elem())
	return true
}

// writes compares what the shape of t writes for v with json.Marshal, and says whether it wrote anything.
func writes(t fatal, of reflect.Type, v reflect.Value) bool {
	t.Helper()
	want, wantErr := json.Marshal(v.Addr().Interface())
	w := &writer{out: []byte("before")}
	if !shapes.of(shapes{}, of).write(w, v) {
		return false
	}
	if wantErr != nil {
		t.Fatalf("%s: %+v is written as %s, json says %v", of, v, w.out, wantErr)
	}
	if got := string(w.out); got != "before"+string(want) {
		t.Fatalf("%s: %+v is written as %s, json says %s", of, v, got, want)
	}
	return true
}

type name string

type order struct {
	ID       string    `json:"id"`
	Customer name      `json:"customer,omitempty"`
	Kept     bool      `json:",omitempty"`
	Count    int16     `json:"count"`
	At       time.Time `json:"at"`
	hidden   int
	Skipped  int               `json:"-"`
	Dash     uint8             `json:"-,"`
	Price    float64           `json:"price,omitempty"`
	Ratio    float32           `json:"ratio"`
	Lines    []line            `json:"lines"`
	Parent   *order            `json:"parent,omitempty"`
	Tags     map[name]string   `json:"tags,omitempty"`
	Times    map[string]moment `json:"times,omitempty"`
	Raw      []byte            `json:"raw,omitempty"`
	Pair     [2]int            `json:"pair,omitempty"`
	Deep     **int             `json:"deep,omitempty"`
	First    line              `json:"first,omitempty"`
	Since    time.Time         `json:"since,omitempty"`
}

type moment struct{ At *time.Time }

type line struct {
	SKU string `json:"sku"`
	Qty uint32 `json:"qty"`
}

// kelvin has names that fold to those of other letters than ASCII's: k to the Kelvin sign, s to the long s.
type kelvin struct {
	K  int `json:"k"`
	S  int `json:"s"`
	Ks int `json:"ks"`
	KS int `json:"KS"`
}

type loop []loop

var plain = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[name](), reflect.TypeFor[int](), reflect.TypeFor[int8](),
	reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint64](), reflect.TypeFor[time.Duration](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[time.Time](), reflect.TypeFor[*time.Time](), reflect.TypeFor[[]byte](),
	reflect.TypeFor[[3]byte](), reflect.TypeFor[[0]int](), reflect.TypeFor[[]string](), reflect.TypeFor[[][]int](), reflect.TypeFor[[]*int](),
	reflect.TypeFor[map[string]int](), reflect.TypeFor[map[string]map[name][]string](), reflect.TypeFor[map[string]time.Time](),
	reflect.TypeFor[struct{}](), reflect.TypeFor[kelvin](), reflect.TypeFor[loop](), reflect.TypeFor[order](), reflect.TypeFor[*order](), reflect.TypeFor[[]order](),
	reflect.TypeFor[amount](), reflect.TypeFor[**time.Time](),
}

// ordinary are documents that one of the types at least must accept: a shape that leaves all to encoding/json is right, and slow.
var ordinary = []string{
	`null`, `true`, `false`, `0`, `-1`, `255`, `9223372036854775807`, `-9223372036854775807`, `1.5`, `-0`, `-0.0`, `1e5`, `1E-7`, `12345678901234567890.5`, `1e21`,
	`""`, `"a"`, `"a\"b\\\/\b\f\n\r\t\u0041\u00e9\u2028"`, `"<&>é  😀\u003c"`, `"2024-05-06T07:08:09.123456789+02:00"`, `"AAEC"`, `"AA=="`,
	`[]`, `[1,2]`, `[[1],[],null]`, `["a","b"]`, `{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":["c"]}}`, `{"a\n<":3,"é":4}`, `{"k":1,"unknown":{"x":[1,"\ud800",{}]}}`,
	` { "id" : "1" , "count" : -3 , "lines" : [ { "sku" : "s" , "qty" : 4 } ] , "parent" : { "id" : "2" } } ` + "\n\t\r",
	`{"count":1,"id":"x","Kept":true,"-":7,"at":"2024-05-06T07:08:09Z","price":1e-9,"ratio":0.1,"tags":{"b":"2","a":"1"},"raw":"AAE=","pair":[1,2],"deep":5}`,
	`{"times":{"x":{"At":"2024-05-06T07:08:09Z"},"y":{"At":null}},"lines":null,"parent":null,"raw":null,"deep":null,"pair":null}`,
	`[[[]],[]]`, `{"unknown":[true,false,null,-1.5e+3,0,"x\n"],"k":1}`, `"a text of eight bytes and more"`, `"eight b\"tes\\and mo\u0072e"`, `"achtmal ä ist größer"`, `"` + "\x7f" + `"`,
}

// hostile are documents of which some are refused and some mean something else than it seems.
var hostile = []string{
	``, ` `, `nul`, `nullx`, `null null`, `truE`, `+1`, `01`, `-01`, `00`, `-`, `.5`, `1.`, `1e`, `1e+`, `1.e1`, `0x1`, `1_0`, `1e400`, `-1e400`, `1e-400`, `128`, `-129`, `256`, `65536`, `32768`,
	`9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`, `18446744073709551615`, `18446744073709551616`, `21000000000000000000`, `30000000000000000000`, `99999999999999999999`, `1.0`, `3.5e38`,
	`"`, `"a`, `"\`, `"\u"`, `"\u12"`, `"\u123g"`, `"\x41"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, "\"\xff\"", "\"\xed\xa0\x80\"", "\"\\n\xc3\"", "\"\n\"", "\"\x00\"", "\"\x1f\"", `'a'`,
	`"AA"`, `"AA=\n="`, "\"A\\u0041==\"", `"!!"`, `"AA==AA=="`, `"2024-5-6T07:08:09Z"`, `"2024-02-30T07:08:09Z"`, `"2024-05-06T07:08:09,5Z"`, `"2024-05-06T24:08:09Z"`, `"2024-05-06T07:08:09+24:00"`, `"2024-05-06T7:08:09Z"`, `"\u0032024-05-06T07:08:09Z"`,
	`[`, `]`, `[,]`, `[1,]`, `[,1]`, `[1 2]`, `[1,,2]`, `[1]]`, `[1}`, `[1,2,3]`, `[1,2,3,4]`, `[1,2,3 4]`, `[256]`, `[null]`,
	`{`, `}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{a:1}`, `{1:1}`, `{null:1}`, `{"a":1}}`, `{"a":1]`, `{"a" 1}`, `{"a"::1}`, "{\"\xff\":1,\"\xfe\":2}", `{"\ud800":1}`,
	`{"id":"1","id":"2"}`, `{"ID":"1"}`, `{"Id":"1","id":"2"}`, `{"id":"2","iD":"3"}`, `{"i\u0064":"1"}`, `{"lines":[{"sku":"a","qty":1},{"sku":"b"}],"lines":[{"qty":2}]}`, `{"parent":{"id":"1"},"parent":{"count":2}}`, `{"tags":{"a":"1"},"tags":{"b":"2"}}`,
	`{"` + "\u212a" + `":1}`, `{"` + "\u017f" + `":1}`, `{"` + "\u212a\u017f" + `":1}`, `{"kS":1}`, `{"Ks":1}`, `{"KS":1,"ks":2}`, `{"K":1}`, `{"hidden":1}`, `{"Skipped":1}`, `{"-":300}`,
	`{"unknown":01}`, `{"unknown":"\x"}`, `{"unknown":"` + "\xff" + `"}`, `{"unknown":[1,]}`, `{"unknown":{"a":1,}}`, `{"unknown":nul}`, `{"unknown":1e400}`, `{"unknown":tru,"id":"1"}`, `{"unknown":"` + "\n" + `"}`, `{"unknown"}`,
	`{"unknown":1e}`, `{"unknown":1.}`, `{"unknown":-}`, `{"unknown":t}`, `{"unknown":f}`, `{"unknown":"\'"}`, `"\'"`, "\"a text \x01 of eight bytes\"", "\"eight \x80\x9f bytes and more\"", "\"\x81\x82\x83\x84\x85\x86\x87\x88\"",
	`{"id":1}`, `{"count":"1"}`, `{"count":1.0}`, `{"lines":{}}`, `{"parent":[]}`, `{"pair":[1]}`, `{"pair":[1,2,3]}`, `{"deep":null}`, `{"raw":[1,2]}`, `{"raw":"A\nA"}`, "\ufeff1", "1\x00", "1\v", "\u00a01", `1 // one`, `/**/1`, `NaN`, `Infinity`,
}

// TestPlainTypesAreReadAndWrittenAsByEncodingJSON reads every document as every type.
//
// Mutations tried: an end that is not the document's; a comma that need not be there; strings that are not UTF-8, or have
// control characters; a fraction or an exponent without digits; numbers with leading zeros, of 20 digits, and out of
// range; an escape that there is not; a field twice, or in another case; a map's value that keeps the one before;
// an array with too much; [] as nil; bad base64; a struct's omitempty that omits.
func TestPlainTypesAreReadAndWrittenAsByEncodingJSON(t *testing.T) {
	accepts := func(data string) (accepted bool) {
		for _, of := range plain {
			accepted = reads(t, of, []byte(data)) || accepted
		}
		return accepted
	}
	for _, data := range ordinary {
		if !accepts(data) {
			t.Errorf("%q is left to encoding/json by every type", data)
		}
		for cut := len(data) - 1; cut >= 0; cut -= 1 + cut/10 {
			accepts(data[:cut])
		}
	}
	for _, data := range hostile {
		accepts(data)
	}
}

// FuzzRead reads any document as every type.
func FuzzRead(f *testing.F) {
	for _, documents := range [][]string{ordinary, hostile} {
		for _, data := range documents {
			f.Add([]byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, of := range plain {
			reads(t, of, data)
		}
	})
}

// A writer that remembers the text of a value of numbers gives it for no other value.
//
// Mutations, each seen to fail: the text of whatever came last; the text of a value that was refused.
func TestRememberedTextIsThatOfTheValue(t *testing.T) {
	type total struct {
		Count int64
		Open  bool
		Ratio float64
		Pair  [2]uint8
	}
	rapid.Check(t, func(t *rapid.T) {
		c := For[total]()
		few := rapid.SampledFrom([]total{{}, {Count: 1}, {Open: true}, {Ratio: math.Copysign(0, -1)}, {Pair: [2]uint8{0, 1}}, {Ratio: math.NaN()}, {Ratio: 1e-9, Count: -5}})
		for range 20 {
			v := few.Draw(t, "value")
			want, err := json.Marshal(v)
			got, ok := c.Append([]byte("before"), v)
			if ok != (err == nil) || ok && string(got) != "before"+string(want) {
				t.Fatalf("%+v is written as %s, %v; json says %s, %v", v, got, ok, want, err)
			}
		}
	})
}

// Names that no field has are learned, in any order and number, and change nothing but the time.
//
// Mutations, each seen to fail: a learned name that is a field's; names in another case are learned.
func TestLearnedNamesChangeNothing(t *testing.T) {
	type wanted struct {
		A, B int
		C    string
	}
	rapid.Check(t, func(t *rapid.T) {
		s := shapes{}.of(reflect.TypeFor[wanted]())
		var pool []string
		for i := range 2 * maxLearned {
			pool = append(pool, "x"+strconv.Itoa(i))
		}
		pool = append(pool[:rapid.IntRange(0, len(pool)).Draw(t, "unknown")], "A", "B", "C", "a", "b", strings.Repeat("long", maxLearnedSize))
		accepted := false
		for range 30 {
			var doc strings.Builder
			for i, name := range rapid.SliceOfN(rapid.SampledFrom(pool), 0, 12).Draw(t, "names") {
				value := strconv.Itoa(i)
				if name == "C" {
					value = `"` + value + `"`
				}
				doc.WriteString(`,"` + name + `":` + value)
			}
			data := []byte("{" + strings.TrimPrefix(doc.String(), ",") + "}")
			var got, want wanted
			err := json.Unmarshal(data, &want)
			if r := (&reader{data: data}); !r.document(s, reflect.ValueOf(&got).Elem()) {
				continue
			}
			accepted = true
			if err != nil || got != want {
				t.Fatalf("%s is %+v; json says %+v, %v", data, got, want, err)
			}
		}
		if !accepted {
			t.Skip("nothing was accepted")
		}
	})
}
