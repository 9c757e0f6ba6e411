package registry

import (
	"fmt"
	"net/http"
)

// Error is an answer of the API that refuses: its HTTP status follows from the code.
type Error struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// status is the HTTP status of a code: its first three digits.
func (e *Error) status() int {
	if e.Code < 1000 {
		return e.Code
	}
	return e.Code / 100
}

// unset says that a setting is not made, which is an answer: another one holds.
func (e *Error) unset() bool { return e.Code == 40408 || e.Code == 40409 }

func refuse(code int, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
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
	return refuse(50003, "Error while forwarding the request to the primary: %v", err)
}
func unknownLeader() *Error { return refuse(50004, "Leader not known.") }
