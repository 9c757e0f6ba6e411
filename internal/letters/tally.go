package letters

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// tally groups letters by fingerprint. Its memory depends on the number of groups, not on that of letters.
type tally struct {
	selection Selection
	waiting   parkings
	groups    map[string]*Group
	open      int64
	resolved  int64
	strangers int64
}

func newTally(t *Tool, reader kafka.Reader, s Selection) *tally {
	return &tally{selection: s, waiting: parkings{tool: t, reader: reader}, groups: map[string]*Group{}}
}

// add counts a letter. explained says that it is there with its message; else the reason of its group is to be looked up by its example.
func (y *tally) add(ctx context.Context, l *Letter, open, explained bool) error {
	if l.stranger() {
		y.strangers++
		return nil
	}
	if !open {
		y.resolved++
		return nil
	}
	y.open++
	if !y.selection.has(l) {
		return nil
	}
	at := l.failed()
	g := y.groups[l.Fingerprint]
	if g == nil {
		name := strings.Clone(l.Fingerprint)
		if len(y.groups) >= maxGroups {
			name = Others
		}
		if g = y.groups[name]; g == nil {
			g = &Group{Fingerprint: name, First: at, Last: at, FirstFailed: at}
			y.groups[name] = g
		}
	}
	g.Count++
	parked, err := y.waiting.of(ctx, l)
	if err != nil {
		return err
	}
	g.Parked += parked
	if at.Before(g.First) {
		g.First = at
	}
	if first := l.earliest(); first.Before(g.FirstFailed) {
		g.FirstFailed = first
	}
	here := At{l.Partition, l.Record.Offset}
	if g.Count > 1 && cmp.Or(at.Compare(g.Last), here.compare(g.Example)) < 0 {
		return nil
	}
	g.Last = at
	g.System, g.Topology, g.Node, g.Class = string(l.System), l.Topology, l.Node, l.class()
	g.Example, g.Reason = here, ""
	if explained {
		g.Reason = l.reason()
	}
	return nil
}

func (a At) compare(b At) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// explain looks up the reasons of groups whose examples were not read, in the order in which they stand.
func (y *tally) explain(ctx context.Context, t *Tool, reader kafka.Reader, p *place) error {
	var silent []*Group
	for _, g := range y.groups {
		if g.Reason == "" {
			silent = append(silent, g)
		}
	}
	slices.SortFunc(silent, func(a, b *Group) int { return a.Example.compare(b.Example) })
	for _, g := range silent {
		tp := kafka.TopicPartition{Topic: t.Topic, Partition: g.Example.Partition}
		err := kafka.Scan(ctx, reader, tp, g.Example.Offset, min(g.Example.Offset+1, p.ends[tp]), func(r *kafka.Record) error {
			if r.Offset >= g.Example.Offset {
				if r.Offset == g.Example.Offset {
					g.Reason = letterOf(r, tp.Partition).reason()
				}
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		g.Reason = cmp.Or(g.Reason, g.Class)
	}
	return nil
}

// listing is what was counted, the largest group first.
func (y *tally) listing() *Listing {
	list := &Listing{Open: y.open, Resolved: y.resolved, NoLetters: y.strangers}
	for _, g := range slices.SortedFunc(maps.Values(y.groups), func(a, b *Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fingerprint, b.Fingerprint))
	}) {
		list.Groups = append(list.Groups, *g)
	}
	return list
}
