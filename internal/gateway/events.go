package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/weirstream/weir/internal/jsonscan"
)

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// postEvents takes one JSON event, an array of them, a stream of lines, a Protobuf message, or CloudEvents.
func (g *Gateway) postEvents(w http.ResponseWriter, r *http.Request) {
	if form := r.Header.Get("Content-Type"); form == jsonType && r.Header.Get("Ce-Specversion") == "" {
		g.postJSON(w, r) // most requests; the others' types are read
		return
	}
	form, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		mediaType.of("Content-Type %q cannot be read", r.Header.Get("Content-Type")).write(w)
		return
	}
	switch {
	case isCloudEvent(r):
		g.postCloudEvents(w, r)
	case form == "" || form == jsonType || form == "application/x-www-form-urlencoded": // the last is what curl -d says of anything
		g.postJSON(w, r)
	case form == ndjsonType || form == "application/jsonl" || form == "application/jsonlines":
		g.postLines(w, r)
	case isProtobuf(form):
		g.postMessage(w, r, params["messagetype"])
	default:
		mediaType.of("Content-Type %q is not taken", form).write(w)
	}
}

// readBody reads a body that is no stream, and lets the request be worked on. within is what it may be. leave gives back what it has taken.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, q *request, within single) (data []byte, leave func(), p *Problem) {
	if p := g.busy(r.Context(), q); p != nil {
		return nil, nil, p
	}
	body, p := g.open(w, r, g.Limits.Body)
	if p != nil {
		return nil, nil, p
	}
	defer body.close()
	within.r = body
	counted := g.counted(&within)
	data, err := readAll(counted, r.ContentLength)
	if err != nil {
		counted.forget()
		return nil, nil, ofBody(err)
	}
	if p := g.enter(q); p != nil {
		counted.forget()
		return nil, nil, p
	}
	q.body = counted
	return data, func() { q.permit.leave(); counted.forget() }, nil
}

// Of what is read at once a piece is as large as what came before it, within these bounds: for saying how long it is a body gets no more memory.
const (
	leastPiece = 4 << 10
	mostPiece  = 1 << 20
)

// readAll is io.ReadAll for a body that says how long it is, -1 for none. It reads in pieces, so that a long body takes twice its length at most.
func readAll(r io.Reader, length int64) ([]byte, error) {
	piece := make([]byte, 0, 1+min(max(0, length), 64<<10)) // one more, to read the end into
	var pieces [][]byte
	for whole := 0; ; {
		if len(piece) == cap(piece) {
			pieces, piece = append(pieces, piece), make([]byte, 0, min(max(whole, leastPiece), mostPiece))
		}
		n, err := r.Read(piece[len(piece):cap(piece)])
		piece = piece[:len(piece)+n]
		whole += n
		switch {
		case err == io.EOF && len(pieces) == 0:
			return piece, nil
		case err == io.EOF:
			return bytes.Join(append(pieces, piece), nil), nil
		case err != nil:
			return nil, err
		}
	}
}

// receive begins a request of events that is no stream, and reads its body, which is one event, or an array where they are taken. leave gives up what the
// request has taken.
func (g *Gateway) receive(w http.ResponseWriter, r *http.Request, within single) (q *request, data []byte, leave func(), p *Problem) {
	if q, p = g.beginEvents(r); p == nil {
		data, leave, p = g.readBody(w, r, q, within)
	}
	return q, data, leave, p
}

// oneEvent bounds a body of one event, an array aside.
func (g *Gateway) oneEvent(arrays bool) single {
	return single{most: int64(g.Limits.Event) + singleSlack, arrays: arrays}
}

// postMessage takes one Protobuf message. name says which one of the schema's it is; "" is the first.
func (g *Gateway) postMessage(w http.ResponseWriter, r *http.Request, name string) {
	q, data, leave, p := g.receive(w, r, g.oneEvent(false))
	if p != nil {
		p.write(w)
		return
	}
	defer leave()
	e := q.event(data, -1)
	e.form, e.null, e.message = asMessage, false, name
	g.answerOne(w, g.publishAll(q, []*event{e})[0])
}

