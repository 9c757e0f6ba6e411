package letters

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// Group are the open letters of one fingerprint.
type Group struct {
	Fingerprint string    `json:"fingerprint"`
	System      string    `json:"system"` // what has written them: weir, kafka-streams, spring, ..., "" where they do not say
	Topology    string    `json:"topology"`
	Node        string    `json:"node"`
	Class       string    `json:"class"`  // the kind of the failure, in one word
	Reason      string    `json:"reason"` // the kind and the message of the example
	Count       int64     `json:"count"`
	First       time.Time `json:"first"` // when the first of them failed
	Last        time.Time `json:"last"`
	Parked      int64     `json:"parked"`  // records of their keys that wait for them
	Example     At        `json:"example"` // the newest letter
}

// At is a place in the topic of dead letters.
type At struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// Listing is what is in a topic of dead letters.
type Listing struct {
	Groups   []Group // of open letters, the largest first
	Open     int64
	Resolved int64 // letters that are still there, and were redriven or discarded
}

// maxGroups bounds the memory of a listing. Letters of more fingerprints are in one group together.
const maxGroups = 10_000

// Others is the fingerprint of letters that have no group of their own, since there are too many.
const Others = "others"

// List groups the open letters of a selection by fingerprint. Its memory depends on the number of groups, not on that of letters.
func (t *Tool) List(ctx context.Context, s Selection) (*Listing, error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	list := &Listing{}
	groups := map[string]*Group{}
	waiting := parkings{tool: t, reader: reader}
	err = t.each(ctx, reader, p, func(l *Letter, open bool) error {
		if !open {
			list.Resolved++
			return nil
		}
		list.Open++
		if !s.has(l) {
			return nil
		}
		g := groups[l.Fingerprint]
		if g == nil {
			name := strings.Clone(l.Fingerprint)
			if len(groups) >= maxGroups {
				name = Others
			}
			if g = groups[name]; g == nil {
				g = &Group{Fingerprint: name, First: l.failed(), Last: l.failed()}
				groups[name] = g
			}
		}
		g.Count++
		parked, err := waiting.of(ctx, l)
		if err != nil {
			return err
		}
		g.Parked += parked
		if at := l.failed(); at.Before(g.First) {
			g.First = at
		} else if !at.Before(g.Last) {
			g.Last = at
		}
		if g.System, g.Topology, g.Node, g.Class = string(l.System), l.Topology, l.Node, l.class(); g.Count == 1 || !l.failed().Before(g.Last) {
			g.Reason, g.Example = l.reason(), At{l.Partition, l.Record.Offset}
		}
		return nil
	})
	for _, g := range slices.SortedFunc(maps.Values(groups), func(a, b *Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fingerprint, b.Fingerprint))
	}) {
		list.Groups = append(list.Groups, *g)
	}
	return list, err
}

// Shown is a letter in words.
type Shown struct {
	At
	Fingerprint string    `json:"fingerprint"`
	System      string    `json:"system"`
	Open        bool      `json:"open"`
	Topology    string    `json:"topology"`
	Node        string    `json:"node"`
	Reason      string    `json:"reason"`
	Stack       string    `json:"stack,omitempty"`
	Attempts    int       `json:"attempts"`
	Failures    int       `json:"failures"`
	Redrives    int       `json:"redrives"`
	Failed      time.Time `json:"failed"`
	Input       string    `json:"input"` // where its record stood when it failed last, as TOPIC/PARTITION
	InputOffset int64     `json:"input_offset"`
	Origin      string    `json:"origin"` // where it stood when it failed first
	OriginAt    int64     `json:"origin_offset"`
	Headers     []Pair    `json:"headers"` // of the record
	KeyText     *string   `json:"key"`     // null for none
	ValueText   *string   `json:"value"`
	Whole       bool      `json:"whole"` // the letter holds its whole record
}

// Pair is a header.
type Pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Show returns the first letters of a selection, at most limit (0: all), open or not.
func (t *Tool) Show(ctx context.Context, s Selection, limit int64) (shown []Shown, err error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	err = t.each(ctx, reader, p, func(l *Letter, open bool) error {
		if !s.has(l) {
			return nil
		}
		shown = append(shown, l.shown(open))
		if int64(len(shown)) == limit {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return shown, err
}

func (l *Letter) shown(open bool) Shown {
	s := Shown{
		At: At{l.Partition, l.Record.Offset}, Fingerprint: l.Fingerprint, System: string(l.System), Open: open, Topology: l.Topology, Node: l.Node, Reason: l.reason(),
		Stack: l.Stack, Attempts: l.Attempts, Failures: l.Failures, Redrives: l.Redrives, Failed: l.failed(),
		Input: l.Position.TopicPartition.String(), InputOffset: l.Position.Offset, Origin: l.First.TopicPartition.String(), OriginAt: l.First.Offset,
		KeyText: text(l.Record.Key), ValueText: text(l.Record.Value), Headers: []Pair{}, Whole: !l.Cut && l.Excess == nil,
	}
	for _, h := range l.Headers {
		s.Headers = append(s.Headers, Pair{h.Key, string(h.Value)})
	}
	return s
}

// text is nil for nothing.
func text(b []byte) *string {
	if b == nil {
		return nil
	}
	return new(string(b))
}
