package plainjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// leaves are types without others in them.
var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[name](), reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](),
	reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](),
	reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[uintptr](), reflect.TypeFor[late](),
}

// oddities are types that are not plain, so that no type with one in it may be.
var oddities = []reflect.Type{
	reflect.TypeFor[any](), reflect.TypeFor[error](), reflect.TypeFor[json.Number](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[chan int](), reflect.TypeFor[func()](),
	reflect.TypeFor[complex64](), reflect.TypeFor[map[int]string](), reflect.TypeFor[map[key]int](), reflect.TypeFor[writesText](), reflect.TypeFor[*readsJSON](),
	reflect.TypeFor[[]writesByte](), reflect.TypeFor[embeds](), reflect.TypeFor[quotes](), reflect.TypeFor[omits](),
	reflect.TypeFor[when](), reflect.TypeFor[*when](), reflect.TypeFor[struct{ At when }](),
}

// when is no time to encoding/json that reads: it has none of the methods of one.
type when *time.Time

// amount has no methods that it could lack.
type amount *int

// key is text to encoding/json by its method.
type key string

func (key) MarshalText() ([]byte, error) { return []byte("k"), nil }

type writesText int

func (writesText) MarshalText() ([]byte, error) { return []byte("t"), nil }

type readsJSON struct{ N int }

func (r *readsJSON) UnmarshalJSON([]byte) error { r.N = 7; return nil }

type writesByte byte

func (*writesByte) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

type embeds struct{ line }

type quotes struct {
	N int `json:",string"`
}

type omits struct {
	N int `json:",omitzero"`
}

// late is a time with none of the methods of one.
type late time.Time

// drawType makes a type up. odd says whether it may be one that is not plain.
func drawType(t *rapid.T, depth int, odd bool) reflect.Type {
	kind := 0
	if depth > 0 {
		kind = rapid.IntRange(0, 8).Draw(t, "kind")
	}
	inner := func() reflect.Type { return drawType(t, depth-1, odd) }
	switch kind {
	case 4:
		return reflect.PointerTo(inner())
	case 5:
		return reflect.SliceOf(inner())
	case 6:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "len"), inner())
	case 7:
		return reflect.MapOf(rapid.SampledFrom([]reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[name]()}).Draw(t, "key"), inner())
	case 8:
		return drawStruct(t, inner)
	}
	if odd && rapid.IntRange(0, 20).Draw(t, "odd") == 0 {
		return rapid.SampledFrom(oddities).Draw(t, "oddity")
	}
	return rapid.SampledFrom(leaves).Draw(t, "leaf")
}

func drawStruct(t *rapid.T, inner func() reflect.Type) reflect.Type {
	names := []string{"A", "B", "K", "S", "Ks", "KS", "Name", "É", "Amount_of_a_name_that_is_rather_long"}
	tags := []string{"", "a", "b", "k", "s", "ks", "kS", "é", "a.b", "a b", "a<b", "-", "-,", ",omitempty", "name,omitempty", "a,omitempty", "c,string", "c,omitzero", "d,unknown", `a\\b`, "\u017f"}
	plainTags := tags[:7]
	var fields []reflect.StructField
	for _, n := range names {
		if !rapid.Bool().Draw(t, "has "+n) {
			continue
		}
		from := plainTags
		if rapid.IntRange(0, 3).Draw(t, "odd tag") == 0 {
			from = tags
		}
		f := reflect.StructField{Name: n, Type: inner(), Tag: reflect.StructTag(fmt.Sprintf(`json:"%s"`, rapid.SampledFrom(from).Draw(t, "tag")))}
		if k := f.Type.Kind(); k == reflect.Struct && f.Type.NumMethod() == 0 && reflect.PointerTo(f.Type).NumMethod() == 0 {
			f.Anonymous = rapid.IntRange(0, 9).Draw(t, "embedded") == 0
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

var strange = []string{"", "a", "\x00\x1f\x7f", "<script>&", "\u2028\u2029", "\"\\/\b\f\n\r\t", "é😀", "\xff", "\xed\xa0\x80", "a\xc3", "\ufffd", "customer-000042", strings.Repeat("long ", 20) + "\n"}

// drawValue fills v. tame leaves out what has no JSON and what is left to encoding/json.
func drawValue(t *rapid.T, v reflect.Value, tame bool) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(drawTime(t, tame)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.SampledFrom([]int64{0, 1, -1, 127, -128, 1 << 40, math.MaxInt64, math.MinInt64 + 1, rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "int")}).Draw(t, "int"))
		if !tame && rapid.IntRange(0, 9).Draw(t, "least") == 0 {
			v.SetInt(math.MinInt64)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(rapid.SampledFrom([]uint64{0, 1, 255, 1 << 40, 1e19 - 1, rapid.Uint64Max(1e19-1).Draw(t, "uint")}).Draw(t, "uint"))
		if !tame && rapid.IntRange(0, 9).Draw(t, "most") == 0 {
			v.SetUint(math.MaxUint64)
		}
	case reflect.Float32, reflect.Float64:
		v.SetFloat(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 0.1, 1e-5, 1e-6, 9.99e-7, 1e20, 1e21, 123456789.125, math.MaxFloat32, math.SmallestNonzeroFloat64, rapid.Float64().Draw(t, "float")}).Draw(t, "float"))
		if tame && math.IsInf(v.Float(), 0) { // a double in a float32
			v.SetFloat(1)
		}
		if !tame && rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			v.SetFloat(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.MaxFloat64}).Draw(t, "float"))
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom(append(strange[:len(strange):len(strange)], rapid.String().Draw(t, "text"))).Draw(t, "text"))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				drawValue(t, v.Field(i), tame)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			drawValue(t, v.Index(i), tame)
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if rapid.IntRange(0, 4).Draw(t, "nil") > 0 {
			drawContainer(t, v, tame)
		}
	}
}

