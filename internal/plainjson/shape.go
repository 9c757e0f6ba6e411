package plainjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"
)

// A shape reads and writes the values of one plain type. Both say false to what encoding/json is to decide.
type shape interface {
	// read fills v, which is settable and zero, with the value that r is at. It leaves r after the value.
	read(r *reader, v reflect.Value) bool
	write(w *writer, v reflect.Value) bool
}

// shapes are the shapes of the types that were met on the way to one. A type may contain itself, so its shape is here before
// it is complete. One that is not plain makes all that contain it not plain, up to the one that was asked for.
type shapes map[reflect.Type]shape

// of returns the shape of a type, and nil if it is not plain.
func (s shapes) of(t reflect.Type) shape {
	if known, ok := s[t]; ok {
		return known
	}
	made := s.make(t)
	s[t] = made
	return made
}

func (s shapes) make(t reflect.Type) shape {
	if t == reflect.TypeFor[time.Time]() {
		return instant{}
	}
	if t.Kind() != reflect.Pointer && hasMethods(t) { // a pointer has those of what it points to
		return nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolean{}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return integer{}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return natural{}
	case reflect.Float32, reflect.Float64:
		return float{t.Bits()}
	case reflect.String:
		return text{}
	case reflect.Struct:
		return s.structure(t)
	}
	return s.container(t)
}

// container is the shape of a type that holds others, nil if they are not plain.
func (s shapes) container(t reflect.Type) shape {
	switch {
	case t.Kind() == reflect.Pointer && t.Name() != "" && t.Elem().Kind() != reflect.Pointer && hasMethods(t.Elem()):
		return nil // a pointer with a name of its own has no methods, so that encoding/json reads what it points to without them
	case t.Kind() == reflect.Pointer:
		p := &pointer{to: t.Elem()}
		return s.holding(t, p, &p.elem)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !hasMethods(t.Elem()):
		return octets{}
	case t.Kind() == reflect.Slice:
		l := &slice{none: reflect.MakeSlice(t, 0, 0)}
		return s.holding(t, l, &l.elem)
	case t.Kind() == reflect.Array:
		a := &array{len: t.Len()}
		return s.holding(t, a, &a.elem)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && !hasMethods(t.Key()):
		d := &dictionary{t: t}
		return s.holding(t, d, &d.elem)
	}
	return nil
}

// holding returns made, the shape of t, with the shape of what t holds, and nil if that is not plain.
func (s shapes) holding(t reflect.Type, made shape, elem *shape) shape {
	s[t] = made
	if *elem = s.of(t.Elem()); *elem == nil {
		return nil
	}
	return made
}

// methods are the interfaces that encoding/json looks for.
var methods = []reflect.Type{
	reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
	reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
}

// hasMethods says whether encoding/json may call a method of the type, or handles it by its name, as json.Number.
func hasMethods(t reflect.Type) bool {
	if t == reflect.TypeFor[json.Number]() {
		return true
	}
	for _, m := range methods {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return true
		}
	}
	return false
}
