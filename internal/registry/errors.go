package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/weirstream/weir/internal/kafka"
)

// Error is an answer of the API that refuses: its HTTP status follows from the code.
type Error struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`

	passes bool // it is worth asking again in a moment
}

func (e *Error) Error() string { return e.Message }

// status is the HTTP status of a code: its first three digits, and 503 of what passes.
func (e *Error) status() int {
	if e.passes {
		return http.StatusServiceUnavailable
	}
	if e.Code < 1000 {
		return e.Code
	}
	return e.Code / 100
}

// unset says that a setting is not made, which is an answer: another one holds.
func (e *Error) unset() bool { return e.Code == 40408 || e.Code == 40409 }

func refuse(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// The codes of Confluent's API, with its words.
func noSubject(subject string) *Error { return refuse(40401, "Subject '%s' not found.", subject) }
func noVersion(version any) *Error    { return refuse(40402, "Version %v not found.", version) }
func noSchema() *Error                { return refuse(40403, "Schema not found") }
func noSchemaOf(id any) *Error        { return refuse(40403, "Schema %v not found", id) }
func subjectSoftDeleted(s string) *Error {
	return refuse(40404, "Subject '%s' was soft deleted.Set permanent=true to delete permanently", s)
}
func subjectNotSoftDeleted(s string) *Error {
	return refuse(40405, "Subject '%s' was not deleted first before being permanently deleted", s)
}
func versionSoftDeleted(s string, v int) *Error {
	return refuse(40406, "Subject '%s' Version %d was soft deleted.Set permanent=true to delete permanently", s, v)
}
func versionNotSoftDeleted(s string, v int) *Error {
	return refuse(40407, "Subject '%s' Version %d was not deleted first before being permanently deleted", s, v)
}
func noSubjectLevel(s string) *Error {
	return refuse(40408, "Subject '%s' does not have subject-level compatibility configured", s)
}
func noSubjectMode(s string) *Error {
	return refuse(40409, "Subject '%s' does not have subject-level mode configured", s)
}
func invalidSchema(format string, args ...any) *Error {
	return refuse(42201, "Invalid schema "+format, args...)
}
func invalidVersion(v string) *Error {
	return refuse(42202, "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", v)
}
func invalidLevel() *Error {
	return refuse(42203, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
}
func invalidMode() *Error {
	return refuse(42204, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")
}
func notPermitted(format string, args ...any) *Error { return refuse(42205, format, args...) }
func referenceExists(subject string, version int) *Error {
	return refuse(42206, "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%s,version=%d}.", subject, version)
}
func invalidSubject(s string) *Error {
	return refuse(42208, "The specified subject '%s' is not a valid.", s)
}
func badJSON(err error) *Error {
	return refuse(http.StatusBadRequest, "the body is not the JSON that is wanted: %v", err)
}
func storeError(err error) *Error { return refuse(50001, "Error in the backend data store: %v", err) }
func forwardFailed(err error) *Error {
	return passing(50003, "Error while forwarding the request to the primary: %v", err)
}
func unknownLeader() *Error { return passing(50004, "Leader not known.") }

// passing is an error that is answered with 503 and Retry-After.
func passing(code int, format string, args ...any) *Error {
	e := refuse(code, format, args...)
	e.passes = true
	return e
}

// Starting answers requests while the registry of a process is not there yet, since no broker has answered.
func Starting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get(headerWriter) != "" { // another server takes it for the writer, which it was before it was started again
			w.Header().Set(headerWriter, "no")
		}
		reply(w, nil, passing(50002, "Error in the backend data store: the registry is starting, and the brokers have not answered yet"))
	})
}

// unsure is said of a change that may have been made, or may still be.
const unsure = "It is not known whether the change was made, or still will be: look, or send it again. A schema that is registered twice has one id"

// unsureError is what ended a change that may have been made, or may still be.
type unsureError struct{ error }

func (e unsureError) Unwrap() error { return e.error }

// ofStore is an error of what the topic is on: of brokers that cannot be reached, or do not answer in time, or of the topic.
func ofStore(err error, changes bool) *Error {
	var refused *Error
	var wire *kafka.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, new(unsureError)):
		return passing(50002, "Error in the backend data store: %v. %s", err, unsure)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, errStopping), errors.Is(err, kafka.ErrNotSent), errors.As(err, &wire) && wire.Class == kafka.Retriable:
		nothing := ""
		if changes {
			nothing = ". Nothing was changed"
		}
		return passing(50002, "Error in the backend data store: %v%s", err, nothing)
	}
	return storeError(err)
}
