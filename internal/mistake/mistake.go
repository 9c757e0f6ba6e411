// Package mistake is a mistake in settings as data, so that whoever knows where a setting was given can say so without
// reading the text of an error.
package mistake

import (
	"fmt"
)

// Error says what is wrong with a setting, or with several together. Its text names them.
type Error struct {
	Settings []string // the names that users write, the one that is wrong first, then those that it does not go with
	Err      error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Settings are what a mistake concerns.
type Settings []string

// In begins a mistake with the settings that it concerns.
func In(settings ...string) Settings { return settings }

// Errorf makes an *Error as fmt.Errorf makes an error.
func (s Settings) Errorf(format string, args ...any) error {
	return &Error{s, fmt.Errorf(format, args...)}
}
