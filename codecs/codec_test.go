package codecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gokaCodec is goka.Codec. Module bench, which needs goka itself, compares with goka's own codecs.
type gokaCodec interface {
	Encode(value any) ([]byte, error)
	Decode(data []byte) (any, error)
}

// Each codec is one of ours and one of goka's.
var (
	_ gokaCodec     = String()
	_ gokaCodec     = Int64()
	_ gokaCodec     = Bytes()
	_ gokaCodec     = JSON[int]()
	_ Codec[string] = String()
	_ Codec[int64]  = Int64()
	_ Codec[[]byte] = Bytes()
	_ Codec[int]    = JSON[int]()
)

// appends checks that v is encoded after what is in the buffer, and that the buffer, changed afterwards, does not change
// what was parsed.
func appends[T any](t *rapid.T, c Codec[T], v T) []byte {
	prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
	before := bytes.Clone(prefix)
	out, err := c.Append(prefix, v)
	if err != nil {
		t.Fatalf("Append(%v): %v", v, err)
	}
	if !bytes.HasPrefix(out, before) {
		t.Fatalf("Append overwrote the buffer")
	}
	data := out[len(prefix):]
	encoded := bytes.Clone(data)
	back, err := c.Parse(data)
	if err != nil {
		t.Fatalf("Parse(%q): %v", data, err)
	}
	for i := range data {
		data[i] = 0xff
	}
	if !reflect.DeepEqual(back, v) {
		t.Fatalf("%#v came back as %#v from %q", v, back, encoded)
	}
	return encoded
}

type shape struct {
	Name  string            `json:"name"`
	N     int64             `json:"n,omitempty"`
	F     float64           `json:"f"`
	Tags  []string          `json:"tags"`
	Next  *shape            `json:"next,omitempty"`
	Extra map[string]string `json:"extra"`
}

func drawShape(t *rapid.T, depth int) shape {
	s := shape{
		Name: rapid.String().Draw(t, "name"),
		N:    rapid.Int64().Draw(t, "n"),
		F:    rapid.Float64().Draw(t, "f"),
	}
	if rapid.Bool().Draw(t, "tags") {
		s.Tags = rapid.SliceOf(rapid.String()).Draw(t, "tags")
	}
	if rapid.Bool().Draw(t, "extra") {
		s.Extra = rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "extra")
	}
	if depth > 0 && rapid.Bool().Draw(t, "next") {
		next := drawShape(t, depth-1)
		s.Next = &next
	}
	return s
}

// TestValuesComeBackAsTheyWere is the law of a codec: Parse of what Append added is the value, and belongs to the caller.
// Seen to fail: Bytes that returns what it was given; Append that forgets dst; the newline left on.
func TestValuesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		appends(t, String(), string(rapid.SliceOf(rapid.Byte()).Draw(t, "string")))
		appends(t, Int64(), rapid.Int64().Draw(t, "int64"))
		appends[[]byte](t, Bytes(), rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		appends(t, FromGoka[string](theirs{String()}), rapid.String().Draw(t, "string"))
		appends(t, FromGoka[[]byte](keeps{}), rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	})
}

// TestJSONIsWhatEncodingJSONWrites compares with json.Marshal and json.Unmarshal, on one codec for all values, because a
// codec keeps its encoders. Seen to fail: SetEscapeHTML(false); decode without its InputOffset.
func TestJSONIsWhatEncodingJSONWrites(t *testing.T) {
	shapes, anything := JSON[shape](), JSON[any]()
	rapid.Check(t, func(t *rapid.T) {
		v := drawShape(t, 2)
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := shapes.Append([]byte("behind this"), v)
		if err != nil || string(got) != "behind this"+string(want) {
			t.Fatalf("%s, want %s (%v)", got, want, err)
		}
		data := mangle(t, want)
		parsesAsJSON(t, shapes, data)
		parsesAsJSON(t, anything, data)
	})
}

