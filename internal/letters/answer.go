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
	first := r.resolvedBy(l)
	if first == nil {
		return nil
	}
	return &Answer{How: first.Verb.past(), To: first.To, At: first.At, Who: first.Who, Why: cmp.Or(first.Why, first.By), Job: first.ID}
}

// resolvedBy is the job that has resolved a letter, nil for one that is open: the first of those that were for it since it was opened again.
func (r resolver) resolvedBy(l *Letter) (first *job) {
	since := int64(-1)
	if p := r[l.Partition]; p != nil {
		since = p.reopenedAt(l.Record.Offset)
	}
	look := func(jobs []*job) {
		for _, j := range jobs {
			if j.seq > since && j.From <= l.Record.Offset && l.Record.Offset < j.Position && (j.Verb != Answered || j.names(l.Record.Offset)) && (first == nil || j.before(first)) {
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
	return first
}

// before says whether a job ended before another one began. Jobs on a topic fence each other, so the order of their last records is theirs, whatever
// the clocks of those who gave them.
func (j *job) before(other *job) bool {
	return cmp.Or(cmp.Compare(j.seq, other.seq), j.At.Compare(other.At)) < 0
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
