package plainjson

import (
	"bytes"
	"reflect"
	"strings"
)

// maxFields is how many fields may be told apart in a set of bits.
const maxFields = 64

type structure struct {
	fields []field
	index  map[string]int // by name
}

type field struct {
	name      []byte
	label     string // `"name":`, as it is in a document
	at        int    // among the type's fields
	omitEmpty bool
	shape     shape
}

// structure is the shape of a struct, nil if it is not plain.
func (s shapes) structure(t reflect.Type) shape {
	st := &structure{index: map[string]int{}}
	s[t] = st
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			return nil
		}
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" {
			continue
		}
		made, ok := fieldOf(f, tag)
		if _, twice := st.index[string(made.name)]; !ok || twice || len(st.fields) == maxFields {
			return nil
		}
		if made.shape = s.of(f.Type); made.shape == nil {
			return nil
		}
		made.at = i
		st.index[string(made.name)] = len(st.fields)
		st.fields = append(st.fields, made)
	}
	return st
}

func fieldOf(f reflect.StructField, tag string) (field, bool) {
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		name = f.Name
	}
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("_-.:/@$", c)) {
			return field{}, false
		}
	}
	return field{name: []byte(name), label: `"` + name + `":`, omitEmpty: options == "omitempty"}, options == "" || options == "omitempty"
}

func (st *structure) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	if !r.take('{') || !r.enter() {
		return false
	}
	var seen uint64
	next := 0 // the field that is likely to be next
	for first := true; ; first = false {
		more, done := r.more(first, '}')
		if !more {
			return done && r.leave()
		}
		i, ok := st.name(r, next)
		if !ok {
			return false
		}
		if i < 0 {
			if !r.skip() {
				return false
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return false // encoding/json merges the two
		}
		seen |= 1 << i
		f := &st.fields[i]
		if !f.shape.read(r, v.Field(f.at)) {
			return false
		}
		next = i + 1
	}
}

// name passes the name in an object and the colon, and returns the field, or -1 if there is none.
func (st *structure) name(r *reader, next int) (int, bool) {
	if next < len(st.fields) && r.word(st.fields[next].label) {
		r.space()
		return next, true
	}
	name, ok := r.key()
	if !ok {
		return 0, false
	}
	if i, ok := st.index[string(name)]; ok {
		return i, true
	}
	for i := range st.fields {
		// The Kelvin sign is a k, too.
		if bytes.EqualFold(st.fields[i].name, name) {
			return 0, false
		}
	}
	return -1, true
}

func (st *structure) write(w *writer, v reflect.Value) bool {
	if !w.enter() {
		return false
	}
	w.out = append(w.out, '{')
	for i, first := 0, true; i < len(st.fields); i++ {
		f := &st.fields[i]
		value := v.Field(f.at)
		if f.omitEmpty && empty(value) {
			continue
		}
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		w.out = append(w.out, f.label...)
		if !f.shape.write(w, value) {
			return false
		}
	}
	w.out = append(w.out, '}')
	return w.leave()
}

// empty says whether omitempty omits the value.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
