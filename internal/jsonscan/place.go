package jsonscan

import (
	"errors"
	"strconv"
)

// Error is a mistake at a place.
type Error struct {
	path string // from the place outwards: ".amount", "[2].amount"
	Err  error
}

// Path is the place, as $.lines[2].amount.
func (e *Error) Path() string { return "$" + e.path }

func (e *Error) Error() string { return "$" + e.path + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// longestPath bounds a path: names of a document are as long as its author likes.
const longestPath = 1000

// Below puts an error below a member of an object.
func Below(err error, name string) error { return below(err, Segment(name)) }

// At puts an error below an element of an array.
func At(err error, index int) error { return below(err, "["+strconv.Itoa(index)+"]") }

// Segment is a name in a path: .name, or ["any name"].
func Segment(name string) string {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(name) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + name
}

func below(err error, segment string) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{segment, err}
	}
	if len(e.path)+len(segment) < longestPath {
		e.path = segment + e.path
	}
	return e
}

// Located gives an error without a place the place of the document itself.
func Located(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{"", err}
}