func drawContainer(t *rapid.T, v reflect.Value, tame bool) {
	n := rapid.IntRange(0, 3).Draw(t, "len")
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		drawValue(t, v.Elem(), tame)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			drawValue(t, v.Index(i), tame)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			drawValue(t, k, tame)
			drawValue(t, e, tame)
			v.SetMapIndex(k, e)
		}
	}
}

func drawTime(t *rapid.T, tame bool) time.Time {
	zone := rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("odd", -5*3600-1800)}).Draw(t, "zone")
	year := rapid.IntRange(0, 9999).Draw(t, "year")
	if !tame && rapid.IntRange(0, 4).Draw(t, "odd") == 0 {
		year = rapid.SampledFrom([]int{-1, 10000}).Draw(t, "year")
		zone = rapid.SampledFrom([]*time.Location{time.FixedZone("", 61), time.FixedZone("", 25*3600)}).Draw(t, "zone")
	}
	return time.Date(year, 2, 28, 23, 59, 59, rapid.IntRange(0, 999999999).Draw(t, "nanoseconds"), zone)
}

// vary makes another document of one, which may be none.
func vary(t *rapid.T, data []byte) []byte {
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		at := rapid.IntRange(0, len(data)).Draw(t, "at")
		to := min(len(data), at+rapid.IntRange(0, 4).Draw(t, "much"))
		with := rapid.SampledFrom([]string{"", " ", "\n", ",", ":", "{", "}", "[", "]", `"`, `\`, "null", "true", "0", "-", ".", "e", "1e400", "99999999999999999999", "\\u0041", "\\ud800", "\xff",
			"\u212a", "\u017f", "{}", "[]", `""`, `"a":1,`, `"A":{},`, `"k":null,`, "\x00", "1", strings.Repeat("[", 70)}).Draw(t, "with")
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 0: // a letter in another case
			data = slices.Concat(data[:at], bytes.ToUpper(data[at:to]), data[to:])
		case 1: // a part twice, in most cases one of an object
			from := max(0, bytes.LastIndexByte(data[:at], ','))
			data = slices.Concat(data[:at], data[from:at], data[at:])
		default:
			data = slices.Concat(data[:at], []byte(with), data[to:])
		}
	}
	return data
}

// TestTypesThatNobodyThoughtOf makes types, values and documents up.
func TestTypesThatNobodyThoughtOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := drawType(t, 3, true)
		if (shapes{}).of(of) == nil {
			return
		}
		v := reflect.New(of).Elem()
		drawValue(t, v, false)
		writes(t, of, v)
		if data, err := json.Marshal(v.Addr().Interface()); err == nil {
			for range 5 {
				reads(t, of, vary(t, data))
			}
		}
	})
}

// TestWhatEncodingJSONWritesIsNotLeftToIt is about speed.
func TestWhatEncodingJSONWritesIsNotLeftToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := drawType(t, 3, false)
		if (shapes{}).of(of) == nil {
			return
		}
		v := reflect.New(of).Elem()
		drawValue(t, v, true)
		data, err := json.Marshal(v.Addr().Interface())
		if err != nil {
			t.Fatal(err)
		}
		if !writes(t, of, v) || !reads(t, of, data) {
			t.Fatalf("%s: %s is left to encoding/json", of, data)
		}
	})
}

// TestTypesThatAreNotPlain leaves them, and those that have one inside, to encoding/json.
//
// Mutations tried: methods that are not asked for, of the type, of a pointer to it, of bytes and of keys; json.Number as a
// text; any option of a field.
func TestTypesThatAreNotPlain(t *testing.T) {
	for _, of := range oddities {
		for _, of := range []reflect.Type{of, reflect.PointerTo(of), reflect.SliceOf(of), reflect.ArrayOf(1, of), reflect.MapOf(reflect.TypeFor[string](), of),
			reflect.StructOf([]reflect.StructField{{Name: "F", Type: of}})} {
			if s := (shapes{}).of(of); s != nil {
				t.Errorf("%s is plain: %T", of, s)
			}
		}
	}
}
