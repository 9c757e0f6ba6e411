package letters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/sandbox"
)

// TrialOptions say what a trial works on.
type TrialOptions struct {
	Plans []*plan.Plan // the topologies of today's program
	Empty bool         // stores begin empty, instead of with what their changelogs hold now
	Call  bool         // services are called
}

// Trial is what today's program makes of letters, with nothing written anywhere.
type Trial struct {
	Topic    string           `json:"topic"`
	State    string           `json:"state"` // the stores at the beginning: now, or empty
	Selected int64            `json:"selected"`
	Passed   int64            `json:"passed"`   // would not fail
	Failed   int64            `json:"failed"`   // would fail again
	Outcomes map[string]int64 `json:"outcomes"` // of those that pass: processed, filtered, deduplicated
	Outputs  map[string]int64 `json:"outputs"`  // what those that pass would write, by topic
	Untried  map[string]int64 `json:"untried"`  // by the reason
	Outside  map[string]int64 `json:"outside"`  // those that pass and would write to a system besides Kafka, by that
	Parked   int64            `json:"parked"`   // records of their keys that wait for them, and are not tried
	Groups   []TrialGroup     `json:"groups"`   // of those that fail, the largest first
}

// TrialGroup are letters that fail again, in one way.
type TrialGroup struct {
	Fingerprint string `json:"fingerprint"`
	Topology    string `json:"topology"`
	Node        string `json:"node"`
	Class       string `json:"class"`
	Reason      string `json:"reason"`
	Count       int64  `json:"count"`
	Before      int64  `json:"before"` // of them: have failed in the same way before
	Example     At     `json:"example"`
}

// Try has the nodes of today's program process the open letters of a selection, at most limit of them (0: all), in the order of a
// redrive, on copies of the stores in a temporary folder. A letter that passes changes what later ones meet, as a redrive would.
// A record is tried once, and no broker is asked whether it would take the outputs.
func (t *Tool) Try(ctx context.Context, s Selection, limit int64, o TrialOptions) (result *Trial, err error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-try-")
	if err != nil {
		return nil, err
	}
	run := &trial{
		tool: t, opts: o, reader: reader, dir: dir, boxes: map[*plan.Plan]*trialBox{}, groups: map[string]*TrialGroup{},
		result: &Trial{Topic: t.Topic, State: "now", Outcomes: map[string]int64{}, Outputs: map[string]int64{}, Untried: map[string]int64{}, Outside: map[string]int64{}, Groups: []TrialGroup{}},
	}
	if o.Empty {
		run.result.State = "empty"
	}
	defer func() { err = errors.Join(err, run.close(), os.RemoveAll(dir)) }()
	waiting := parkings{tool: t, reader: reader}
	run.result.Selected, err = t.first(ctx, reader, p, limit, func(l *Letter, open bool) bool { return open && s.has(l) }, func(l *Letter, _ bool) error {
		parked, err := waiting.of(ctx, l)
		if err != nil {
			return err
		}
		run.result.Parked += parked
		if err := run.try(ctx, l); err != nil {
			return fmt.Errorf("letter %d/%d: %w", l.Partition, l.Record.Offset, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, g := range slices.SortedFunc(maps.Values(run.groups), func(a, b *TrialGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fingerprint, b.Fingerprint))
	}) {
		run.result.Groups = append(run.result.Groups, *g)
	}
	return run.result, nil
}

// trial is a Try while it runs.
type trial struct {
	tool   *Tool
	opts   TrialOptions
	reader kafka.Reader
	dir    string
	boxes  map[*plan.Plan]*trialBox
	opened int
	groups map[string]*TrialGroup
	result *Trial
}

// trialBox is the sandbox of a topology.
type trialBox struct {
	*sandbox.Sandbox
	plan   *plan.Plan
	topics map[string]kafka.TopicInfo
	views  map[*plan.Global]plan.View
}

func (t *trial) close() (err error) {
	for _, b := range t.boxes {
		err = errors.Join(err, b.Close())
	}
	return err
}

// try has a letter processed, and counts how it ends.
func (t *trial) try(ctx context.Context, l *Letter) error {
	if l.Cut || l.Excess != nil {
		t.result.Untried["the letter does not hold its whole record"]++
		return nil
	}
	if l.stranger() {
		t.result.Untried[noLetter]++
		return nil
	}
	p, why := t.planOf(l)
	if why != "" {
		t.result.Untried[why]++
		return nil
	}
	b, err := t.box(ctx, p)
	if err != nil {
		return err
	}
	subgraph, source := b.source(l)
	if source == nil {
		t.result.Untried[fmt.Sprintf("topology %s does not read %s any more", p.Topology, cmp.Or(l.First.Topic, l.Position.Topic, "?"))]++
		return nil
	}
	if n := b.topics[source.Topic].Partitions; l.Position.Partition < 0 || n > 0 && l.Position.Partition >= n {
		t.result.Untried["the letter names a partition that its topic does not have"]++
		return nil
	}
	if err := t.stores(ctx, b, p.Subgraphs[subgraph], l.Position.Partition); err != nil {
		return err
	}
	outcome, failure, err := b.Run(subgraph, source, t.record(b, l), l.Record.Key, l.Record.Value)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // the call may have ended for that
		return context.Cause(ctx)
	}
	t.count(b, p, l, outcome, failure)
	return nil
}

// planOf is the topology in which a letter's record would be processed, or why there is none.
func (t *trial) planOf(l *Letter) (found *plan.Plan, why string) {
	for _, p := range t.opts.Plans {
		switch {
		case l.Topology == p.Topology:
			return p, ""
		case l.Topology != "" || !reads(p, l.First.Topic):
		case found != nil:
			return nil, fmt.Sprintf("the letter names no topology, and several read %s: give --topology", l.First.Topic)
		default:
			found = p
		}
	}
	switch {
	case found != nil:
		return found, ""
	case l.Topology != "":
		return nil, fmt.Sprintf("topology %s is not in this program, or not the one that --topology names: run dlq try of the program that contains it", l.Topology)
	case l.First.Topic != "":
		return nil, fmt.Sprintf("the letter names no topology, and none of this program reads %s: run dlq try of the program whose topology does", l.First.Topic)
	}
	return nil, "the letter names neither its topology nor the topic of its record"
}

func reads(p *plan.Plan, topic string) bool {
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			if p.Topic(in) == topic {
				return true
			}
		}
	}
	return false
}

