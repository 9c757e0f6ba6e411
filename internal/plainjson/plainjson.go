// Package plainjson reads and writes JSON of plain types, several times as fast as encoding/json, with the same results.
//
// Plain types are those that encoding/json handles without methods and without special rules: booleans, numbers, strings,
// time.Time, []byte, structs without embedded fields, and pointers, slices, arrays and maps with text keys of these. [For]
// returns nil for all others.
//
// It never decides what is wrong. It refuses whatever is out of the ordinary, without a reason, and the caller asks
// encoding/json: bad syntax, a wrong type, a number that may not fit, a name that comes twice or in another case, bytes
// that are not UTF-8, deep nesting. What it accepts is little enough to be compared with encoding/json whole. It uses
// reflection and no unsafe code, and what it returns refers to none of its input.
package plainjson

import (
	"reflect"
	"sync"
)

// maxDepth is how deep values may be nested. encoding/json goes further, up to 10,000, and finds cycles of pointers.
const maxDepth = 64

// Codec reads and writes values of type T. It may be used from several goroutines at once.
type Codec[T any] struct {
	shape   shape
	readers sync.Pool // of *readingOf[T]
	writers sync.Pool // of *writingOf[T]
}

// For returns the codec of a plain type, and nil for a type that is not.
func For[T any]() *Codec[T] {
	s := shapes{}.of(reflect.TypeFor[T]())
	if s == nil {
		return nil
	}
	return &Codec[T]{shape: s}
}

// A readingOf is a reader with the value that it fills. Both are pooled, because what reflection sets would be allocated
// each time.
type readingOf[T any] struct {
	reader
	value T
	self  reflect.Value // of value, settable
}

// Parse reads data, which is one value. When it says false, nothing is known: encoding/json decides.
func (c *Codec[T]) Parse(data []byte) (v T, ok bool) {
	r, _ := c.readers.Get().(*readingOf[T])
	if r == nil {
		r = &readingOf[T]{}
		r.self = reflect.ValueOf(&r.value).Elem()
	}
	r.reader = reader{data: data}
	if ok = r.document(c.shape, r.self); ok {
		v = r.value
	}
	r.reader, r.value = reader{}, *new(T)
	c.readers.Put(r)
	return v, ok
}

type writingOf[T any] struct {
	writer
	value T
	self  reflect.Value
}

// Append writes v after dst and returns the extended slice. When it says false, nothing is known: encoding/json decides,
// and what was appended is to be ignored.
func (c *Codec[T]) Append(dst []byte, v T) (out []byte, ok bool) {
	w, _ := c.writers.Get().(*writingOf[T])
	if w == nil {
		w = &writingOf[T]{}
		w.self = reflect.ValueOf(&w.value).Elem()
	}
	w.writer, w.value = writer{out: dst}, v
	ok = c.shape.write(&w.writer, w.self)
	out = w.out
	w.writer, w.value = writer{}, *new(T)
	c.writers.Put(w)
	return out, ok
}