// mangle makes something of a JSON text that may be none any more.
func mangle(t *rapid.T, data []byte) []byte {
	data = bytes.Clone(data)
	switch rapid.IntRange(0, 6).Draw(t, "mangle") {
	case 0:
		return data[:rapid.IntRange(0, len(data)).Draw(t, "cut")]
	case 1:
		data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
	case 2:
		return append(data, rapid.SampledFrom([]string{" ", "\n", "}", "]", "1", ",", "{}", "\x00", " \t\r\n"}).Draw(t, "tail")...)
	case 3:
		return append([]byte(rapid.SampledFrom([]string{" ", "\n", "}", "]", "1", "\ufeff"}).Draw(t, "head")), data...)
	case 4:
		return []byte(rapid.SampledFrom([]string{"", "null", "1", "-", "1e999", `"`, `"\ud800"`, "true", "tru", "[]", "[", "nulll"}).Draw(t, "text"))
	}
	return data
}

// parsesAsJSON compares Parse with json.Unmarshal: the same value, or an error from both that says the same. What begins like a value with
// a schema's id has a hint after that.
func parsesAsJSON[T any](t interface{ Fatalf(string, ...any) }, c Codec[T], data []byte) {
	var want T
	wantErr := json.Unmarshal(data, &want)
	mine := bytes.Clone(data)
	got, err := c.Parse(mine)
	for i := range mine { // whoever called Parse reads the next record into it
		mine[i] = 'x'
	}
	if written, _ := json.Marshal(new(T)); string(bytes.TrimSpace(data)) == "null" && string(written) != "null" {
		wantErr = ErrNull // no value of the type, whatever json makes of it
		want = *new(T)
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, json says %v", data, err, wantErr)
	}
	if err != nil {
		var none T
		if !strings.Contains(err.Error(), wantErr.Error()) || !reflect.DeepEqual(got, none) {
			t.Fatalf("%q: %v with %#v, json says %v", data, err, got, wantErr)
		}
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %#v, json says %#v", data, got, want)
	}
}

// theirs hides from FromGoka that a codec is one of ours.
type theirs struct{ gokaCodec }

// keeps is a goka codec like goka's own for bytes: its value is the slice that it is given.
type keeps struct{}

func (keeps) Encode(value any) ([]byte, error) { return value.([]byte), nil }
func (keeps) Decode(data []byte) (any, error)  { return data, nil }

// broken is a goka codec that does what it should not.
type broken struct{ what string }

func (b broken) Encode(any) ([]byte, error) {
	if b.what == "panic" {
		panic("no such value")
	}
	return nil, errors.New("no such value")
}

func (b broken) Decode([]byte) (any, error) {
	switch b.what {
	case "panic":
		panic("no such value")
	case "nil":
		return nil, nil
	case "type":
		return 1.5, nil
	}
	return nil, errors.New("no such value")
}

// marshals is a type whose methods misbehave.
type marshals struct{ what string }

func (m *marshals) MarshalJSON() ([]byte, error) {
	switch m.what {
	case "panic":
		panic("no such value")
	case "error":
		return nil, errors.New("no such value")
	}
	return []byte(`"` + m.what + `"`), nil
}

func (m *marshals) UnmarshalJSON(data []byte) error {
	if bytes.Contains(data, []byte("panic")) {
		panic("no such value")
	}
	m.what = strings.Trim(string(data), `"`)
	return nil
}

