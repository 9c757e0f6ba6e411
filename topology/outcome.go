package topology

import (
	"errors"
	"fmt"
)

// DropReason says why a node left a record out.
type DropReason int8

// Filtered: the topology does not want it. Duplicate: it was seen before.
const (
	Filtered DropReason = iota
	Duplicate
)

func (r DropReason) String() string {
	switch r {
	case Filtered:
		return "filtered"
	case Duplicate:
		return "duplicate"
	}
	return fmt.Sprintf("drop reason %d", int8(r))
}

// ErrTombstone is why a tombstone, or a null that stands for one, is a dead letter when the node that reads it has no [Tombstone] function.
var ErrTombstone = errors.New("the record is a tombstone, and On has no Tombstone function for it")

// DecodeError says that an input record is not one of its stream. Like a rejected record it is never tried again.
type DecodeError struct {
	Stream string
	Key    bool // the record's key is not one of the stream's KeyCodec; else its value is not one of the stream's
	Err    error
}

func (e *DecodeError) Error() string {
	if e.Key {
		return fmt.Sprintf("decode key of %s: %v", e.Stream, e.Err)
	}
	return fmt.Sprintf("decode value of %s: %v", e.Stream, e.Err)
}
func (e *DecodeError) Unwrap() error { return e.Err }

// Reject says that the record is at fault, and will be however often it is tried: it goes to the dead letter topic at
// once. Reject(nil) is an error as well.
func Reject(err error) error { return &rejected{reason(err)} }

// Fatal says that the program must not go on, whatever the record: the instance stops without committing it. Fatal(nil)
// is an error as well.
func Fatal(err error) error { return &fatal{reason(err)} }

func reason(err error) error {
	if err == nil {
		return errors.New("no reason given")
	}
	return err
}

// Dropped reports whether err, an error that a node returned, is that of [Context.Drop], and for what reason. Wrapping
// by the node does not hide it, but a drop that is joined with another error is a failure.
func Dropped(err error) (DropReason, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if d, ok := err.(*dropped); ok {
			return d.reason, true
		}
	}
	return 0, false
}

// IsRejected reports whether err, an error that a node returned, says that no repetition will help: it is that of
// [Reject] or a [DecodeError], or wraps one. A fatal error is not rejected, whatever it wraps.
func IsRejected(err error) bool {
	if IsFatal(err) {
		return false
	}
	_, reject := errors.AsType[*rejected](err)
	_, decode := errors.AsType[*DecodeError](err)
	return reject || decode
}

// IsFatal reports whether err, an error that a node returned, is that of [Fatal], or wraps one.
func IsFatal(err error) bool {
	_, ok := errors.AsType[*fatal](err)
	return ok
}

type dropped struct{ reason DropReason }

func (d *dropped) Error() string { return "dropped: " + d.reason.String() }

// A drop is as common as a record, and must not allocate.
var droppedFor = [...]*dropped{Filtered: {Filtered}, Duplicate: {Duplicate}}

type rejected struct{ err error }

func (e *rejected) Error() string { return "rejected: " + e.err.Error() }
func (e *rejected) Unwrap() error { return e.err }

type fatal struct{ err error }

func (e *fatal) Error() string { return "fatal: " + e.err.Error() }
func (e *fatal) Unwrap() error { return e.err }
