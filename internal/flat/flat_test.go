package flat

import (
	"reflect"
	"testing"
	"time"
)

func TestTypes(t *testing.T) {
	type inner struct {
		A [3]struct{ S string }
		F float64
	}
	for _, c := range []struct {
		of   any
		want bool
	}{
		{0, true}, {"", true}, {true, true}, {1i, true}, {uintptr(0), true}, {inner{}, true}, {[0]int{}, true}, {time.Second, true},
		{[]int{}, false}, {[]byte{}, false}, {map[int]int{}, false}, {new(int), false}, {time.Time{}, false},
		{struct{ E error }{}, false}, {[1][]int{}, false}, {struct{ f func() }{}, false}, {make(chan int), false},
		{struct{ inner *inner }{}, false},
	} {
		if got := Type(reflect.TypeOf(c.of)); got != c.want {
			t.Errorf("%T: flat is %v", c.of, got)
		}
	}
}

// A string is flat and not plain: it has a pointer.
//
// Mutations, each seen to fail: strings count; no case for arrays, none for structs.
func TestPlainTypes(t *testing.T) {
	for _, c := range []struct {
		of   any
		want bool
	}{
		{0, true}, {[2]struct{ F float64 }{}, true}, {struct{ A, B int }{}, true}, {"", false}, {[1]string{}, false},
		{struct{ S string }{}, false}, {struct{ A [1]struct{ S string } }{}, false}, {[]int{}, false}, {new(int), false},
	} {
		if got := Plain(reflect.TypeOf(c.of)); got != c.want {
			t.Errorf("%T: plain is %v", c.of, got)
		}
	}
}

// Mutations, each seen to fail: unexported fields count as written; embedded ones do not; tags are not looked at; arrays are not
// looked into.
func TestWrittenTypes(t *testing.T) {
	type inner struct{ A, B int }
	type hidden struct{ a int }
	for _, c := range []struct {
		of   any
		want bool
	}{
		{0, true}, {"", true}, {inner{}, true}, {struct{ inner }{}, true}, {[2]inner{}, true},
		{struct {
			A int `json:"-,"`
		}{}, true},
		{hidden{}, false}, {struct{ hidden }{}, false}, {struct{ H hidden }{}, false}, {[2]hidden{}, false},
		{struct {
			A, B int `json:"-"`
		}{}, false},
		{struct {
			A int `yaml:"a" avro:"-"`
		}{}, false},
	} {
		if got := Written(reflect.TypeOf(c.of)); got != c.want {
			t.Errorf("%T: written is %v", c.of, got)
		}
	}
}
