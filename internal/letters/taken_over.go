package letters

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// TakenOverError ends a command when another one has taken its place on the letters of a topic.
type TakenOverError struct {
	Topic          string
	Done, Selected int64
	Err            error
}

func (e *TakenOverError) Error() string {
	return fmt.Sprintf("another command has taken over the letters of %s: this one has ended, with %d of %d letters done, and the other one carries on with those that it is for; "+
		"run this one again if letters are open when that has ended, or if there is no other one (brokers end a transaction that takes too long)", e.Topic, e.Done, e.Selected)
}

func (e *TakenOverError) Unwrap() error { return e.Err }

// Share is what another command has done with letters of a topic.
type Share struct {
	Job  string `json:"job"`
	How  string `json:"how"` // what has become of the letters, as of an Answer
	Who  string `json:"who"`
	Done int64  `json:"done"` // letters
}

// reckonWithin bounds the wait for a transaction that the other command has open just then.
const reckonWithin = 4 * time.Second

// reckon completes the result of a command whose place another one has taken: the topic of jobs says what each of them has done. It corrects the command's own
// count too, since the answer to its last commit may be what was lost.
func (m *move) reckon(ctx context.Context, reader kafka.Reader) {
	r := m.result
	r.TakenOver = true
	ctx, cancel := context.WithTimeout(ctx, reckonWithin)
	defer cancel()
	now := &place{info: m.place.info, starts: m.place.starts}
	jobs, err := m.tool.jobs(ctx, reader, now)
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("what the other command has done so far is not known, and so not how many letters are open: %v", err))
		return
	}
	slices.SortFunc(jobs, func(a, b job) int { return int(a.seq - b.seq) })
	own := int64(0)
	for i := range jobs {
		j := &jobs[i]
		switch {
		case j.ID == r.Job:
			own += j.Done
			continue
		case j.seq <= m.place.seen:
			continue
		case j.Verb == Reopened:
			r.Open += j.Done
		default:
			r.Open -= j.Done
		}
		at := slices.IndexFunc(r.Others, func(s Share) bool { return s.Job == j.ID })
		if at < 0 {
			at = len(r.Others)
			r.Others = append(r.Others, Share{Job: j.ID, How: j.Verb.past(), Who: j.Who})
		}
		r.Others[at].Done += j.Done
	}
	r.Open -= own - r.Done
	r.Done = own
}
