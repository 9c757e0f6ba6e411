package jsonschema_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/codecs/jsonschema"
)

type numbers struct {
	Int    int64            `json:"int"`
	Uint   uint64           `json:"uint"`
	Small  int8             `json:"small"`
	Float  float64          `json:"float"`
	Wait   time.Duration    `json:"wait"`
	List   []int            `json:"list"`
	Below  *numbers         `json:"below"`
	By     map[string]int64 `json:"by"`
	Text   string           `json:"text"`
	Number json.Number      `json:"number"`
	Raw    json.RawMessage  `json:"raw"`
}

const numbersSchema = `{"$ref":"#/definitions/n","definitions":{"n":{"properties":{"int":{"type":"integer"},"uint":{"type":"integer"},"small":{"type":"integer"},"wait":{"type":"integer"},
	"list":{"items":{"type":"integer"}},"by":{"additionalProperties":{"type":"integer"}},"below":{"$ref":"#/definitions/n"}}}}}`

// What JSON Schema takes for an integer is read into one, however it is written, and everything else as before: what no integer of Go holds is
// an error, and what is in a text stays.
//
// Mutations seen to fail it: parse without wholeNumbers; wholeNumbers that looks into texts, or ends them at an escaped quote; whole without the fraction's
// digits, without a bound, or without the sign of nothing.
func TestAnIntegerIsReadHoweverItIsWritten(t *testing.T) {
	codec := jsonschema.Of[numbers](numbersSchema)
	got, err := codec.Parse([]byte(`{"int":-1.0,"uint":1.8446744073709551615e19,"small":1e2,"float":1.5,"wait":1.50E+1,"list":[100e-2,0.0,0e999,-0.0,3],
		"below":{"int":9223372036854775807.000,"float":-0.0,"text":"\"1.0"},"by":{"1.0":2.0},"text":"2.0 \\","number":5,"raw":{"a":[true,null,"1e1"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Int != -1 || got.Uint != math.MaxUint64 || got.Small != 100 || got.Float != 1.5 || got.Wait != 15 || len(got.List) != 5 || got.List[0] != 1 || got.List[1] != 0 ||
		got.List[3] != 0 || got.List[4] != 3 || got.Below.Int != math.MaxInt64 || !math.Signbit(got.Below.Float) || got.Below.Text != `"1.0` || got.By["1.0"] != 2 ||
		got.Text != `2.0 \` || got.Number != "5" || string(got.Raw) != `{"a":[true,null,"1e1"]}` {
		t.Errorf("%+v", got)
	}
	for document, number := range map[string]string{`{"small":1.28e2}`: "128", `{"int":1e30}`: "1e30", `{"int":9223372036854775808.0}`: "9223372036854775808", `{"uint":-1.0}`: "-1", `{"list":[1.0,1e999]}`: "1e999"} {
		if v, err := codec.Parse([]byte(document)); err == nil || !strings.Contains(err.Error(), "cannot unmarshal number "+number+" into") {
			t.Errorf("%s is read as %+v, %v", document, v, err)
		}
	}
	number := jsonschema.Of[int64](`{"type":"number"}`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		exact, _ := new(big.Rat).SetString(text)
		want := exact.IsInt() && exact.Num().IsInt64()
		if v, err := number.Parse([]byte(text)); (err == nil) != want || want && v != exact.Num().Int64() {
			t.Fatalf("%s is read as %d, %v", text, v, err)
		}
	})
}
