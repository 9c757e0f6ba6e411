package gateway

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/publish"
)

const problemType = "application/problem+json"

// Problem is why something was not done, as problem+json (RFC 9457).
type Problem struct {
	Type   string  `json:"type" doc:"which kind of problem: urn:weir:problem: and a word that stays"`
	Title  string  `json:"title" doc:"the kind in words"`
	Status int     `json:"status" doc:"the HTTP status that it has, also where it stands beside others"`
	Detail string  `json:"detail,omitempty" doc:"what is wrong here"`
	Remedy string  `json:"remedy,omitempty" doc:"what to do about it"`
	Path   *string `json:"path,omitempty" doc:"JSON pointer (RFC 6901) to the place in the event's value, empty for the whole of it; left out where the value is not at fault"`

	Results []Answer `json:"results,omitempty" doc:"one for each event of the request, in order"`

	retryAfter time.Duration
	hangUp     bool   // the connection ends with the answer: it began with what is good no more
	bystander  bool   // the event was refused for another one of its batch
	forLog     string // what is wrong in words that are not for the client, "" where these are Detail
}

func (p *Problem) Error() string { return p.Detail }

// kind is a row of the table of problems: they are told apart by their type, which stays.
type kind struct {
	word, title, remedy string
	status              int
}

var (
	malformed     = kind{"malformed", "The request is not of the form that is wanted", "see /openapi.json for the forms", http.StatusBadRequest}
	unauthorized  = kind{"unauthorized", "Credentials are needed", "send an API key or a token as Authorization: Bearer ..., or a certificate that the gateway knows", http.StatusUnauthorized}
	forbidden     = kind{"forbidden", "This client may not do that", "ask who runs the gateway to allow the topic for this client", http.StatusForbidden}
	noTopic       = kind{"no-topic", "There is no such topic", "create the topic, or mend its name", http.StatusNotFound}
	noResource    = kind{"no-resource", "There is nothing here", "see /openapi.json for what there is", http.StatusNotFound}
	notAllowed    = kind{"method", "This resource does not take the method", "see /openapi.json for the methods", http.StatusMethodNotAllowed}
	tooLarge      = kind{"too-large", "The request is larger than is allowed", "send fewer or smaller events", http.StatusRequestEntityTooLarge}
	mediaType     = kind{"media-type", "The body has a form that is not taken here", "send application/json or application/x-ndjson, plain or with Content-Encoding gzip or zstd", http.StatusUnsupportedMediaType}
	invalid       = kind{"invalid-event", "The event is not what the topic takes", "mend the event; sent again as it is, it will be refused again", http.StatusUnprocessableEntity}
	conflict      = kind{"id-conflict", "The event id was used for another event", "give each event an id of its own", http.StatusUnprocessableEntity}
	badSchema     = kind{"schema", "The schema in the request cannot be used", "register the schema under the topic's subject", http.StatusUnprocessableEntity}
	slow          = kind{"too-slow", "The body did not come in time", "send it faster, or in smaller requests", http.StatusRequestTimeout}
	overQuota     = kind{"quota", "The client is over its quota", "wait as long as Retry-After says, then send again", http.StatusTooManyRequests}
	overloaded    = kind{"overload", "The gateway has as much to do as it can", "wait as long as Retry-After says, then send again", http.StatusTooManyRequests}
	unavailable   = kind{"unavailable", "Kafka takes nothing for the topic now", "send again with the same event id, after as long as Retry-After says: it may have been written", http.StatusServiceUnavailable}
	notWritten    = kind{"not-written", "Nothing was written", "send again, after as long as Retry-After says", http.StatusServiceUnavailable}
	defect        = kind{"defect", "The gateway has a defect", "report it with the line that the gateway logged", http.StatusInternalServerError}
	kindsOfEvents = []kind{malformed, unauthorized, forbidden, noTopic, tooLarge, mediaType, invalid, slow, overQuota, overloaded, unavailable, notWritten}
)

func (k kind) urn() string { return "urn:weir:problem:" + k.word }

// of makes a problem of the kind.
func (k kind) of(format string, args ...any) *Problem {
	return &Problem{Type: k.urn(), Title: k.title, Status: k.status, Detail: clipped(fmt.Sprintf(format, args...)), Remedy: k.remedy}
}

