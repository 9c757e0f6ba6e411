package plainjson

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
)

type pointer struct {
	elem shape
	to   reflect.Type
}

func (p *pointer) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	if !r.enter() {
		return false
	}
	made := reflect.New(p.to)
	if !p.elem.read(r, made.Elem()) {
		return false
	}
	v.Set(made)
	return r.leave()
}

func (p *pointer) write(w *writer, v reflect.Value) bool {
	if v.IsNil() {
		return w.null()
	}
	return w.enter() && p.elem.write(w, v.Elem()) && w.leave()
}

type slice struct {
	elem shape
	none reflect.Value // empty, not nil
}

func (s *slice) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	if !r.take('[') || !r.enter() {
		return false
	}
	for n := 0; ; n++ {
		more, done := r.more(n == 0, ']')
		if !more {
			if n == 0 {
				v.Set(s.none)
			}
			return done && r.leave()
		}
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		if !s.elem.read(r, v.Index(n)) {
			return false
		}
	}
}

func (s *slice) write(w *writer, v reflect.Value) bool {
	if v.IsNil() {
		return w.null()
	}
	return w.elements(s.elem, v, v.Len())
}

type array struct {
	elem shape
	len  int
}

func (a *array) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	if !r.take('[') || !r.enter() {
		return false
	}
	for n := 0; ; n++ {
		more, done := r.more(n == 0, ']')
		if !more {
			return done && r.leave()
		}
		if n == a.len || !a.elem.read(r, v.Index(n)) {
			return false
		}
	}
}

func (a *array) write(w *writer, v reflect.Value) bool { return w.elements(a.elem, v, a.len) }

func (w *writer) elements(elem shape, v reflect.Value, n int) bool {
	if !w.enter() {
		return false
	}
	w.out = append(w.out, '[')
	for i := range n {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if !elem.write(w, v.Index(i)) {
			return false
		}
	}
	w.out = append(w.out, ']')
	return w.leave()
}

// octets is a slice of bytes, which JSON has in base64.
type octets struct{}

func (octets) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	s, ok := r.plain()
	if !ok {
		return false
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(b, s)
	if err != nil {
		return false
	}
	v.SetBytes(b[:n])
	return true
}

func (octets) write(w *writer, v reflect.Value) bool {
	if v.IsNil() {
		return w.null()
	}
	w.out = append(w.out, '"')
	w.out = base64.StdEncoding.AppendEncode(w.out, v.Bytes())
	w.out = append(w.out, '"')
	return true
}

// dictionary is a map with text keys.
type dictionary struct {
	elem shape
	t    reflect.Type
}

func (d *dictionary) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	if !r.take('{') || !r.enter() {
		return false
	}
	v.Set(reflect.MakeMap(d.t))
	key, value := reflect.New(d.t.Key()).Elem(), reflect.New(d.t.Elem()).Elem()
	for first := true; ; first = false {
		more, done := r.more(first, '}')
		if !more {
			return done && r.leave()
		}
		name, ok := r.text()
		if !ok || !r.colon() {
			return false
		}
		value.SetZero()
		if !d.elem.read(r, value) {
			return false
		}
		key.SetString(name)
		v.SetMapIndex(key, value)
	}
}

// entry is a key of a map with its value.
type entry struct {
	key   string
	value reflect.Value
}

func (d *dictionary) write(w *writer, v reflect.Value) bool {
	if v.IsNil() {
		return w.null()
	}
	if !w.enter() {
		return false
	}
	entries := make([]entry, 0, v.Len())
	for all := v.MapRange(); all.Next(); {
		entries = append(entries, entry{all.Key().String(), all.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	w.out = append(w.out, '{')
	for i, e := range entries {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.text(e.key)
		w.out = append(w.out, ':')
		if !d.elem.write(w, e.value) {
			return false
		}
	}
	w.out = append(w.out, '}')
	return w.leave()
}
