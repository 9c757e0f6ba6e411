package cli

import (
	"errors"
)

// The exit codes, documented in docs/exit-codes.md.
const (
	exitFailure   = 1
	exitUsage     = 2
	exitRefused   = 3
	exitFatal     = 4
	exitDisagrees = 5
	exitDiffers   = 6
	exitSignal    = 128 // plus the number of the signal that was the second one
)

// coded is an error with the exit code that it leads to.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code, err}
}

// ExitCode is the exit code that an error of Execute leads to.
func ExitCode(err error) int {
	var c *coded
	switch {
	case err == nil:
		return 0
	case errors.As(err, &c):
		return c.code
	}
	// cobra's own errors carry no code: a command, an argument or a flag that does not exist.
	return exitUsage
}

// DiffersError marks an error that says that things are not as a file says, for whoever has asked for that exit code.
func DiffersError(err error) error { return withCode(exitDiffers, err) }

// UsageError marks an error as one of wrong use or settings.
func UsageError(err error) error { return withCode(exitUsage, err) }
