package letters

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// Pass says in the topic of jobs that records of a topology are processed again, or left out: by a replay, or since its offsets were set. It is written with what it says. The letters of its records
// are answered or left to a redrive by whoever writes it, but only in the topics of dead letters that the program names then. Those of other topics are judged by
// it, and so are letters that were answered and whose records were left out afterwards.
type Pass struct {
	Version  int           `json:"version"`
	ID       string        `json:"pass"`
	Topology string        `json:"topology"`
	By       string        `json:"by"`
	Letters  []string      `json:"letters"` // the topics of dead letters that were looked at
	Inputs   []PassedInput `json:"inputs"`
	// Replay is the job and the run of a replay that moves no offsets: it has processed records as far as its progress says.
	Replay string    `json:"replay,omitempty"`
	Some   bool      `json:"some,omitempty"` // of these records only some
	Keep   bool      `json:"keep,omitempty"` // letters are to stay as they are, whatever that leads to
	Who    string    `json:"who"`
	At     time.Time `json:"at"`

	seq     int64 // its offset in the topic of jobs
	written time.Time
}

// PassedInput is a partition of an input whose records are processed from an offset on, or up to another one.
type PassedInput struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	Until     *int64 `json:"until,omitempty"`
	Committed *int64 `json:"committed,omitempty"` // up to where the group had read it before, where offsets were set
}

const passes = "again/" // what the keys of passes begin with

// Pass is what is to be written for a pass. Its ID is that of the answers that are written with it.
func (t *Tool) Pass(p Pass) (*kafka.Outgoing, error) {
	p.Version, p.Who, p.At = 1, t.Who, time.Now().UTC()
	value, err := json.Marshal(&p)
	return &kafka.Outgoing{TopicPartition: system.Of(t.jobsTopic()), Timestamp: p.At.UnixMilli(), Key: []byte(passes + p.Topology + "/" + p.ID), Value: value}, err
}

// passesOf are the passes that the topic of jobs tells of, and how far replays are.
type passesOf struct {
	of map[passedPart][]passed // in order
	at map[string]int64        // by the key of a progress
}

type passedPart struct {
	topology, topic string
	partition       int32
}

type passed struct {
	*Pass
	*PassedInput
}

// take reads a record of the topic of jobs.
func (p *passesOf) take(r *kafka.Record) error {
	key := string(r.Key)
	switch {
	case strings.HasPrefix(key, passes) && r.Value != nil:
		one := &Pass{seq: r.Offset, written: r.Time()}
		if err := json.Unmarshal(r.Value, one); err != nil || one.Version != 1 {
			return fmt.Errorf("what has processed records again was not written by this version of Weir (%s), so which letters are open is not known: use the newest version", key)
		}
		for i := range one.Inputs {
			in := &one.Inputs[i]
			part := passedPart{one.Topology, in.Topic, in.Partition}
			p.of[part] = append(p.of[part], passed{one, in})
		}
	case strings.HasPrefix(key, "replay/") && strings.Count(key, "/") == 3:
		var at struct {
			Position int64 `json:"position"`
		}
		if json.Unmarshal(r.Value, &at) == nil {
			p.at[key] = at.Position
		}
	}
	return nil
}

// on are the passes over the partition that a letter's record is in, in order.
func (p *passesOf) on(l *Letter, do func(one passed)) {
	for _, one := range p.of[passedPart{l.Topology, l.First.Topic, l.First.Partition}] {
		if one.TopicID == l.FirstTopicID || l.FirstTopicID == "" || one.TopicID == "" {
			do(one)
		}
	}
}

// has says whether a pass has processed a record, or will.
func (p *passesOf) has(one passed, offset int64) bool {
	if offset < one.From || one.Until != nil && offset >= *one.Until {
		return false
	}
	return one.Replay == "" || offset < p.at[fmt.Sprintf("replay/%s/%d", one.Replay, one.Partition)]
}

