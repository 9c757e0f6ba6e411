// Package plainjson reads and writes JSON of plain types, several times as fast as encoding/json, with the same results.
//
// Plain types are those that encoding/json handles without methods and without special rules: booleans, numbers, strings,
// time.Time, []byte, structs without embedded fields, and pointers, slices, arrays and maps with text keys of these. [For]
// returns nil for all others.
//
// It never decides what is wrong. It refuses whatever is out of the ordinary, without a reason, and the caller asks
// encoding/json: bad syntax, a wrong type, a number that may not fit, a name that comes twice or in another case, bytes
// that are not UTF-8, deep nesting. What it accepts is little enough to be compared with encoding/json whole. It reads and writes
// by reflection, without unsafe code, and what it returns refers to none of its input.
package plainjson

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/weirstream/weir/internal/flat"
)

// maxDepth is how deep values may be nested. encoding/json goes further, up to 10,000, and finds cycles of pointers.
const maxDepth = 64

// Codec reads and writes values of type T. It may be used from several goroutines at once.
type Codec[T any] struct {
	shape   shape
	numbers bool      // whether values are all that they are made of: bytes without pointers
	readers sync.Pool // of *readingOf[T]
	writers sync.Pool // of *writingOf[T]
}

var codecs sync.Map // of *Codec[T], by the type T

// For returns the codec of a plain type, and nil for a type that is not. A type has one codec, so that what one reader or writer
// learns serves all.
func For[T any]() *Codec[T] {
	t := reflect.TypeFor[T]()
	if known, ok := codecs.Load(t); ok {
		return known.(*Codec[T])
	}
	s := shapes{}.of(t)
	if s == nil {
		return nil
	}
	made, _ := codecs.LoadOrStore(t, &Codec[T]{shape: s, numbers: flat.Plain(t)})
	return made.(*Codec[T])
}

// A readingOf is a reader with the value that it fills. Both are pooled, because what reflection sets would be allocated
// each time.
type readingOf[T any] struct {
	reader
	value  T
	self   reflect.Value // of value, settable
	fields []reflect.Value
}

// Parse reads data, which is one value. When it says false, nothing is known: encoding/json decides.
func (c *Codec[T]) Parse(data []byte) (v T, ok bool) {
	r, _ := c.readers.Get().(*readingOf[T])
	if r == nil {
		r = &readingOf[T]{}
		r.self = reflect.ValueOf(&r.value).Elem()
		r.fields = root(c.shape, r.self)
	}
	r.reader = reader{data: data, root: r.fields}
	if ok = r.document(c.shape, r.self); ok {
		v = r.value
	}
	r.data, r.value = nil, *new(T)
	c.readers.Put(r)
	return v, ok
}

// A writingOf is a writer with the value that it writes. Of a value of numbers it remembers the text: what a node puts into its store it
// mostly emits too, and comparing a few words is cheaper than writing them again.
type writingOf[T any] struct {
	writer
	value  T
	self   reflect.Value
	fields []reflect.Value
	last   T
	text   []byte // of last, nil if there is none
}

// maxText is how much text a writer remembers.
const maxText = 1 << 10

// Append writes v after dst and returns the extended slice. When it says false, nothing is known: encoding/json decides,
// and what was appended is to be ignored.
func (c *Codec[T]) Append(dst []byte, v T) (out []byte, ok bool) {
	w, _ := c.writers.Get().(*writingOf[T])
	if w == nil {
		w = &writingOf[T]{}
		w.self = reflect.ValueOf(&w.value).Elem()
		w.fields = root(c.shape, w.self)
	}
	w.value = v
	if w.text != nil && same(&w.value, &w.last) {
		out, ok = append(dst, w.text...), true
	} else {
		w.writer = writer{out: dst, root: w.fields}
		ok = c.shape.write(&w.writer, w.self)
		out = w.out
		if c.numbers && ok && len(out)-len(dst) <= maxText {
			w.last, w.text = v, append(w.text[:0], out[len(dst):]...)
		}
	}
	w.out, w.value = nil, *new(T)
	c.writers.Put(w)
	return out, ok
}

// same compares values without pointers as bytes. Two zeros, or what lies between the fields, may make it say no.
func same[T any](a, b *T) bool {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(a)), unsafe.Sizeof(*a))) == string(unsafe.Slice((*byte)(unsafe.Pointer(b)), unsafe.Sizeof(*b)))
}
