package plainjson

import (
	"reflect"
	"strings"
)

// maxFields is how many fields may be told apart in a set of bits.
const maxFields = 64

type structure struct {
	fields []field
	names  names
}

type field struct {
	name      []byte
	label     string // see the function
	at        int    // among the type's fields
	omitEmpty bool
	shape     shape
}

// structure is the shape of a struct, nil if it is not plain.
func (s shapes) structure(t reflect.Type) shape {
	st := &structure{}
	s[t] = st
	var all []named
	taken := map[string]bool{}
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
		if !ok || taken[string(made.name)] || len(st.fields) == maxFields {
			return nil
		}
		if made.shape = s.of(f.Type); made.shape == nil {
			return nil
		}
		made.at = i
		taken[string(made.name)] = true
		all = append(all, named{made.label, len(st.fields)})
		st.fields = append(st.fields, made)
	}
	st.names.now.Store(newSequence(all))
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
	return field{name: []byte(name), label: label([]byte(name)), omitEmpty: options == "omitempty"}, options == "" || options == "omitempty"
}

func (st *structure) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	if !r.take('{') || !r.enter() {
		return false
	}
	fields := r.root
	r.root = nil
	var seen uint64
	sequence, at := st.names.now.Load(), -1
	for first := true; ; first = false {
		i, ok := sequence.next(r, first, &at)
		if !ok {
			more, done := r.more(first, '}')
			if !more {
				return done && r.leave()
			}
			if i, ok = st.name(r, sequence, &at); !ok {
				return false
			}
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
		if !f.shape.read(r, f.of(v, fields, i)) {
			return false
		}
	}
}

// of is field i of v, which is among fields where they were looked up before.
func (f *field) of(v reflect.Value, fields []reflect.Value, i int) reflect.Value {
	if fields != nil {
		return fields[i]
	}
	return v.Field(f.at)
}

// root are the fields of the value itself: of one that is read or written again and again they are looked up once.
func root(s shape, value reflect.Value) (fields []reflect.Value) {
	if st, ok := s.(*structure); ok {
		for i := range st.fields {
			fields = append(fields, value.Field(st.fields[i].at))
		}
	}
	return fields
}

func (st *structure) write(w *writer, v reflect.Value) bool {
	if !w.enter() {
		return false
	}
	fields := w.root
	w.root = nil
	w.out = append(w.out, '{')
	for i, first := 0, true; i < len(st.fields); i++ {
		f := &st.fields[i]
		value := f.of(v, fields, i)
		if f.omitEmpty && empty(value) {
			continue
		}
		w.out = append(w.out, f.label[before(first):]...)
		first = false
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
