package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"time"
)

// A stream's events go to Kafka in chunks: all lines that are there, up to so many. So many chunks may be under way, and their
// answers are written in order; a client that does not read them is read no further.
const (
	chunkEvents = 512
	chunkBytes  = 256 << 10
	chunksAhead = 16
)

// postLines takes a stream of lines, and answers with a stream of lines.
func (g *Gateway) postLines(w http.ResponseWriter, r *http.Request) {
	q, p := g.beginEvents(r)
	if p != nil {
		p.write(w)
		return
	}
	limit := int64(0)
	if q.atomic {
		limit = g.Limits.Body
	}
	body, p := g.open(w, r, limit)
	if p != nil {
		p.write(w)
		return
	}
	defer body.close()
	if q.atomic {
		if p := g.busy(r.Context(), q); p != nil {
			p.write(w)
			return
		}
		counted := g.counted(body)
		defer counted.forget()
		q.body = counted
		lines := newLines(counted, g.Limits.Event)
		var events []*event
		for {
			line, p := lines.next()
			if p != nil {
				p.write(w)
				return
			}
			if line == nil {
				break
			}
			if events = append(events, q.event(bytes.Clone(line), len(events))); len(events) > g.Limits.Events {
				tooLarge.of("the batch has more than %d events", g.Limits.Events).write(w)
				return
			}
		}
		if p := g.enter(q); p != nil {
			p.write(w)
			return
		}
		defer q.permit.leave()
		g.answerMany(w, g.publishAll(q, events))
		return
	}
	lines := newLines(body, g.Limits.Event)
	lines.ctx, lines.held = r.Context(), body.held
	g.stream(newDuplex(w, r, body), q, lines)
}

func (g *Gateway) stream(d *duplex, q *request, lines *lineReader) {
	chunks := make(chan *chunk, chunksAhead)
	written := make(chan struct{})
	go func() {
		defer close(written)
		g.writeChunks(d, chunks, lines.held)
	}()
	order := &order{}
	for n := 0; ; {
		next := g.readChunk(q, lines, order, n)
		n += len(next.answers)
		next.submit(g.patience, true)
		end := len(next.answers) == 0 || next.answers[len(next.answers)-1].Error != nil && lines.ended
		chunks <- next // also when the client has gone: then they are waited for, and not written
		if end {
			break
		}
	}
	close(chunks)
	<-written
	d.end()
}

// readChunk reads the lines that are there, at least one. n is the first one's place in the stream.
func (g *Gateway) readChunk(q *request, lines *lineReader, order *order, n int) *chunk {
	line, p := lines.next()
	if p == nil && line != nil { // now that there is a line: what was good before it was waited for may not be any more
		p = g.still(q)
	}
	next := g.newChunk(q.client, q.topic, g.declarations.Of(q.topic.name), order)
	next.room = lines.held.answer
	for bytesRead := 0; ; line, p = lines.next() {
		if p == nil && line == nil {
			return next
		}
		if p != nil { // nothing can be read after it
			next.answers = append(next.answers, failed(p))
			lines.ended = true
			return next
		}
		cost, full := lines.hold(len(line), len(next.answers) > 0)
		switch {
		case full != nil:
			next.answers = append(next.answers, failed(ofBody(full)))
			lines.ended = true
			return next
		case cost == 0:
			return next
		}
		next.held += cost
		bytesRead += len(line)
		next.add(q.event(bytes.Clone(line), n+len(next.answers)))
		if len(next.answers) == chunkEvents || bytesRead > chunkBytes || !lines.more() {
			return next
		}
	}
}

