package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/publish"
)

// Answer is how one event ended.
type Answer struct {
	Status    int      `json:"status" doc:"200: all in-sync replicas have the event; else as the error says"`
	Partition *int32   `json:"partition,omitempty" doc:"of the record"`
	Offset    *int64   `json:"offset,omitempty" doc:"of the record in its partition"`
	SchemaID  int      `json:"schema_id,omitempty" doc:"of the schema that the value was checked with and written by"`
	Error     *Problem `json:"error,omitempty" doc:"why the event was not accepted"`
}

// answer is that of an event that was handed to the publisher.
func answer(r publish.Result) Answer {
	if r.Err != nil {
		return failed(ofWriting(r.Err))
	}
	a := Answer{Status: http.StatusOK, Partition: &r.Partition}
	if r.Offset >= 0 {
		a.Offset = &r.Offset
	}
	return a
}

func failed(p *Problem) Answer { return Answer{Status: p.Status, Error: p} }

// common is what a request says of all its events.
type common struct {
	topic   *topic
	key     []byte
	id      string
	headers []kafka.Header
	atomic  bool
}

// common reads it from query and headers.
func (g *Gateway) common(r *http.Request) (*common, *Problem) {
	c := &common{}
	query := r.URL.Query()
	switch {
	case query.Has("key"):
		c.key = []byte(query.Get("key"))
	case r.Header.Get("Weir-Key") != "":
		c.key = []byte(r.Header.Get("Weir-Key"))
	}
	if text := query.Get("atomic"); text != "" {
		atomic, err := strconv.ParseBool(text)
		if err != nil {
			return nil, malformed.of("atomic=%q is neither true nor false", text)
		}
		c.atomic = atomic
	}
	c.id = r.Header.Get("Idempotency-Key")
	for name, values := range r.Header {
		header, ok := strings.CutPrefix(name, "Weir-Header-")
		if !ok {
			continue
		}
		if header = strings.ToLower(header); ours(header) {
			continue // forged, or a mistake: it is not believed
		}
		for _, v := range values {
			c.headers = append(c.headers, kafka.Header{Key: header, Value: []byte(v)})
		}
	}
	for _, name := range []string{headerTrace, headerState} {
		if v := r.Header.Get(name); v != "" {
			c.headers = append(c.headers, kafka.Header{Key: name, Value: []byte(v)})
		}
	}
	t, p := g.topics.get(r.Context(), r.PathValue("topic"))
	c.topic = t
	return c, p
}

// event makes an event of a JSON value.
func (c *common) event(value []byte) *event {
	return &event{key: c.key, value: value, null: string(value) == "null", id: c.id, headers: c.headers}
}

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// postEvents takes one JSON event, an array of them, or a stream of lines.
func (g *Gateway) postEvents(w http.ResponseWriter, r *http.Request) {
	form, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		mediaType.of("Content-Type %q cannot be read", r.Header.Get("Content-Type")).write(w)
		return
	}
	switch form {
	case "", jsonType, "application/x-www-form-urlencoded": // the last is what curl -d says of anything
		g.postJSON(w, r)
	case ndjsonType, "application/jsonl", "application/jsonlines":
		g.postLines(w, r)
	default:
		mediaType.of("Content-Type %q is not taken", form).write(w)
	}
}

// postJSON takes a body with one event, or an array.
func (g *Gateway) postJSON(w http.ResponseWriter, r *http.Request) {
	c, p := g.common(r)
	if p != nil {
		p.write(w)
		return
	}
	body, p := g.open(w, r, g.Limits.Body)
	if p != nil {
		p.write(w)
		return
	}
	defer body.close()
	data, err := io.ReadAll(body)
	if err != nil {
		ofBody(err).write(w)
		return
	}
	leave, p := g.enter()
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
		g.answerMany(w, g.publishAll(r.Context(), c, values))
		return
	}
	if len(data) == 0 {
		malformed.of("the body is empty").write(w)
		return
	}
	a := g.publishAll(r.Context(), c, [][]byte{data})[0]
	if a.Error != nil {
		a.Error.write(w)
		return
	}
	writeJSON(w, http.StatusOK, a)
}

