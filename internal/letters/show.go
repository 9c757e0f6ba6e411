package letters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// Shown is a letter in words. Keys, values and headers that are no UTF-8 are there as bytes too.
type Shown struct {
	At
	Fingerprint string          `json:"fingerprint"`
	System      string          `json:"system"` // "" for a record that is no dead letter
	Open        bool            `json:"open"`
	Answer      *Answer         `json:"resolved,omitempty"` // how it was resolved
	Topology    string          `json:"topology"`
	Node        string          `json:"node"`
	Class       string          `json:"class"`  // the kind of the failure, in one word
	Reason      string          `json:"reason"` // the kind and the message
	Stack       string          `json:"stack,omitempty"`
	Attempts    int             `json:"attempts"`
	Failures    int             `json:"failures"`
	Redrives    int             `json:"redrives"`
	Failed      time.Time       `json:"failed"`                 // the last time
	FirstFailed *time.Time      `json:"first_failed,omitempty"` // where the letter says it
	Input       string          `json:"input"`                  // where its record stood when it failed last, as TOPIC/PARTITION
	InputOffset int64           `json:"input_offset"`
	Origin      string          `json:"origin"` // where it stood when it failed first
	OriginAt    int64           `json:"origin_offset"`
	Headers     []Pair          `json:"headers"` // of the record
	KeyText     *string         `json:"key"`     // null for none
	KeyBytes    []byte          `json:"key_base64,omitempty"`
	ValueText   *string         `json:"value"`
	ValueBytes  []byte          `json:"value_base64,omitempty"`
	Decoded     json.RawMessage `json:"decoded,omitempty"`      // the value as the program's stream reads it
	DecodeError string          `json:"decode_error,omitempty"` // why it does not
	Stream      string          `json:"stream,omitempty"`       // that one
	Whole       bool            `json:"whole"`                  // the letter holds its whole record
	Neighbours  []Neighbour     `json:"neighbours,omitempty"`
	Neighboured string          `json:"neighbours_missing,omitempty"` // why there are none
}

// Pair is a header.
type Pair struct {
	Key        string  `json:"key"`
	Value      *string `json:"value"` // null for none
	ValueBytes []byte  `json:"value_base64,omitempty"`
}

// Neighbour is a record beside the one of a letter, in the input where it was read first.
type Neighbour struct {
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	KeyText   *string   `json:"key"`
	KeyBytes  []byte    `json:"key_base64,omitempty"`
	ValueText *string   `json:"value"`
	Bytes     []byte    `json:"value_base64,omitempty"`
	Self      bool      `json:"self"` // it is the record of the letter
}

// ShowOptions say what is shown of letters besides them.
type ShowOptions struct {
	Plans      []*plan.Plan // topologies whose streams decode values
	Neighbours int          // how many records before and after each in its input
}

// Show calls do with the first letters of a selection, at most limit (0: all), open or not. The value of a letter's record is do's until it
// returns.
func (t *Tool) Show(ctx context.Context, s Selection, limit int64, o ShowOptions, do func(l *Letter, s *Shown) error) error {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return err
	}
	_, err = t.first(ctx, reader, p, limit, func(l *Letter, _ bool) bool { return s.has(l) }, func(l *Letter, open bool) error {
		shown := l.shown(open)
		shown.Answer = p.done.answer(l)
		shown.decode(o.Plans, l)
		if o.Neighbours > 0 {
			if err := t.neighbours(ctx, reader, l, int64(o.Neighbours), &shown); err != nil {
				return err
			}
		}
		return do(l, &shown)
	})
	return err
}

func (l *Letter) shown(open bool) Shown {
	s := Shown{
		At: At{l.Partition, l.Record.Offset}, Fingerprint: l.Fingerprint, System: string(l.System), Open: open && !l.stranger(), Topology: l.Topology, Node: l.Node, Class: l.class(), Reason: l.reason(),
		Stack: l.Stack, Attempts: l.Attempts, Failures: l.Failures, Redrives: l.Redrives, Failed: l.failed(), FirstFailed: l.firstFailed(),
		Input: l.Position.TopicPartition.String(), InputOffset: l.Position.Offset, Origin: l.First.TopicPartition.String(), OriginAt: l.First.Offset,
		Headers: []Pair{}, Whole: !l.Cut && l.Excess == nil,
	}
	s.KeyText, s.KeyBytes = text(l.Record.Key)
	s.ValueText, s.ValueBytes = text(l.Record.Value)
	for _, h := range l.Headers {
		value, bytes := text(h.Value)
		s.Headers = append(s.Headers, Pair{h.Key, value, bytes})
	}
	return s
}

