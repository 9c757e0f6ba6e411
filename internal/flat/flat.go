// Package flat says which values can be handed out without a copy of what they refer to.
package flat

import (
	"reflect"
	"strings"
)

// Type reports whether copying a value of type t copies everything that it is made of, so that two copies have nothing
// in common that either could change. Strings count: they cannot be changed.
func Type(t reflect.Type) bool { return made(t, true) }

// Plain reports whether a value of type t is all that it is made of: its bytes are a whole copy of it, without pointers. Strings,
// which have one, do not count.
func Plain(t reflect.Type) bool { return made(t, false) }

// made says whether a type is made of numbers and booleans, and of strings where these count.
func made(t reflect.Type, withStrings bool) bool {
	switch t.Kind() {
	case reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.String:
		return withStrings
	case reflect.Array:
		return made(t.Elem(), withStrings)
	case reflect.Struct:
		for i := range t.NumField() {
			if !made(t.Field(i).Type, withStrings) {
				return false
			}
		}
		return true
	}
	return false
}

// Written reports whether an encoding may have all of a value of type t, by what fields say of themselves: those that are unexported,
// or have "-" in a tag, are left out, and are zero in the value that is read back.
func Written(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return Written(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() && !f.Anonymous || strings.Contains(string(f.Tag), `:"-"`) || !Written(f.Type) {
				return false
			}
		}
	}
	return true
}