// TestWrongValuesAreErrors gives codecs what they cannot take. Seen to fail: each defer of recovered left out; as with a
// plain assertion.
func TestWrongValuesAreErrors(t *testing.T) {
	for name, c := range map[string]gokaCodec{"String": String(), "Int64": Int64(), "Bytes": Bytes(), "JSON": JSON[shape]()} {
		for _, v := range []any{nil, 1, 1.5, &shape{}, struct{}{}, []string{"a"}, (*int)(nil)} {
			if out, err := c.Encode(v); err == nil || out != nil {
				t.Errorf("%s encodes %#v as %q", name, v, out)
			}
		}
	}
	for name, c := range map[string]Codec[string]{
		"broken":   FromGoka[string](broken{}),
		"panics":   FromGoka[string](broken{"panic"}),
		"nil":      FromGoka[string](broken{"nil"}),
		"type":     FromGoka[string](broken{"type"}),
		"no codec": FromGoka[string]((*theirs)(nil)),
	} {
		if out, err := c.Append([]byte("x"), "v"); err == nil {
			t.Errorf("%s encodes: %q", name, out)
		}
		if v, err := c.Parse([]byte("v")); err == nil || v != "" {
			t.Errorf("%s decodes: %q", name, v)
		}
	}
	if c := FromGoka[string](nil); c != nil {
		t.Errorf("no codec makes one: %v", c)
	}
	if v, err := FromGoka[any](broken{"nil"}).Parse(nil); v != nil || err != nil {
		t.Errorf("nil is an any: %v, %v", v, err)
	}
	m := JSON[marshals]()
	for _, what := range []string{"panic", "error", "fine"} {
		out, err := m.Append(nil, marshals{what})
		if (err == nil) != (what == "fine") || err == nil && string(out) != `"fine"` {
			t.Errorf("%s: %q, %v", what, out, err)
		}
	}
	if _, err := m.Parse([]byte(`"panic"`)); err == nil {
		t.Error("a panic in UnmarshalJSON is no error")
	}
	if v, err := m.Parse([]byte(`"fine"`)); err != nil || v.what != "fine" {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := JSON[float64]().Append(nil, math.Inf(1)); err == nil {
		t.Error("JSON has no infinity")
	}
	if _, err := JSON[chan int]().Append(nil, nil); err == nil {
		t.Error("JSON has no channels")
	}
}

// TestOursGoThroughGokaAndBack adapts our own codecs, which stay what they are, nil values of interfaces included.
func TestOursGoThroughGokaAndBack(t *testing.T) {
	if c := FromGoka[string](String()); c != Codec[string](String()) {
		t.Errorf("wrapped without need: %T", c)
	}
	c := JSON[any]()
	out, err := c.Encode(nil)
	if string(out) != "null" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if v, err := c.Decode(out); v != nil || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := JSON[*shape]().Decode([]byte("null")); v != (*shape)(nil) || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}

// optional is a type of its own that writes null for its zero value.
type optional struct{ set bool }

func (o optional) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	return []byte("true"), nil
}

func (o *optional) UnmarshalJSON(data []byte) error {
	o.set = string(data) == "true"
	return nil
}

// writesNull is one that writes null for anything but its zero value.
type writesNull int

func (w writesNull) MarshalJSON() ([]byte, error) {
	if w == 0 {
		return []byte("0"), nil
	}
	return []byte("null"), nil
}

// nulls checks that null is a value of T, or none, in every spelling, for both faces of the codec.
func nulls[T any](t *testing.T, value bool) {
	t.Helper()
	c := JSON[T]()
	for _, data := range []string{"null", " null", "null\n", "\t null \r\n", "null" + strings.Repeat(" ", maxPooled)} {
		v, err := c.Parse([]byte(data))
		_, gokaErr := c.Decode([]byte(data))
		if value != (err == nil) || value != (gokaErr == nil) || !value && (!errors.Is(err, ErrNull) || !errors.Is(gokaErr, ErrNull)) || !reflect.DeepEqual(v, *new(T)) {
			t.Errorf("%.10q is %#v of %T: %v, %v", data, v, v, err, gokaErr)
		}
	}
	// What is a value comes back.
	out, err := c.Append(nil, *new(T))
	if err != nil {
		t.Errorf("the zero value: %v", err)
	}
	if v, err := c.Parse(out); err != nil || !reflect.DeepEqual(v, *new(T)) {
		t.Errorf("the zero value of %T, written as %s, comes back as %#v: %v", v, out, v, err)
	}
}

// TestNullIsAValueOfTheTypesThatWriteIt, and of no other: json.Unmarshal makes the zero value of it, which nobody wrote.
//
// Mutations tried: Parse without isNull, in the pooled part and after it; isNull that looks at the first byte only;
// nullIsAValue by the kind of the type only; Append that writes a null which does not come back.
func TestNullIsAValueOfTheTypesThatWriteIt(t *testing.T) {
	nulls[shape](t, false)
	nulls[int](t, false)
	nulls[string](t, false)
	nulls[bool](t, false)
	nulls[[2]int](t, false)
	nulls[time.Time](t, false)
	nulls[*shape](t, true)
	nulls[map[string]int](t, true)
	nulls[[]int](t, true)
	nulls[any](t, true)
	nulls[optional](t, true)
	if v, err := JSON[json.RawMessage]().Parse([]byte("null")); string(v) != "null" || err != nil {
		t.Errorf("raw JSON: %s, %v", v, err)
	}
	if v, err := JSON[json.Number]().Parse([]byte("null")); !errors.Is(err, ErrNull) {
		t.Errorf("a number: %s, %v", v, err)
	}
	if _, err := JSON[marshals]().Parse([]byte("null")); !errors.Is(err, ErrNull) {
		t.Errorf("a type that writes a string: %v", err)
	}
	if _, err := JSON[writesNull]().Append([]byte("x"), 1); !errors.Is(err, ErrNull) {
		t.Errorf("a null that does not come back: %v", err)
	}
	if _, err := JSON[shape]().Parse([]byte("nul")); err == nil || errors.Is(err, ErrNull) {
		t.Errorf("half of it: %v", err)
	}
}