// since is the pass that has the record of an open letter processed again that it knows nothing of, nil where there is none. topic is that of the letter.
func (p *passesOf) since(l *Letter, topic string) (by *Pass) {
	read := false
	at := l.First.Offset
	p.on(l, func(one passed) {
		if by != nil && one.Committed != nil && !read {
			if read = *one.Committed > at; !read && at < one.From { // it was left out before anybody had read it
				by = nil
			}
		}
		if !one.Keep && !slices.Contains(one.Letters, topic) && one.written.After(l.failed()) && p.has(one, at) {
			by = cmp.Or(by, one.Pass)
			read = read || one.Replay != ""
		}
	})
	return by
}

// The verdicts of read.
const (
	unread = iota
	wasRead
	unsure
)

// read says whether the record of a letter was read since a job has answered it.
func (p *passesOf) read(l *Letter, j *job) (verdict int) {
	p.on(l, func(one passed) {
		switch {
		case one.seq < j.seq || strings.HasPrefix(j.ID, one.ID+".") || verdict == wasRead:
		case one.Replay != "":
			if p.has(one, l.First.Offset) && !one.Some {
				verdict = wasRead
			}
		case one.Committed == nil:
			verdict = unsure
		case *one.Committed > l.First.Offset:
			verdict = wasRead
		}
	})
	return verdict
}

// Spared are letters that an order chooses and leaves alone, since their records were processed again by somebody who did not know of them. Those that it does not
// choose may be among them.
type Spared struct {
	Partition int32  `json:"partition"`
	By        string `json:"by"`
	Spans     []span `json:"spans"`
}

// sparing adds to an order which letters it is to spare. Letters come in the order in which they stand.
type sparing struct {
	order *Order
	spans int
	last  *Spared // whose last span goes on, nil where a letter was taken since
}

// processed is a letter whose record was processed again.
func (s *sparing) processed(l *Letter, by *Pass) error {
	text := fmt.Sprintf("%s at %s", by.By, by.written.UTC().Format(time.RFC3339))
	if by.Some {
		text += ", of some records,"
	}
	at := l.Record.Offset
	if s.last != nil && s.last.Partition == l.Partition && s.last.By == text {
		s.last.Spans[len(s.last.Spans)-1][1] = at
		return nil
	}
	if s.spans++; s.spans > maxSpans {
		return fmt.Errorf("the records of some of these letters were processed again since, and they lie in more than %d places: choose fewer letters, or give --force to redrive all of them", maxSpans)
	}
	i := slices.IndexFunc(s.order.Spared, func(one Spared) bool { return one.Partition == l.Partition && one.By == text })
	if i < 0 {
		i = len(s.order.Spared)
		s.order.Spared = append(s.order.Spared, Spared{Partition: l.Partition, By: text})
	}
	s.last = &s.order.Spared[i]
	s.last.Spans = append(s.last.Spans, span{at, at})
	return nil
}

// taken is a letter that the order is for.
func (s *sparing) taken() { s.last = nil }

// comesTwice says whether a letter that the order is for would come a second time into the topology that has processed its record again.
func (o *Order) comesTwice(l *Letter) bool {
	return o.Verb == Redrive && !o.Force && (o.To == "" || o.To == Origin || o.To == l.First.Topic)
}

// spares says by what the record of a letter was processed again that the order leaves alone.
func (o *Order) spares(l *Letter) (by string, yes bool) {
	for i := range o.Spared {
		if s := &o.Spared[i]; s.Partition == l.Partition && inSpans(s.Spans, l.Record.Offset) {
			return s.By, true
		}
	}
	return "", false
}

// in is the order in a partition: what it spares elsewhere is no part of it.
func (o *Order) in(partition int32) Order {
	own := *o
	own.Spared = slices.DeleteFunc(slices.Clone(o.Spared), func(s Spared) bool { return s.Partition != partition })
	if len(own.Spared) == 0 {
		own.Spared = nil
	}
	return own
}
