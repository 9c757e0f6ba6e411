package codecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// own reads itself, whatever stands there.
type own struct{ A int }

func (o *own) UnmarshalJSON(data []byte) error { o.A = len(data); return nil }

type ownPointer *own

type ownValue struct{ B int }

func (ownValue) UnmarshalJSON([]byte) error { return nil }

type whenPointer *time.Time

// strictMethods has each way in which encoding/json finds a method that reads, or does not.
type strictMethods struct {
	Plain    own
	Unnamed  struct{ own }
	Value    struct{ ownValue }
	Pointer  *own
	To       *struct{ own }
	Defined  ownPointer
	Two      **own
	Past     *ownPointer
	List     []own
	Rows     []struct{ own }
	By       map[string]struct{ own }
	Pair     [1]struct{ own }
	At       whenPointer
	Time     *time.Time
	Embedded struct{ *own }
	Own      struct {
		own
		C int
	}
}

// What a strict codec reads, encoding/json reads without unknown fields, and the other way round where no name is spelled in another way: types whose methods read, and those whose methods
// encoding/json does not find, since a struct type without a name and a pointer type with one have none to it.
//
// Mutations seen to fail it: a type without a name that reads itself; what a defined pointer points to that does; the document's own type that does not.
func TestStrictJSONFindsTheMethodsThatEncodingJSONFinds(t *testing.T) {
	values := []string{`1`, `{"A":1}`, `{"A":1,"x":2}`, `{"own":1,"x":2}`, `{"x":2}`, `{"B":1,"x":1}`, `{"C":1}`, `[{"x":1}]`, `[{"A":1}]`, `[1]`, `{"k":{"x":1}}`, `{"k":{"A":1}}`, `"2024-05-06T07:08:09Z"`, `{}`}
	for _, field := range []string{"Plain", "Unnamed", "Value", "Pointer", "To", "Defined", "Two", "Past", "List", "Rows", "By", "Pair", "At", "Time", "Embedded", "Own"} {
		for _, v := range values {
			sameVerdict[strictMethods](t, `{"`+field+`":`+v+`}`)
		}
	}
	for _, v := range values {
		sameVerdict[own](t, v)
		sameVerdict[struct{ own }](t, v)
		sameVerdict[*struct{ own }](t, v)
		sameVerdict[ownPointer](t, v)
		sameVerdict[[]struct{ own }](t, v)
		sameVerdict[whenPointer](t, v)
	}
}

func sameVerdict[T any](t *testing.T, document string) {
	t.Helper()
	_, err := JSON[T](Strict()).Parse([]byte(document))
	var v T
	d := json.NewDecoder(bytes.NewReader([]byte(document)))
	d.DisallowUnknownFields()
	if want := d.Decode(&v); (err == nil) != (want == nil) && !errors.Is(err, ErrNull) {
		t.Errorf("%T: %s: %v, and encoding/json says %v", v, document, err, want)
	}
}
