package jsonscan

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Error is a mistake at a place.
type Error struct {
	Err   error
	place []token // from the innermost to the outermost
}

// token is a step of a place: a member's name or an element's index.
type token struct {
	name  string
	index int // -1 for a name
	cut   bool
}

// What is said of a mistake is bounded, as it repeats what its author wrote: names, and texts, are as long as he likes.
const (
	longestName    = 100
	longestPath    = 500
	longestPointer = 1000
	longestText    = 600
)

// Path is the place, as $.lines[2].amount.
func (e *Error) Path() string {
	var b strings.Builder
	b.WriteByte('$')
	for _, t := range slices.Backward(e.place) {
		segment := t.segment()
		if b.Len()+len(segment) > longestPath {
			b.WriteString("...")
			break
		}
		b.WriteString(segment)
	}
	return b.String()
}

// Pointer is the place as a JSON pointer (RFC 6901), "" for the document itself. Of a place that would be too long it is what lies around it, so that it always points at
// something.
func (e *Error) Pointer() string {
	var b strings.Builder
	for _, t := range slices.Backward(e.place) {
		text := t.name
		if t.index >= 0 {
			text = strconv.Itoa(t.index)
		}
		text = Token(text)
		if t.cut || b.Len()+len(text) > longestPointer {
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// Token is a name as a part of a JSON pointer.
func Token(name string) string { return "/" + pointerEscapes.Replace(name) }

func (e *Error) Error() string { return e.Path() + ": " + Shortened(e.Err.Error(), longestText) }
func (e *Error) Unwrap() error { return e.Err }

// Shortened is a text, or its beginning.
func Shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// Errors are several mistakes, on one line.
type Errors []error

func (e Errors) Unwrap() []error { return e }
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Below puts an error below a member of an object.
func Below(err error, name string) error { return below(err, named(name)) }

// At puts an error below an element of an array.
func At(err error, index int) error { return below(err, token{index: index}) }

// Place leads from the document inwards to a value.
type Place []token

// Member is the place of a member of the object at a place.
func (p Place) Member(name string) Place { return append(p[:len(p):len(p)], named(name)) }

// Element is the place of an element of the array at a place.
func (p Place) Element(index int) Place { return append(p[:len(p):len(p)], token{index: index}) }

// Of is an error at the place.
func (p Place) Of(err error) error {
	place := slices.Clone(p)
	slices.Reverse(place)
	return &Error{err, place}
}

// Segment is a name in a path: .name, or ["any name"].
func Segment(name string) string { return named(name).segment() }

func named(name string) token {
	if len(name) > longestName {
		return token{strings.Clone(strings.ToValidUTF8(name[:longestName], "")), -1, true}
	}
	return token{name, -1, false}
}

func (t token) segment() string {
	switch {
	case t.index >= 0:
		return "[" + strconv.Itoa(t.index) + "]"
	case t.cut:
		return "[" + strconv.Quote(t.name+"...") + "]"
	}
	for i, c := range t.name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(t.name) + "]"
		}
	}
	if t.name == "" {
		return `[""]`
	}
	return "." + t.name
}

func below(err error, t token) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{err, []token{t}}
	}
	e.place = append(e.place, t)
	return e
}

// Located gives an error without a place the place of the document itself.
func Located(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Err: err}
}