// source is where the letter's record comes in.
func (b *trialBox) source(l *Letter) (subgraph int, found *nodes.Source) {
	for _, topic := range []string{l.Position.Topic, l.First.Topic} {
		for i, g := range b.Graph.Subgraphs {
			for _, s := range slices.Concat(g.Sources, g.Redrives) {
				if s.Topic == topic {
					return i, s.Origin()
				}
			}
		}
	}
	return 0, nil
}

// record is what the nodes may know of the record, as when it is redriven.
func (t *trial) record(b *trialBox, l *Letter) nodes.Record {
	at := l.Record.Timestamp
	if l.Timestamp > 0 {
		at = l.Timestamp
	}
	r := nodes.Record{
		Record: plan.Record{Topic: l.Position.Topic, Partition: l.Position.Partition, Offset: l.Position.Offset, Timestamp: time.UnixMilli(at), Attempt: 1, Headers: l.Headers},
		First:  &nodes.First{Topic: l.First.Topic, TopicID: b.topics[l.First.Topic].ID, Partition: l.First.Partition, Offset: l.First.Offset},
	}
	if l.Topology != "" {
		r.Topic, _ = redriveTopic(t.tool.Names, l)
		r.Headers = deadletter.Redriven(l.Record.Headers)
	}
	return r
}

// count notes how a letter has ended.
func (t *trial) count(b *trialBox, p *plan.Plan, l *Letter, o nodes.Outcome, f *nodes.Failure) {
	r := t.result
	if f == nil {
		r.Passed++
		r.Outcomes[map[nodes.Outcome]string{nodes.Processed: "processed", nodes.Filtered: "filtered", nodes.Deduplicated: "deduplicated"}[o]]++
		if o == nodes.Processed {
			for _, e := range b.Call().Effects() {
				r.Outputs[e.Topic]++
			}
			asked := map[string]bool{}
			for _, o := range b.Call().Outward() {
				if name := o.Outside.Kind + " " + o.Outside.Name; !asked[name] {
					asked[name] = true
					r.Outside[name]++
				}
			}
		}
		return
	}
	if unserved, ok := errors.AsType[*nodes.UnservedError](f.Err); ok {
		r.Untried[fmt.Sprintf("node %s calls service %s: give --call-services to have it called", f.Name, unserved.Service)]++
		return
	}
	r.Failed++
	name := deadletter.Fingerprint(f.Name, string(f.Reason), f.Text)
	g := t.groups[name]
	if g == nil && len(t.groups) >= maxGroups {
		name = Others
		g = t.groups[name]
	}
	if g == nil {
		g = &TrialGroup{Fingerprint: name}
		t.groups[name] = g
	}
	g.Count++
	if name == l.Fingerprint {
		g.Before++
	}
	g.Topology, g.Node, g.Class, g.Reason, g.Example = p.Topology, f.Name, string(f.Reason), reasonOf(string(f.Reason), nodes.Short(f.Text)), At{l.Partition, l.Record.Offset}
}

