package letters

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// Verb is what a job does.
type Verb string

// The verbs.
const (
	Redrive Verb = "redrive" // send the records back
	Discard Verb = "discard" // do nothing with them, ever
)

// Order is what an operator wants done.
type Order struct {
	Verb      Verb      `json:"verb"`
	Selection Selection `json:"selection"`
	// To is where records are redriven to: "" for the redrive topic of the topology that they failed in, Origin for the topic where they
	// failed first, or the name of a topic.
	To    string `json:"to,omitempty"`
	Force bool   `json:"force,omitempty"` // also those that were redriven MaxRedrives times
	Why   string `json:"why,omitempty"`
	Limit int64  `json:"limit,omitempty"` // the most letters that a run of it takes; 0: all
	// Absent are ways that letters would have gone, and that led nowhere when the order was carried out, or to a topic that is not written to: it took none of those letters. Jobs that have it are
	// of version 3.
	Absent []Way `json:"absent,omitempty"`
	// Spared are letters that it was not for when it was carried out. Jobs that have it are of version 6.
	Spared []Spared `json:"spared,omitempty"`
}

// Origin is the To that stands for the topic where a record failed first.
const Origin = "origin"

// job is an order with its progress in one partition: what it chose among the letters from From up to Position is resolved. It is
// written by the process that holds the transactional id of the topic, and never again when that has ended.
type job struct {
	Version   int    `json:"version"`
	ID        string `json:"job"`
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Order
	From     int64     `json:"from"`
	Position int64     `json:"position"`
	Until    int64     `json:"until"`
	Done     int64     `json:"done"` // letters that this job resolved in the partition
	Who      string    `json:"who"`
	At       time.Time `json:"at"` // when the job began

	// Of Answered and Reopened: the letters, and what has their records processed again, or has left these out. Jobs of the one are of version 5, of the other of version 6.
	Spans []span `json:"spans,omitempty"`
	By    string `json:"by,omitempty"`

	seq int64 // the offset of its newest record in the topic of jobs
}

// keyOf is what the keys of jobs on a topic of dead letters begin with.
func keyOf(topic string) string { return "dlq/" + topic + "/" }

func (j *job) key() string { return fmt.Sprintf("%s%s/%d", keyOf(j.Topic), j.ID, j.Partition) }

// takes says whether the order is carried out on a letter.
func (o *Order) takes(l *Letter) bool { return o.Selection.has(l) && o.refuses(l) == "" }

// versionOf is the version of a job: builds that do not know all that it says must not judge by it.
func versionOf(o *Order) int {
	switch {
	case len(o.Spared) > 0:
		return 6
	case slices.ContainsFunc(o.Absent, func(w Way) bool { return w.Elsewhere }):
		return 4
	case len(o.Absent) > 0:
		return 3
	case o.Selection.newer():
		return 2
	}
	return 1
}

// jobs reads what was done on the topic of a place, as far as its letters are still there, and which replays have not ended.
func (t *Tool) jobs(ctx context.Context, reader kafka.Reader, p *place) ([]job, error) {
	name := t.jobsTopic()
	newest := map[string]job{}
	running := map[string]replaying{}
	p.seen, p.passes = -1, passesOf{map[passedPart][]passed{}, map[string]int64{}}
	err := system.Jobs.Read(ctx, t.Client, reader, name, func(r *kafka.Record) error {
		key := string(r.Key)
		p.seen = r.Offset
		if err := p.passes.take(r); err != nil {
			return fmt.Errorf("%s offset %d: %w", name, r.Offset, err)
		}
		if replay, is := strings.CutPrefix(key, "replay/"); is && !strings.Contains(replay, "/") {
			delete(running, replay)
			if one, is := replayingOf(replay, r.Value); is {
				running[replay] = one
			}
			return nil
		}
		if !strings.HasPrefix(key, keyOf(t.Topic)) {
			return nil
		}
		delete(newest, key)
		var j job
		switch err := json.Unmarshal(r.Value, &j); {
		case r.Value == nil:
		case err != nil || j.Version < 1 || j.Version > 6:
			return fmt.Errorf("%s offset %d, key %s: the job was not written by this version of Weir, so which letters are open is not known: use the newest version", name, r.Offset, key)
		case j.TopicID != p.info.ID || j.key() != key: // a topic that was made again has other letters
		case j.Position > p.starts[kafka.TopicPartition{Topic: t.Topic, Partition: j.Partition}]:
			j.seq = r.Offset
			newest[key] = j
		}
		return nil
	})
	var jobs []job
	for _, j := range newest {
		jobs = append(jobs, j)
	}
	p.replays = slices.Collect(maps.Values(running))
	return jobs, err
}