// TestNilAndEmptyAreTheSameToParse is what the package promises about values that are not there.
func TestNilAndEmptyAreTheSameToParse(t *testing.T) {
	for _, data := range [][]byte{nil, {}} {
		if v, err := String().Parse(data); v != "" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if v, err := Bytes().Parse(data); len(v) != 0 || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if _, err := Int64().Parse(data); err == nil {
			t.Error("nothing is a number")
		}
		if _, err := JSON[*shape]().Parse(data); err == nil {
			t.Error("nothing is JSON")
		}
	}
}

// TestNothingIsLeftOverForTheNextValue parses a value after one that had too much. Seen to fail: a decoder put back after
// an error, which reads 12.
func TestNothingIsLeftOverForTheNextValue(t *testing.T) {
	c := JSON[any]()
	for range 100 {
		if v, err := c.Parse([]byte("{}1")); err == nil {
			t.Fatalf("two values make %v", v)
		}
		if v, err := c.Parse([]byte("2")); v != 2.0 || err != nil {
			t.Fatalf("2 is %v, %v", v, err)
		}
	}
}

// TestLargeValuesParse parses a value above the size of pooled decoders, and one below after it.
func TestLargeValuesParse(t *testing.T) {
	c := JSON[string]()
	for _, n := range []int{maxPooled * 3, maxPooled - 2, maxPooled - 1, 10} {
		want := strings.Repeat("x", n)
		if got, err := c.Parse([]byte(`"` + want + `"`)); got != want || err != nil {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
	}
}

// TestCodecsAreShared uses one codec from several goroutines; the race detector looks on. Seen to fail under it: one
// encoder for all.
func TestCodecsAreShared(t *testing.T) {
	c := JSON[shape]()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				v := shape{Name: strings.Repeat("x", n), N: int64(i + 1)}
				out, err := c.Append(nil, v)
				if err != nil {
					t.Error(err)
				}
				if got, err := c.Parse(out); !reflect.DeepEqual(got, v) || err != nil {
					t.Errorf("%v came back as %v, %v", v, got, err)
				}
				if _, err := c.Parse(out[:len(out)/2]); err == nil {
					t.Error("half a value is no error")
				}
			}
		})
	}
	wg.Wait()
}

// FuzzParse gives every codec arbitrary bytes: nothing panics, and JSON says what encoding/json says.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "null", `{"name":"a","next":{}}`, "-12", "+007", "[1,2", "{}{}", "{} ", "\xff", `"\u00"`, "1 2", "]"} {
		f.Add([]byte(seed))
	}
	for _, data := range documents {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, as := range standard {
			as(t, data)
		}
		if v, err := String().Parse(data); err != nil || v != string(data) {
			t.Fatalf("%q, %v", v, err)
		}
		if v, err := Bytes().Parse(data); err != nil || !bytes.Equal(v, data) {
			t.Fatalf("%q, %v", v, err)
		}
		if v, err := Int64().Parse(data); err != nil && v != 0 {
			t.Fatalf("%d, %v", v, err)
		}
	})
}

// A JSON codec on a topic of values with schemas says which codecs read them.
//
// Mutation seen to fail it: the error of encoding/json alone, in one of the two modes.
func TestJSONNamesTheCodecsOfValuesWithSchemas(t *testing.T) {
	framed := []byte{0, 0, 0, 0, 7, '{', '}'}
	for _, codec := range []*JSONCodec[struct{}]{JSON[struct{}](), JSON[struct{}](Strict())} {
		if _, err := codec.Parse(framed); err == nil || !strings.Contains(err.Error(), "schema 7 of a registry, for which codecs/avro, ") {
			t.Errorf("%v", err)
		}
		if _, err := codec.Parse([]byte("x")); err == nil || strings.Contains(err.Error(), "registry") {
			t.Errorf("%v", err)
		}
	}
}
