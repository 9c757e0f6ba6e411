package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// The kinds of errors: one of them is true of each [*Error], by errors.Is.
var (
	// ErrAway says that the registry cannot be asked now: it is not reached, does not answer in time, has an error of its own, does
	// not know the credentials or the path, or what answers is no registry. Nothing is known; ask again later.
	ErrAway = errors.New("the schema registry cannot be asked")
	// ErrNotFound says that the registry has no such subject, version, schema or setting. One that is mirrored from another may have it
	// a moment later.
	ErrNotFound = errors.New("the schema registry has no such thing")
	// ErrIncompatible says that a new version would break readers, by the subject's level of compatibility.
	ErrIncompatible = errors.New("the schema is not compatible")
	// ErrRefused says that the registry does not do what was asked for. Asking again does not help.
	ErrRefused = errors.New("the schema registry refuses")
)

// Error is a request that failed.
type Error struct {
	Op   string // what was asked for, in words: "get schema 7"
	Code int    // the registry's error_code, as 40403; 0 where it gave none
	// Reasons are the incompatibilities of an [ErrIncompatible], in the registry's words.
	Reasons []Incompatibility
	Err     error // what happened

	kind error
}

func (e *Error) Error() string {
	text := e.Op + ": " + e.Err.Error()
	if e.Code != 0 {
		text += fmt.Sprintf(" (error code %d)", e.Code)
	}
	return text
}

// Unwrap returns the kind of the error and what happened.
func (e *Error) Unwrap() []error { return []error{e.kind, e.Err} }

// NewError is how another [Source] says what went wrong: kind is [ErrAway], [ErrNotFound], [ErrIncompatible] or [ErrRefused].
func NewError(op string, kind, err error) *Error { return &Error{Op: op, Err: err, kind: kind} }

func away(op string, err error) *Error {
	var failed *url.Error
	if errors.As(err, &failed) { // which names the address twice, once as the library does
		if at, wrong := url.Parse(failed.URL); wrong == nil {
			switch {
			case errors.Is(failed.Err, context.Canceled): // nobody wants the answer any more, which says nothing of the registry
				err = failed.Err
			case failed.Timeout():
				err = &lateError{at.Host, failed.Err}
			default:
				err = fmt.Errorf("the registry at %s cannot be reached: %w", at.Host, failed.Err)
			}
		}
	}
	return &Error{Op: op, Err: err, kind: ErrAway}
}

// lateError says that a registry has not answered.
type lateError struct {
	host string
	err  error
}

func (e *lateError) Error() string {
	return "the registry at " + e.host + " cannot be reached, or has not answered in time"
}
func (e *lateError) Unwrap() error { return e.err }

// judge makes an Error of what a request ended with.
func judge(op string, err error) error {
	if err == nil {
		return nil
	}
	var said *sr.ResponseError
	if !errors.As(err, &said) {
		return away(op, err)
	}
	e := &Error{Op: op, Code: said.ErrorCode, kind: ErrAway}
	message, isRegistry := messageIn(said)
	switch status := said.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Err = fmt.Errorf("the registry does not let this client in (%s): check its credentials", http.StatusText(status))
		return e
	case !isRegistry:
		e.Code = 0
		e.Err = fmt.Errorf("what answers with status %d is no schema registry, or is not well: check the URL", status)
		return e
	case noPath(said):
		e.Code = 0
		e.Err = fmt.Errorf("the registry has no path for this (%s %s): %s", said.Method, pathOf(said.URL), remedyOf(said.URL))
		return e
	case status == http.StatusNotFound:
		e.kind = ErrNotFound
	case status == http.StatusConflict:
		e.kind = ErrIncompatible
		e.Reasons = reasonsIn(message)
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500, status < 400:
	default:
		e.kind = ErrRefused
	}
	e.Err = errors.New(shortened(message))
	return e
}

// messageIn is what a registry says; others do not answer in its form.
func messageIn(said *sr.ResponseError) (message string, isRegistry bool) {
	var answer struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	isRegistry = json.Unmarshal(said.Raw, &answer) == nil && answer.Code != 0
	return answer.Message, isRegistry
}

// noPath says whether a registry does not have the path, or the method there: the URL has a path too many, or one that is missing, or the
// registry is one that does not have this part of the API. It says nothing of what was asked for: that something is not there has a
// code of its own, 404 and two more digits.
func noPath(said *sr.ResponseError) bool {
	switch said.StatusCode {
	case http.StatusNotFound:
		return said.ErrorCode/100 != http.StatusNotFound
	case http.StatusMethodNotAllowed:
		return true
	}
	return false
}

func pathOf(asked string) string {
	at, err := url.Parse(asked)
	if err != nil {
		return "?"
	}
	return at.Path
}

func remedyOf(asked string) string {
	if strings.Contains(asked, guidPath) {
		return "check the path in its URL; registries that know no GUIDs do not have it, then the writer has to put the id before the value"
	}
	return "check the path in its URL"
}

// longest is how much of a registry's message an error has.
const longest = 4 << 10

func shortened(text string) string {
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}