// text is nil for nothing, and has the bytes too of what is no text.
func text(b []byte) (*string, []byte) {
	switch {
	case b == nil:
		return nil, nil
	case !utf8.Valid(b):
		return new(string(b)), append([]byte{}, b...)
	}
	return new(string(b)), nil
}

// decode reads the value as a stream of the program does.
func (s *Shown) decode(plans []*plan.Plan, l *Letter) {
	stream, topic := streamOf(plans, l)
	if stream == nil || stream.Decode == nil || l.Record.Value == nil || !s.Whole {
		return
	}
	s.Stream = stream.Name
	r := plan.Record{Topic: topic, Partition: l.First.Partition, Offset: l.First.Offset, Timestamp: time.UnixMilli(max(l.Timestamp, 0)), Headers: l.Headers}
	decoded, err := decode(stream, &r, l.Record.Value)
	if err == nil {
		if s.Decoded, err = json.Marshal(decoded); err != nil {
			s.Decoded, err = json.Marshal(fmt.Sprintf("%+v", decoded))
		}
	}
	if err != nil {
		s.DecodeError = err.Error()
	}
}

// decode calls a codec, which may be anybody's.
func decode(s *plan.Stream, r *plan.Record, value []byte) (decoded any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the codec panics: %v", p)
		}
	}()
	return s.Decode(r, value)
}

// streamOf is the input whose records the letter's is one of.
func streamOf(plans []*plan.Plan, l *Letter) (*plan.Stream, string) {
	for _, p := range plans {
		for _, g := range p.Subgraphs {
			for _, in := range g.Inputs {
				if topic := p.Topic(in); topic == l.First.Topic && (l.Topology == "" || l.Topology == p.Topology) {
					return in, topic
				}
			}
		}
	}
	return nil, ""
}

// neighbours reads the records around the letter's, where it was read first.
func (t *Tool) neighbours(ctx context.Context, reader kafka.Reader, l *Letter, n int64, s *Shown) error {
	tp, at := l.First.TopicPartition, l.First.Offset
	if tp.Topic == "" || tp.Partition < 0 || at < 0 {
		s.Neighboured = "the letter does not say where its record stood"
		return nil
	}
	infos, err := t.Client.Topics(ctx, []string{tp.Topic})
	if err != nil {
		return err
	}
	if info, ok := infos[tp.Topic]; !ok || tp.Partition >= info.Partitions {
		s.Neighboured = fmt.Sprintf("there is no %s", tp)
		return nil
	}
	start, end, err := t.Client.Bounds(ctx, tp)
	if err != nil {
		return err
	}
	if at < start || at >= end {
		s.Neighboured = fmt.Sprintf("%s holds offsets %d to %d now", tp, start, end)
		return nil
	}
	before, after := []Neighbour{}, int64(0)
	// Offsets have gaps, of markers and of what was compacted away: what lies further back than this is not looked for.
	from := max(start, at-4*n-16)
	err = kafka.Scan(ctx, reader, tp, from, end, func(r *kafka.Record) error {
		if r.Offset < from || r.Offset >= end {
			return nil
		}
		one := Neighbour{Offset: r.Offset, Time: instant(r.Timestamp), Self: r.Offset == at}
		one.KeyText, one.KeyBytes = text(r.Key)
		one.ValueText, one.Bytes = text(r.Value)
		if r.Offset < at {
			if before = append(before, one); int64(len(before)) > n {
				before = before[1:]
			}
			return nil
		}
		before = append(before, one)
		if !one.Self {
			after++
		}
		if after == n {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	s.Neighbours = before
	return nil
}