func (g *Gateway) writeChunks(d *duplex, chunks <-chan *chunk, held *held) {
	begun, gone := false, false
	begin := func() {
		if !begun {
			begun = true
			d.begin(ndjsonType)
			d.w.WriteHeader(http.StatusOK)
		}
	}
	encoder := encoderTo(d.w)
	for next := range chunks {
		next.wait(g.patience) // the sink gives up in the end
		answers := min(next.held, int64(len(next.answers))*eventCost)
		held.give(next.held - answers)
		answers += next.said
		if gone {
			held.give(answers)
			continue
		}
		begin()
		_ = d.SetWriteDeadline(time.Now().Add(g.Limits.Silence))
		for i := range next.answers {
			if encoder.Encode(&next.answers[i]) != nil {
				gone = true
				break
			}
		}
		if len(chunks) == 0 && d.Flush() != nil {
			gone = true
		}
		held.give(answers)
		_ = d.SetWriteDeadline(time.Time{}) // a stream may be idle for long
	}
	begin()
}

// lineReader reads lines of a bounded length. What it needs for one, beyond a first few bytes, is counted.
type lineReader struct {
	from  io.Reader
	r     *bufio.Reader
	most  int
	buf   []byte // of a line that r has no room for
	ended bool

	ctx      context.Context
	held     *held // nil: what is read is counted already
	wide     bool  // r has much room
	reserved int64 // for buf
	line     []byte
	again    bool // the line was not taken
}

const (
	narrow = smallRead
	wide   = 64 << 10
)

func newLines(r io.Reader, most int) *lineReader {
	return &lineReader{from: r, r: bufio.NewReaderSize(r, narrow), most: most}
}

// widen has a busy stream read more at once. part is what was read of the line.
func (l *lineReader) widen(part []byte) bool {
	if l.wide || l.held != nil && !l.held.spare(wide) {
		return false
	}
	there, _ := l.r.Peek(l.r.Buffered())
	l.wide = true
	l.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(slices.Concat(part, there)), l.from), wide)
	return true
}

// more says whether a whole line is there without waiting.
func (l *lineReader) more() bool {
	if l.again {
		return true
	}
	there, _ := l.r.Peek(l.r.Buffered())
	if len(there) > narrow/2 && l.widen(nil) {
		_, _ = l.r.Peek(len(there))
		there, _ = l.r.Peek(l.r.Buffered())
	}
	return bytes.IndexByte(there, '\n') >= 0
}

// hold counts a line as an event. What there is no room for is waited for; if not alone it is next once more instead, at no cost.
func (l *lineReader) hold(length int, others bool) (cost int64, err error) {
	cost = int64(length) + eventCost
	switch {
	case l.reserved > 0:
		l.held.became(l.reserved, cost)
		l.reserved = 0
	case !others:
		err = l.held.take(l.ctx, cost)
	default:
		if own, all := l.held.event(cost); own || all {
			l.again = true
			return 0, nil
		}
	}
	return cost, err
}

// leave forgets what was reserved for a line.
func (l *lineReader) leave() {
	if l.buf = nil; l.reserved > 0 {
		l.held.drop(l.reserved)
		l.reserved = 0
	}
}

// next is the next line that is not empty, valid until the one after it; nil at the end.
func (l *lineReader) next() ([]byte, *Problem) {
	if l.again {
		l.again = false
		return l.line, nil
	}
	for !l.ended {
		l.leave()
		l.line = nil
		for {
			part, err := l.r.ReadSlice('\n')
			if err == bufio.ErrBufferFull {
				if len(l.buf) == 0 && l.widen(part) {
					continue
				}
				if l.held != nil && l.reserved == 0 {
					need := int64(l.most) + int64(l.most)/4 + eventCost
					if full := l.held.reserve(l.ctx, need); full != nil {
						l.ended = true
						return nil, ofBody(full)
					}
					l.reserved = need
				}
			}
			if l.line = part; len(l.buf) > 0 || err == bufio.ErrBufferFull {
				l.buf = append(l.buf, part...)
				l.line = l.buf
			}
			if len(l.line) > l.most+1 {
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
		if l.line = bytes.Trim(l.line, " \t\r\n"); len(l.line) > 0 {
			return l.line, nil
		}
	}
	return nil, nil
}
