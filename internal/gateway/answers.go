package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/weirstream/weir/internal/jsonscan"
)

// Answers wait in memory until their client has read them, as what he has sent does until it is answered. So what is said of an event is bounded, whatever
// its size; what many events have to say beyond what each is counted for anyway is counted too, and where there is no room for that they say less; and
// a long answer is made in pieces.

// saidOfEvent is how much text of a problem an event is counted for in any case: see eventCost.
const saidOfEvent = 200

// afford counts what a problem has to say, and shortens it where room has none. It returns what was counted.
func afford(p *Problem, room func(int64) bool) int64 {
	extra := p.text() - saidOfEvent
	switch {
	case room == nil || extra <= 0:
		return 0
	case room(extra):
		return extra
	}
	p.shorten()
	return 0
}

// text is how much text a problem has of its own.
func (p *Problem) text() int64 {
	n := len(p.Detail) + len(p.Remedy)
	if p.Path != nil {
		n += len(*p.Path)
	}
	return int64(n)
}

// shorten leaves of a problem what there is always room for.
func (p *Problem) shorten() {
	p.Detail = jsonscan.Shortened(p.Detail, saidOfEvent/2)
	p.Remedy = "mend the event; to hear all that is wrong with it, send it with fewer others, or later: too many answers wait for clients that have not read them"
	if p.Path != nil && len(*p.Path) > saidOfEvent/2 {
		p.Path = nil
	}
}

// encoderTo writes JSON as it is: < as \u003c is six times as long, and no answer is read as HTML.
func encoderTo(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// listPiece is how many elements of a list are made at once.
const listPiece = 64

// writeList writes an array in pieces. nil elements are left out.
func writeList[T any](w io.Writer, n int, element func(i int) *T) (err error) {
	var text bytes.Buffer
	e := encoderTo(&text)
	piece := make([]*T, 0, min(n, listPiece))
	separator := "["
	for i := 0; i < n && err == nil; {
		piece = piece[:0]
		for ; i < n && len(piece) < listPiece; i++ {
			if v := element(i); v != nil {
				piece = append(piece, v)
			}
		}
		if len(piece) == 0 {
			continue
		}
		text.Reset()
		if err = e.Encode(piece); err != nil {
			return err
		}
		inner := bytes.TrimSuffix(text.Bytes(), []byte("]\n"))
		inner[0] = separator[0]
		separator = ","
		_, err = w.Write(inner)
	}
	if separator == "[" {
		_, err = io.WriteString(w, "[")
	}
	if err == nil {
		_, err = io.WriteString(w, "]")
	}
	return err
}

// writeResults answers with the results of several events, in the order of the events: as a member of what else there is to say.
func writeResults(w http.ResponseWriter, form string, status int, rest any, results []Answer) {
	w.Header().Set("Content-Type", form)
	w.WriteHeader(status)
	head := []byte("{}")
	if rest != nil {
		var text bytes.Buffer
		_ = encoderTo(&text).Encode(rest) // of our own
		head = bytes.TrimSpace(text.Bytes())
	}
	head = head[:len(head)-1]
	if len(head) > 1 {
		head = append(head, ',')
	}
	_, err := w.Write(append(head, `"results":`...))
	if err == nil {
		err = writeList(w, len(results), func(i int) *Answer { return &results[i] })
	}
	if err == nil {
		_, _ = io.WriteString(w, "}\n") // else the client has gone
	}
}