// mostDetail bounds what is said of an event, which may repeat what it holds: answers wait in memory too. Of what is said once for a request there may be more.
const (
	mostDetail  = 1 << 10
	mostReasons = 8 << 10
)

func clipped(text string) string { return jsonscan.Shortened(text, mostDetail) }

// long is of, with much to say.
func (k kind) long(format string, args ...any) *Problem {
	p := k.of("")
	p.Detail = jsonscan.Shortened(fmt.Sprintf(format, args...), mostReasons)
	return p
}

// at says where in the value something is wrong, by a JSON pointer.
func (p *Problem) at(path string) *Problem {
	if p.Path = &path; path != "" && p.Remedy == invalid.remedy {
		p.Remedy = "mend the event at the path; sent again as it is, it will be refused again"
	}
	return p
}

// ofKey makes the problem of a value that of a key: a path would be taken for one in the event's value.
func (p *Problem) ofKey() *Problem {
	if p.Path != nil && *p.Path != "" {
		p.Remedy = invalid.remedy
	}
	p.Detail, p.Path = clipped("the key: "+p.Detail), nil
	return p
}

func (p *Problem) todo(format string, args ...any) *Problem {
	p.Remedy = clipped(fmt.Sprintf(format, args...))
	return p
}

func (p *Problem) after(d time.Duration) *Problem { p.retryAfter = d; return p }

// retrySeconds is the header Retry-After, "" for none.
func (p *Problem) retrySeconds() string {
	after := p.retryAfter
	if after == 0 && (p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable) {
		after = time.Second
	}
	if after == 0 {
		return ""
	}
	return strconv.Itoa(int(math.Ceil(after.Seconds())))
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	p.headers(w)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = encoderTo(w).Encode(p) // the client has gone
}

func (p *Problem) headers(w http.ResponseWriter) {
	if a, ok := w.(*answered); ok {
		a.refused(p)
	}
	if after := p.retrySeconds(); after != "" {
		w.Header().Set("Retry-After", after)
	}
	if p.hangUp {
		w.Header().Set("Connection", "close") // on HTTP/2 it is said by GOAWAY
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
	}
}

// besideAnother is why an event of an atomic batch is not written that could be.
func besideAnother(why kind, todo string) *Problem {
	p := why.of("%v", errBeside).todo("%s", todo)
	p.bystander = true
	return p
}

const mendOthers = "mend the others, then send the batch again"

// ofWriting is the problem of an event that was not acknowledged.
func ofWriting(err error) *Problem {
	var refused *kafka.RefusedError
	var blocked *kafka.BlockedError
	var undecided *publish.UndecidedError
	switch {
	case errors.As(err, new(*conflictError)):
		return conflict.of("%v", err)
	case errors.Is(err, errIDsFull):
		return notWritten.of("%v", err).after(idsAgain).todo("raise --max-ids of every gateway: an id is forgotten a day after it was taken, never before")
	case errors.As(err, new(*estrangedError)):
		p := notWritten.of("the gateway that owns the ids and this one do not know each other; the log of this one says why").after(idsAgain)
		p.forLog = err.Error()
		return p
	case errors.Is(err, errOwnerTooLarge):
		return tooLarge.of("%v", err).todo("send fewer events in a request, or have every gateway run with the same --max-body-bytes")
	case errors.Is(err, errBeside):
		return besideAnother(invalid, mendOthers)
	case errors.Is(err, publish.ErrFull):
		return overloaded.of("%v", err)
	case errors.Is(err, publish.ErrClosed), errors.Is(err, publish.ErrNotTried):
		return notWritten.of("%v", err)
	case errors.As(err, &refused) && len(refused.Limits) > 0:
		return tooLarge.of("the event is too large for the topic: %v", refused.Err)
	case errors.As(err, &refused):
		return invalid.of("the topic does not take the record: %v", refused.Err)
	case errors.As(err, &undecided):
		return unavailable.of("whether the batch was committed is not known: %v", err)
	case errors.As(err, &blocked):
		return unavailable.of("%v", err).after(5 * time.Second)
	}
	return unavailable.of("%v", err)
}