// box is the sandbox of a topology, with its globals read.
func (t *trial) box(ctx context.Context, p *plan.Plan) (*trialBox, error) {
	if b := t.boxes[p]; b != nil {
		return b, nil
	}
	var names []string
	for _, topic := range p.Topics {
		names = append(names, topic.Name)
	}
	b := &trialBox{plan: p, views: map[*plan.Global]plan.View{}}
	var err error
	if b.topics, err = t.tool.Client.Topics(ctx, names); err != nil {
		return nil, err
	}
	cluster, err := t.tool.Client.ClusterID(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range p.Globals {
		view := g.View()
		b.views[g] = view
		topic := p.Topic(&g.Stream)
		for n := range b.topics[topic].Partitions {
			err := t.tool.whole(ctx, t.reader, kafka.TopicPartition{Topic: topic, Partition: n}, func(r *kafka.Record) error {
				if r.Key != nil {
					_ = view.Put(string(r.Key), r.Value) // what is no value fails who looks it up, as in an instance
				}
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("read global %s: %w", topic, err)
			}
		}
	}
	b.Sandbox = sandbox.New(p, nodes.Env{
		Group: p.Group(), Cluster: cluster, Unserved: !t.opts.Call,
		Partitions: func(topic string) int32 { return b.topics[topic].Partitions },
		Global:     func(g *plan.Global) plan.View { return b.views[g] },
	})
	b.Call().Within(ctx)
	t.boxes[p] = b
	return b, nil
}

// stores opens the stores of a sub-graph at a partition, with what their changelogs hold.
func (t *trial) stores(ctx context.Context, b *trialBox, g *plan.Subgraph, partition int32) error {
	for _, s := range g.Stores {
		if b.Store(s, partition) != nil {
			continue
		}
		t.opened++
		log := kafka.TopicPartition{Topic: b.plan.Changelog(s), Partition: partition}
		fill := func(put func([]keyed.Entry) error) error { return t.tool.replayLog(ctx, t.reader, log, put) }
		if t.opts.Empty || s == g.Parked || partition >= b.topics[log.Topic].Partitions {
			fill = nil // no node looks at what is parked
		}
		if err := b.Open(s, partition, filepath.Join(t.dir, strconv.Itoa(t.opened)), fill); err != nil {
			return err
		}
	}
	return nil
}

// whole calls do with all committed records that a partition holds now.
func (t *Tool) whole(ctx context.Context, reader kafka.Reader, tp kafka.TopicPartition, do func(*kafka.Record) error) error {
	start, end, err := t.Client.Bounds(ctx, tp)
	if err != nil {
		return err
	}
	return kafka.Scan(ctx, reader, tp, start, end, func(r *kafka.Record) error {
		if r.Offset >= end {
			return nil
		}
		return do(r)
	})
}

// entriesBytes is how much of a changelog is gathered before it is written.
const entriesBytes = 2 << 20

// replayLog gives put what a changelog holds.
func (t *Tool) replayLog(ctx context.Context, reader kafka.Reader, log kafka.TopicPartition, put func([]keyed.Entry) error) error {
	var pending []keyed.Entry
	size := 0
	err := t.whole(ctx, reader, log, func(r *kafka.Record) error {
		pending = append(pending, keyed.Entry{Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)})
		if size += len(r.Key) + len(r.Value); size < entriesBytes {
			return nil
		}
		err := put(pending)
		pending, size = nil, 0
		return err
	})
	if err == nil && len(pending) > 0 {
		err = put(pending)
	}
	return err
}

// reasonOf is the kind of a failure and its message, on one line.
func reasonOf(kind, message string) string {
	switch {
	case kind == "" && message == "":
		return "the letter does not say"
	case kind == "":
		return message
	case message == "":
		return kind
	case strings.HasPrefix(message, kind+": "): // errors of topology.Reject say so themselves
		return message
	}
	return kind + ": " + message
}
