package letters

import (
	"cmp"
	"time"
)

// Answer is how a letter was resolved, by whom and why.
type Answer struct {
	How string    `json:"how"`          // redriven, discarded, or answered: its record was processed again by other means
	To  string    `json:"to,omitempty"` // where to it was redriven, where that is not its topology: origin, or a topic
	At  time.Time `json:"at"`           // when the command began that did it
	Who string    `json:"who"`
	Why string    `json:"why,omitempty"`
	Job string    `json:"job"`
}

// answer is that of a letter, nil for one that is open.
func (r resolver) answer(l *Letter) *Answer {
	var first *job
	look := func(jobs []*job) {
		for _, j := range jobs {
			if j.From <= l.Record.Offset && l.Record.Offset < j.Position && (j.Verb != Answered || j.names(l.Record.Offset)) && (first == nil || j.At.Before(first.At)) {
				first = j
			}
		}
	}
	for c := range r.by(l) {
		look(c.jobs)
	}
	if p := r[l.Partition]; p != nil {
		look(p.answers)
	}
	if first == nil {
		return nil
	}
	return &Answer{How: first.Verb.past(), To: first.To, At: first.At, Who: first.Who, Why: cmp.Or(first.Why, first.By), Job: first.ID}
}

// past is what a letter is afterwards.
func (v Verb) past() string {
	switch v {
	case Redrive:
		return "redriven"
	case Discard:
		return "discarded"
	case Answered:
		return "answered"
	}
	return string(v)
}