// elements takes an array apart.
func elements(data []byte, most int) ([][]byte, *Problem) {
	if !json.Valid(data) {
		return nil, malformed.of("the array is no JSON: %v", json.Unmarshal(data, new(any)))
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, malformed.of("the array is no JSON: %v", err)
	}
	if len(list) > most {
		return nil, tooLarge.of("the array has %d events, %d are allowed; a stream of lines (%s) has no such limit", len(list), most, ndjsonType)
	}
	values := make([][]byte, len(list))
	for i, v := range list {
		values[i] = v
	}
	return values, nil
}

// Answers is the answer to several events.
type Answers struct {
	Results []Answer `json:"results" doc:"one for each event, in order"`
}

// answerMany answers 200 when all events are accepted, and with the status of the first that is not when none is; else 207, and each result has its own.
func (g *Gateway) answerMany(w http.ResponseWriter, results []Answer) {
	var first *Problem
	bad := 0
	for _, a := range results {
		if a.Error != nil {
			if bad++; first == nil {
				first = a.Error
			}
		}
	}
	switch {
	case bad == 0:
		writeJSON(w, http.StatusOK, Answers{results})
	case bad < len(results):
		writeJSON(w, http.StatusMultiStatus, Answers{results})
	default:
		first.headers(w)
		whole := struct {
			Problem
			Results []Answer `json:"results"`
		}{*first, results}
		writeAs(w, "application/problem+json", first.Status, whole)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeAs(w, jsonType, status, v) }

func writeAs(w http.ResponseWriter, form string, status int, v any) {
	w.Header().Set("Content-Type", form)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

// publishAll publishes the events of a request that is no stream.
func (g *Gateway) publishAll(ctx context.Context, c *common, values [][]byte) []Answer {
	answers := make([]Answer, len(values))
	batch := &publish.Batch{}
	places := make([]int, 0, len(values))
	bad := 0
	for i, v := range values {
		record, p := g.admit(c.topic, c.event(v))
		if p != nil {
			answers[i] = failed(p)
			bad++
			continue
		}
		batch.Records = append(batch.Records, record)
		places = append(places, i)
	}
	if c.atomic && bad > 0 {
		for _, i := range places {
			answers[i] = failed(invalid.of("not written, because another event of the atomic batch was refused").todo("mend the others, then send the batch again"))
		}
		return answers
	}
	ctx, cancel := context.WithTimeout(ctx, g.Limits.Answer)
	defer cancel()
	var results []publish.Result
	var err error
	if c.atomic {
		// A client that goes away does not undo what it has asked for.
		results, err = g.publisher.Atomic(context.WithoutCancel(ctx), batch.Records)
	} else if err = g.publisher.Publish(batch); err == nil {
		select {
		case <-batch.Done():
			results = batch.Results
		case <-ctx.Done():
			err = errNoAnswer
		}
	}
	for n, i := range places {
		if err != nil {
			answers[i] = failed(ofWriting(err))
			continue
		}
		answers[i] = answer(results[n])
	}
	return answers
}

var errNoAnswer = errors.New("the cluster has not acknowledged the event in time")

// A stream's events go to Kafka in chunks: all lines that are there, up to so many. So many chunks may be under way, and their
// answers are written in order; a client that does not read them is read no further.
const (
	chunkEvents = 512
	chunkBytes  = 256 << 10
	chunksAhead = 16
)

// chunk is some lines of a stream.
type chunk struct {
	answers []Answer
	batch   publish.Batch
	places  []int
	err     error // of Publish
}

// postLines takes a stream of lines, and answers with a stream of lines.
func (g *Gateway) postLines(w http.ResponseWriter, r *http.Request) {
	c, p := g.common(r)
	if p != nil {
		p.write(w)
		return
	}
	limit := int64(0)
	if c.atomic {
		limit = g.Limits.Body
	}
	body, p := g.open(w, r, limit)
	if p != nil {
		p.write(w)
		return
	}
	defer body.close()
	lines := newLines(body, g.Limits.Event)
	if c.atomic {
		var values [][]byte
		for {
			line, p := lines.next()
			if p != nil {
				p.write(w)
				return
			}
			if line == nil {
				break
			}
			if values = append(values, bytes.Clone(line)); len(values) > g.Limits.Events {
				tooLarge.of("the batch has more than %d events", g.Limits.Events).write(w)
				return
			}
		}
		g.answerMany(w, g.publishAll(r.Context(), c, values))
		return
	}
	g.stream(w, r, c, lines)
}

func (g *Gateway) stream(w http.ResponseWriter, r *http.Request, c *common, lines *lineReader) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 always is
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	chunks := make(chan *chunk, chunksAhead)
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer cancel()
		g.writeChunks(w, control, chunks)
	}()
	order := &publish.Order{}
	for {
		next := g.readChunk(c, lines, order)
		if len(next.batch.Records) > 0 && next.err == nil {
			next.err = g.publishSoon(ctx, &next.batch)
		}
		end := len(next.answers) == 0 || next.answers[len(next.answers)-1].Error != nil && lines.ended
		select {
		case chunks <- next:
		case <-ctx.Done():
			end = true
		}
		if end {
			break
		}
	}
	close(chunks)
	<-written
	// A client that is still sending would see its connection reset, and perhaps not the answer.
	_ = control.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, r.Body, 256<<10)
}