// answerOne answers a request with one event.
func (g *Gateway) answerOne(w http.ResponseWriter, a Answer) {
	if a.Error != nil {
		a.Error.write(w)
		return
	}
	writeJSON(w, http.StatusOK, a)
}

// postJSON takes a body with one event, or an array.
func (g *Gateway) postJSON(w http.ResponseWriter, r *http.Request) {
	q, data, leave, p := g.receive(w, r, g.oneEvent(true))
	if p != nil {
		p.write(w)
		return
	}
	defer leave()
	data = bytes.Trim(data, " \t\r\n")
	if len(data) > 0 && data[0] == '[' {
		values, p := elements(data, g.Limits.Events)
		if p != nil {
			p.write(w)
			return
		}
		events := make([]*event, len(values))
		for i, v := range values {
			events[i] = q.event(v, i)
		}
		answers := g.publishAll(q, events)
		q.body.answering() // of what was sent nothing is needed any more
		g.answerMany(w, answers)
		return
	}
	if len(data) == 0 {
		malformed.of("the body is empty").write(w)
		return
	}
	g.answerOne(w, g.publishAll(q, []*event{q.event(data, -1)})[0])
}

// elements takes an array apart. The elements refer to it.
func elements(data []byte, most int) ([][]byte, *Problem) {
	values, err := plainElements(data, most)
	if err != nil && !errors.Is(err, errMany) {
		values, err = anyElements(data, most)
	}
	switch {
	case errors.Is(err, errMany):
		return nil, tooLarge.of("the array has more than %d events; a stream of lines (%s) has no such limit", most, ndjsonType)
	case err != nil:
		return nil, malformed.of("the array is no JSON: %v", err)
	}
	return values, nil
}

var errMany = errors.New("the array has too many elements")

// plainElements takes an array apart in one pass. It takes less than anyElements: no name that comes twice in an object.
func plainElements(data []byte, most int) (values [][]byte, err error) {
	s := jsonscan.New(data)
	if err := s.Array(func(int) error {
		at := s.Offset()
		if err := s.Skip(); err != nil {
			return err
		}
		values = append(values, s.Since(at))
		if len(values) > most {
			return errMany
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return values, s.End()
}

// anyElements takes any array apart, so that it is said of each element alone what is wrong with it.
func anyElements(data []byte, most int) (values [][]byte, err error) {
	if !json.Valid(data) {
		return nil, json.Unmarshal(data, new(any))
	}
	documents := json.NewDecoder(bytes.NewReader(data))
	_, _ = documents.Token() // it is valid, and begins with [
	for documents.More() {
		if len(values) == most {
			return nil, errMany
		}
		var v json.RawMessage
		if err := documents.Decode(&v); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// Answers is the answer to several events.
type Answers struct {
	Results []Answer `json:"results" doc:"one for each event, in order"`
}

// answerMany answers 200 when all events are accepted, and with the status of the first that is not when none is; else 207, and each result has its own.
// What is said of all of them, of a quota or of Kafka, is said once: ten thousand copies are 2 MB just when there is too much to do.
func (g *Gateway) answerMany(w http.ResponseWriter, results []Answer) {
	var first *Problem
	bad, same := 0, true
	for _, a := range results {
		if a.Error != nil {
			if bad++; first == nil || first.bystander {
				same = same && (first == nil || first == a.Error)
				first = a.Error
			}
			same = same && first == a.Error
		}
	}
	switch {
	case bad == 0:
		writeResults(w, jsonType, http.StatusOK, nil, results)
	case bad < len(results):
		writeResults(w, jsonType, http.StatusMultiStatus, nil, results)
	case same && bad > 1:
		first.write(w)
	default:
		first.headers(w)
		writeResults(w, problemType, first.Status, first, results)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeAs(w, jsonType, status, v) }

func writeAs(w http.ResponseWriter, form string, status int, v any) {
	w.Header().Set("Content-Type", form)
	w.WriteHeader(status)
	_ = encoderTo(w).Encode(v) // the client has gone
}
