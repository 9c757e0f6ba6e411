package offsets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Row is where the group and the state of a topology stand in one partition of an input, or of one of its redrive and retry topics. Offsets are null where there is none.
type Row struct {
	Topic     string `json:"topic"`
	Of        string `json:"of,omitempty"` // the input of which a redrive or retry topic has records
	Partition int32  `json:"partition"`
	TopicID   string `json:"topic_id"`
	Committed *int64 `json:"committed"`
	State     *int64 `json:"state"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Agrees    bool   `json:"agrees"`
	Why       string `json:"why,omitempty"`  // what is wrong, or by which recorded reset it agrees
	Mend      Mend   `json:"mend,omitempty"` // what helps, where it does not agree

	mark Mark  // of the committed offset, as far as it speaks of the topic that there is now
	read int64 // how far Weir itself has read the input, -1 when that is not known
}

// found is what Show reads of a cluster.
type found struct {
	infos        map[string]kafka.TopicInfo
	committed    map[kafka.TopicPartition]kafka.CommittedOffset
	starts, ends map[kafka.TopicPartition]int64
	positions    map[kafka.TopicPartition]Positions // the newest, by partition of a changelog
	resets       map[string]Reset
}

// Show looks at every partition of the inputs, and then of their redrive and retry topics, as far as they exist.
func (t *Tool) Show(ctx context.Context) ([]Row, error) {
	f, err := t.find(ctx)
	if err != nil {
		return nil, err
	}
	var rows, beside []Row
	var later *found // the same with committed offsets that were asked for after the changelogs were read
	row := func(g Graph, tp kafka.TopicPartition) (Row, error) {
		r := newRow(f.question(t.Topology, g, tp), f.starts[tp], f.ends[tp])
		if r.Mend != MendOffsets {
			return r, nil
		}
		// An instance that runs may have committed since the offsets were asked for, and its state is read after them.
		if later == nil {
			var err error
			if later, err = t.again(ctx, f); err != nil {
				return r, err
			}
		}
		return newRow(later.question(t.Topology, g, tp), f.starts[tp], max(f.ends[tp], later.offset(tp).Offset)), nil
	}
	for _, g := range t.Graphs {
		lost, mend := f.missing(g)
		for _, topic := range g.Inputs {
			for _, tp := range partitions(f.infos, topic) {
				r, err := row(g, tp)
				if err != nil {
					return nil, err
				}
				switch emptied := f.lost(g, tp.Partition); {
				case lost != "":
					r.Agrees, r.Mend, r.Why = false, mend, lost
				case emptied != "":
					r.Agrees, r.Mend, r.Why = false, MendState, emptied
				}
				rows = append(rows, r)
			}
		}
		for _, a := range g.Asides {
			for _, tp := range partitions(f.infos, a.Topic) {
				r, err := row(g, tp)
				if err != nil {
					return nil, err
				}
				r.Of = a.Of
				beside = append(beside, r)
			}
		}
	}
	return append(rows, beside...), nil
}

// again is what was found, with the offsets that are committed now. What a state has read is not ahead of those, whatever instances did meanwhile. Changelogs are judged by
// the earlier ones: what these know of them was written before their ends were asked for.
func (t *Tool) again(ctx context.Context, f *found) (*found, error) {
	var inputs []kafka.TopicPartition
	for _, g := range t.Graphs {
		for _, topic := range g.read() {
			inputs = append(inputs, partitions(f.infos, topic)...)
		}
	}
	later := *f
	var err error
	later.committed, err = t.Client.Committed(ctx, t.Group, inputs)
	return &later, err
}

func (t *Tool) find(ctx context.Context) (*found, error) {
	var names []string
	for _, g := range t.Graphs {
		names = append(names, g.read()...)
		for _, s := range g.Stores {
			names = append(names, s.Changelog)
		}
	}
	f := &found{positions: map[kafka.TopicPartition]Positions{}}
	var err error
	if f.infos, err = t.Client.Topics(ctx, names); err != nil {
		return nil, err
	}
	var inputs, logs []kafka.TopicPartition
	for _, g := range t.Graphs {
		for _, topic := range g.Inputs {
			if _, ok := f.infos[topic]; !ok {
				return nil, fmt.Errorf("input topic %s does not exist: give --topic.prefix as the runs of the topology have it, or create the topic", topic)
			}
			inputs = append(inputs, partitions(f.infos, topic)...)
		}
		for _, a := range g.Asides {
			inputs = append(inputs, partitions(f.infos, a.Topic)...)
		}
		for _, s := range g.Stores {
			logs = append(logs, partitions(f.infos, s.Changelog)...)
		}
	}
	if f.committed, err = t.Client.Committed(ctx, t.Group, inputs); err != nil {
		return nil, err
	}
	var err1, err2 error
	all := slices.Concat(inputs, logs)
	f.starts, err1 = t.Client.Starts(ctx, all)
	f.ends, err2 = t.Client.Ends(ctx, all)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	fetcher := t.Client.NewFetcher(4 << 20)
	defer fetcher.Close()
	for _, log := range logs {
		if f.positions[log], err = Newest(ctx, fetcher, log, f.starts[log], f.ends[log]); err != nil {
			return nil, fmt.Errorf("read changelog %s: %w", log, err)
		}
	}
	f.resets, err = Resets(ctx, t.Client, fetcher, t.Jobs)
	return f, err
}

// missing says why a start would be refused for the changelogs of a sub-graph that has processed records, "" where it would not, and
// what helps.
func (f *found) missing(g Graph) (why string, mend Mend) {
	used := false
	for _, topic := range g.Inputs {
		for _, tp := range partitions(f.infos, topic) {
			used = used || f.offset(tp).Offset >= 0
		}
	}
	for _, s := range g.Stores {
		for _, tp := range partitions(f.infos, s.Changelog) {
			used = used || f.ends[tp] > 0
		}
	}
	want := f.infos[g.Inputs[0]].Partitions
	for _, s := range g.Stores {
		switch info, ok := f.infos[s.Changelog]; {
		case !ok && used:
			return fmt.Sprintf("changelog %s does not exist, and records were processed before: the state is gone", s.Changelog), MendState
		case ok && info.Partitions != want:
			return fmt.Sprintf("changelog %s has %d partitions, and its input %d", s.Changelog, info.Partitions, want), MendPartitions
		}
	}
	return "", MendNothing
}

// lost says why an instance without a store of its own would be refused for a changelog that does not hold the whole state.
func (f *found) lost(g Graph, partition int32) string {
	var committed []kafka.CommittedOffset
	for _, topic := range g.Inputs {
		committed = append(committed, f.offset(kafka.TopicPartition{Topic: topic, Partition: partition}))
	}
	marks := MarksOf(slices.Values(committed))
	for _, s := range g.Stores {
		tp := kafka.TopicPartition{Topic: s.Changelog, Partition: partition}
		info, ok := f.infos[s.Changelog]
		if !ok {
			continue
		}
		c := Changelog{TopicPartition: tp, TopicID: info.ID, Start: f.starts[tp], End: f.ends[tp], Known: marks.Of(s.Name), Held: -1}
		if a := JudgeLog(c); a.Why != "" {
			return fmt.Sprintf("changelog %s: %s", tp, a.Why)
		}
	}
	return ""
}

// offset is the committed offset of an input partition.
func (f *found) offset(tp kafka.TopicPartition) kafka.CommittedOffset {
	if o, ok := f.committed[tp]; ok {
		return o
	}
	return kafka.NoOffset
}

// question is what an instance would ask about an input partition when it starts.
func (f *found) question(topology string, g Graph, tp kafka.TopicPartition) Question {
	q := Question{TopicPartition: tp, TopicID: f.infos[tp.Topic].ID, Committed: f.offset(tp)}
	for _, s := range g.Stores {
		log := kafka.TopicPartition{Topic: s.Changelog, Partition: tp.Partition}
		p := f.positions[log]
		if at, ok := p[tp.Topic]; ok {
			q.State = append(q.State, at)
		}
		q.Known = q.Known || p != nil
		q.Filled = q.Filled || p == nil && f.ends[log] > f.starts[log]
	}
	for _, topic := range g.read() {
		other := kafka.TopicPartition{Topic: topic, Partition: tp.Partition}
		q.Known = q.Known || other != tp && f.offset(other).Offset >= 0
	}
	key := Reset{Topology: topology, Topic: tp.Topic, Partition: tp.Partition}
	if r, ok := f.resets[key.Key()]; ok {
		q.Reset = &r
	}
	return q
}

// lag is how many offsets are not committed yet.
func lag(start, end int64, committed *int64) int64 {
	if committed != nil {
		start = max(start, *committed)
	}
	return max(0, end-start)
}

func partitions(infos map[string]kafka.TopicInfo, topic string) (tps []kafka.TopicPartition) {
	for p := range infos[topic].Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: topic, Partition: p})
	}
	return tps
}

func newRow(q Question, start, end int64) Row {
	a := Judge(q)
	r := Row{
		Topic: q.Topic, Partition: q.Partition, TopicID: q.TopicID, Committed: orNull(q.Committed.Offset), State: orNull(q.Top()),
		Start: start, End: end, Lag: lag(start, end, orNull(q.Committed.Offset)), Agrees: a.Kind != Refused, Why: a.Why,
	}
	r.mark, r.read = q.last()
	switch {
	case a.Kind == Refused:
		r.Mend = MendOffsets
	case a.Accepted:
		r.Why = fmt.Sprintf("recorded by %s at %s: %s", q.Reset.Who, q.Reset.At.Format(time.RFC3339), q.Reset.Why)
	case a.Kind == Recreated:
		r.Why = "the topic was deleted and created again: auto.offset.reset decides where it is read"
	}
	return r
}
