package jsonscan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// Plain says what encoding/json finds wrong with a document in the words of who wrote that: which kind of value is wanted where, and no type of this program.
func Plain(err error) error {
	var mistyped *json.UnmarshalTypeError
	var times *time.ParseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mistyped):
		place := ""
		if mistyped.Field != "" {
			place = "at " + clipped(mistyped.Field, longestPath) + " "
		}
		return fmt.Errorf("%s%s is wanted, and there is %s", place, wanted(mistyped.Type), there(mistyped.Value))
	case errors.As(err, &times), strings.HasPrefix(err.Error(), "Time.UnmarshalJSON"):
		return errors.New("a time is wanted, as \"2006-01-02T15:04:05Z\"")
	case strings.HasPrefix(err.Error(), "json: invalid number literal"):
		return errors.New("a number is wanted, and there is a text")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.HasPrefix(err.Error(), "unexpected end of JSON"):
		return errors.New("the JSON ends too early")
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fmt.Errorf("there is no member %s in this form", clipped(name, longestPath))
	}
	return err
}

func clipped(text string, most int) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// wanted is the kind of value that a type is read from.
func wanted(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil:
		return "another value"
	case t == reflect.TypeFor[json.Number]():
		return "a number"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a text"
		}
		return "an array"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number of %d bits that is not below 0", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "another value"
}

// there is what encoding/json calls a value.
func there(value string) string {
	kind, rest, _ := strings.Cut(value, " ")
	switch kind {
	case "number":
		if rest == "" {
			return "a number"
		}
		return clipped(rest, longestName)
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	case "array", "object":
		return "an " + kind
	}
	return "a " + clipped(value, longestName)
}
