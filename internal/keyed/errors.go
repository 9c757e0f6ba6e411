package keyed

import (
	"errors"
	"fmt"
)

// UndecodableError says that the store's codec cannot read a value that the store holds: the codec, or the type of its
// values, is another one than when the value was written. The record that met it is not at fault.
type UndecodableError struct {
	Dir, Key string
	Err      error
}

func (e *UndecodableError) Error() string {
	return fmt.Sprintf("decode the value of key %q in %s: %v (was the codec or the type of the store changed?)", e.Key, e.Dir, e.Err)
}
func (e *UndecodableError) Unwrap() error { return e.Err }

// ErrStaleLoop ends a Range or Prefix loop that was still open when the transaction ended.
var ErrStaleLoop = errors.New("the loop over the store outlived the transaction that it began in")

// What a store answers to calls that are out of order.
var (
	ErrClosed     = errors.New("the store is closed")
	ErrInRecord   = errors.New("the changes of a record are still open: Keep or Undo them first")
	ErrUndrained  = errors.New("there are changes that were not drained to the changelog")
	ErrUnfinished = errors.New("there are uncommitted changes: Commit or Reset them first")
)