// readChunk reads the lines that are there, at least one.
func (g *Gateway) readChunk(c *common, lines *lineReader, order *publish.Order) *chunk {
	next := &chunk{batch: publish.Batch{Order: order}}
	bytesRead := 0
	for {
		line, p := lines.next()
		if p == nil && line == nil {
			return next
		}
		if p != nil { // nothing can be read after it
			next.answers = append(next.answers, failed(p))
			lines.ended = true
			return next
		}
		bytesRead += len(line)
		record, p := g.admit(c.topic, c.event(bytes.Clone(line)))
		if p != nil {
			next.answers = append(next.answers, failed(p))
		} else {
			next.batch.Records = append(next.batch.Records, record)
			next.places = append(next.places, len(next.answers))
			next.answers = append(next.answers, Answer{})
		}
		if len(next.answers) == chunkEvents || bytesRead > chunkBytes || !lines.more() {
			return next
		}
	}
}

// publishSoon waits until the publisher has room: a stream is slowed down, not refused.
func (g *Gateway) publishSoon(ctx context.Context, b *publish.Batch) error {
	return waitForRoom(ctx, g.Limits.Answer, func() error { return g.publisher.Publish(b) })
}

func (g *Gateway) writeChunks(w http.ResponseWriter, control *http.ResponseController, chunks <-chan *chunk) {
	begun, gone := false, false
	encoder := json.NewEncoder(w)
	for next := range chunks {
		if next.err == nil && len(next.places) > 0 {
			<-next.batch.Done() // the sink's delivery timeout bounds it
		}
		for n, i := range next.places {
			if next.err != nil {
				next.answers[i] = failed(ofWriting(next.err))
			} else {
				next.answers[i] = answer(next.batch.Results[n])
			}
		}
		if gone {
			continue
		}
		if !begun {
			begun = true
			w.Header().Set("Content-Type", ndjsonType)
			w.WriteHeader(http.StatusOK)
		}
		_ = control.SetWriteDeadline(time.Now().Add(g.Limits.Silence))
		for i := range next.answers {
			if encoder.Encode(&next.answers[i]) != nil {
				gone = true
				break
			}
		}
		if len(chunks) == 0 && control.Flush() != nil {
			gone = true
		}
		_ = control.SetWriteDeadline(time.Time{}) // a stream may be idle for long
	}
	if !begun {
		w.Header().Set("Content-Type", ndjsonType)
		w.WriteHeader(http.StatusOK)
	}
}

// lineReader reads lines of a bounded length.
type lineReader struct {
	r     *bufio.Reader
	most  int
	buf   []byte
	ended bool
}

func newLines(r io.Reader, most int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), most: most}
}

// more says whether a whole line is there without waiting.
func (l *lineReader) more() bool {
	there, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(there, '\n') >= 0
}

// next is the next line that is not empty, valid until the one after it; nil at the end.
func (l *lineReader) next() ([]byte, *Problem) {
	for !l.ended {
		l.buf = l.buf[:0]
		for {
			part, err := l.r.ReadSlice('\n')
			l.buf = append(l.buf, part...)
			if len(l.buf) > l.most+1 {
				l.ended = true
				return nil, tooLarge.of("a line has more than %d bytes", l.most)
			}
			if err == bufio.ErrBufferFull {
				continue
			}
			if err == io.EOF {
				l.ended = true
			} else if err != nil {
				l.ended = true
				return nil, ofBody(err)
			}
			break
		}
		if line := bytes.Trim(l.buf, " \t\r\n"); len(line) > 0 {
			return line, nil
		}
	}
	return nil, nil
}
