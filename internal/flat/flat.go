// Package flat says which values can be handed out without a copy of what they refer to.
package flat

import "reflect"

// Type reports whether copying a value of type t copies everything that it is made of, so that two copies have nothing
// in common that either could change. Strings count: they cannot be changed.
func Type(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return Type(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !Type(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}

// Plain reports whether a value of type t is all that it is made of: its bytes are a whole copy of it, without pointers.
func Plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String:
		return false
	case reflect.Array:
		return Plain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !Plain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return Type(t)
}
