package replay

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// rebuild gives the stores of a sub-graph another content, and has the group begin where that belongs. The order lets no instance begin on
// what is in between: the reset is recorded and its offsets are committed; then all changelogs get positions that say that the reset is
// used up, so a start is refused; then the group is looked at again, for one that has started before; then the stores are changed; and the
// last transaction has positions and offsets that agree.
type rebuild struct {
	tool *Tool
	sink *kafka.Sink
	plan *plan.Plan
	sub  *plan.Subgraph
	at   map[kafka.TopicPartition]int64 // where the inputs go on
	why  string
	// fill gives put what a store is to hold; nil for nothing.
	fill func(store *plan.Store, partition int32, put func(key, value []byte) error) error
	// by is what letters are answered by whose records come again, and id tells these answers from others.
	by, id string
	// committed is up to where the group had read the inputs before; where it is nil, what the group says.
	committed map[kafka.TopicPartition]int64
	// last is written with the last transaction, if not nil. answered is of how many letters the records are processed again.
	last func(answered int64) (*kafka.Outgoing, error)

	infos map[string]kafka.TopicInfo
	n     int                                   // records of the transaction
	holds map[kafka.TopicPartition]golden.Entry // an entry that a store holds now, by its changelog
}

// touch is a record that changes nothing of a store, for positions: an entry that it holds, written again. A deletion of a key that may be there, even the empty one, would lose
// it, and a changelog forgets deletions after a while, and the positions with them. A store that holds nothing has nothing else.
func (b *rebuild) touch(log kafka.TopicPartition, positions []byte) *kafka.Outgoing {
	if one, ok := b.holds[log]; ok {
		return stateRecord(log, one.Key, one.Value, positions)
	}
	return stateRecord(log, []byte{}, nil, positions)
}

// reset empties the stores that the replayed input changes, in the partitions of the job, and has the group begin at their starts.
func (r *running) reset(ctx context.Context, p *plan.Plan) error {
	if r.Reset {
		return nil
	}
	at, committed := map[kafka.TopicPartition]int64{}, map[kafka.TopicPartition]int64{}
	for _, one := range r.Ranges {
		tp := kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition}
		at[tp], committed[tp] = one.Start, one.End
	}
	if r.AnswersID == "" {
		r.AnswersID = rand.Text()
	}
	why := "replay " + r.Job + " rebuilds the state"
	if r.Why != "" {
		why += ": " + r.Why
	}
	b := &rebuild{tool: r.tool, sink: r.sink, plan: p, sub: inputOf(p, r.File.From.Topic), at: at, why: why, by: "replay " + r.Job, id: r.AnswersID, committed: committed, last: func(answered int64) (*kafka.Outgoing, error) {
		r.Reset, r.Emptying, r.Answered = true, false, answered
		return r.tool.record(keyOf(r.Job), r.standing)
	}}
	r.Emptying = true
	if err := r.tool.save(ctx, r.sink, r.standing); err != nil {
		return err
	}
	return b.run(ctx)
}

func (b *rebuild) run(ctx context.Context) error {
	t, p := b.tool, b.plan
	graph := offsets.Graph{}
	for _, in := range b.sub.Inputs {
		graph.Inputs = append(graph.Inputs, p.Topic(in))
	}
	for _, s := range b.sub.Stores {
		graph.Stores = append(graph.Stores, offsets.Store{Name: s.Name, Changelog: p.Changelog(s)})
	}
	var err error
	if b.infos, err = t.Client.Topics(ctx, graph.Inputs); err != nil {
		return err
	}
	tool := &offsets.Tool{Client: t.Client, Topology: p.Topology, Group: p.Group(), Jobs: t.Names.System(system.Jobs.Name), Who: t.Who, Graphs: []offsets.Graph{graph}}
	rows, err := tool.Show(ctx)
	if err != nil {
		return err
	}
	if b.committed == nil {
		b.committed = map[kafka.TopicPartition]int64{}
		for _, row := range rows {
			if row.Committed != nil {
				b.committed[kafka.TopicPartition{Topic: row.Topic, Partition: row.Partition}] = *row.Committed
			}
		}
	}
	var changes []offsets.Change
	top := map[kafka.TopicPartition]int64{} // how far the state is
	for _, row := range rows {
		tp := kafka.TopicPartition{Topic: row.Topic, Partition: row.Partition}
		next, ok := b.at[tp]
		if !ok {
			continue
		}
		if top[tp] = next; row.State != nil {
			top[tp] = max(*row.State, next)
		}
		to, err := offsets.ParseWhere(strconv.FormatInt(next, 10))
		if err != nil {
			return err
		}
		more, _, err := tool.Plan(ctx, rows, offsets.Selection{Topic: tp.Topic, Partition: tp.Partition}, to)
		if err != nil {
			return err
		}
		changes = append(changes, more...)
	}
	if err := tool.Record(ctx, changes, b.why, true, offsets.Along{}); err != nil {
		return err
	}
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	recorded, err := offsets.Resets(ctx, t.Client, reader, tool.Jobs)
	if err != nil {
		return err
	}
	b.holds = map[kafka.TopicPartition]golden.Entry{}
	partitions := map[int32]bool{}
	for tp := range b.at {
		partitions[tp.Partition] = true
	}
	between := map[int32][]byte{}
	for n := range partitions {
		between[n] = b.positions(n, func(tp kafka.TopicPartition, at *offsets.Position) {
			named := recorded[(&offsets.Reset{Topology: p.Topology, Topic: tp.Topic, Partition: tp.Partition}).Key()]
			at.Offset, at.Reset = top[tp]+1, named.Name()
		})
		for _, s := range b.sub.Stores {
			if err := b.sink.Append(stateRecord(kafka.TopicPartition{Topic: p.Changelog(s), Partition: n}, []byte{}, nil, between[n])); err != nil {
				return err
			}
		}
	}
	if err := b.sink.Commit(ctx); err != nil {
		return err
	}
	// From here on no instance starts. One that did before is a member.
	if err := t.alone(ctx, p, false); err != nil {
		return err
	}
	for n := range partitions {
		for _, s := range b.sub.Stores {
			if err := b.replace(ctx, reader, s, n, between[n]); err != nil {
				return fmt.Errorf("store %s, partition %d: %w", s.Name, n, err)
			}
		}
	}
	return b.end(ctx, partitions)
}

// positions are those of the inputs of a task, as they are to be, and changed.
func (b *rebuild) positions(partition int32, change func(kafka.TopicPartition, *offsets.Position)) []byte {
	all := offsets.Positions{}
	for _, in := range b.sub.Inputs {
		tp := kafka.TopicPartition{Topic: b.plan.Topic(in), Partition: partition}
		next, ok := b.at[tp]
		if !ok {
			continue
		}
		at := offsets.Position{TopicID: b.infos[tp.Topic].ID, Offset: next, Epoch: -1, From: next}
		change(tp, &at)
		all[tp.Topic] = at
	}
	return all.Encode(offsets.Owner{Prefix: b.plan.Names.Prefix, Topology: b.plan.Topology})
}

// end has state and offsets agree, and answers the letters of records that come again.
func (b *rebuild) end(ctx context.Context, partitions map[int32]bool) error {
	dlq := b.tool.dlq()
	claim, err := dlq.Claim(ctx, b.plan)
	if err != nil {
		return err
	}
	defer claim.Close()
	again, err := dlq.Again(ctx, letters.From(b.plan, b.infos, b.at, b.committed))
	if err != nil {
		return err
	}
	answers, err := dlq.Answers(b.id, b.by, again.Letters)
	if err != nil {
		return err
	}
	reopened, err := dlq.Reopen(b.id, b.by, again.Unread)
	if err != nil {
		return err
	}
	passed, err := dlq.Pass(b.pass())
	if err != nil {
		return err
	}
	begin := map[kafka.TopicPartition]kafka.CommittedOffset{}
	for tp, at := range b.at {
		begin[tp] = kafka.CommittedOffset{Offset: at, LeaderEpoch: -1, Metadata: offsets.Mark{TopicID: b.infos[tp.Topic].ID}.String()}
	}
	for n := range partitions {
		after := b.positions(n, func(kafka.TopicPartition, *offsets.Position) {})
		for _, s := range b.sub.Stores {
			log := kafka.TopicPartition{Topic: b.plan.Changelog(s), Partition: n}
			if err := b.sink.Append(b.touch(log, after)); err != nil {
				return err
			}
		}
	}
	for _, out := range append(append(answers, reopened...), passed) {
		if err := b.sink.Append(out); err != nil {
			return err
		}
	}
	if b.last != nil {
		out, err := b.last(int64(len(again.Letters)))
		if err != nil {
			return err
		}
		if err := b.sink.Append(out); err != nil {
			return err
		}
	}
	if err := b.sink.Flush(ctx); err != nil {
		return err
	}
	// Kafka takes these offsets from outside of a group also while it has members.
	if err := b.tool.alone(ctx, b.plan, false); err != nil {
		return err
	}
	if len(again.Letters)+len(again.Unread) > 0 {
		if err := claim.Confirm(ctx, b.by); err != nil {
			return err
		}
	}
	if err := b.sink.Offsets(ctx, kafka.Member{Group: b.plan.Group(), Generation: -1}, begin); err != nil {
		return fmt.Errorf("set the offsets of group %s, which needs to have no members: %w", b.plan.Group(), err)
	}
	return b.sink.Commit(ctx)
}

// pass is what has the records of the inputs processed again.
func (b *rebuild) pass() letters.Pass {
	p := letters.Pass{ID: b.id, Topology: b.plan.Topology, By: b.by, Letters: letters.DeadLetters(b.plan)}
	for _, tp := range slices.SortedFunc(maps.Keys(b.at), kafka.TopicPartition.Compare) {
		in := letters.PassedInput{Topic: tp.Topic, TopicID: b.infos[tp.Topic].ID, Partition: tp.Partition, From: b.at[tp]}
		if at, ok := b.committed[tp]; ok {
			in.Committed = &at
		}
		p.Inputs = append(p.Inputs, in)
	}
	return p
}

// seenKeys bounds the memory of replace. A key that is deleted twice does no harm.
const seenKeys = 1 << 20

// replace deletes all keys of a store at a partition, and writes what it is to hold.
func (b *rebuild) replace(ctx context.Context, reader kafka.Reader, store *plan.Store, partition int32, positions []byte) error {
	log := kafka.TopicPartition{Topic: b.plan.Changelog(store), Partition: partition}
	start, end, err := b.tool.Client.Bounds(ctx, log)
	if err != nil {
		return err
	}
	put := func(key, value []byte) error {
		var header []byte
		if b.n == 0 {
			header = positions
		}
		if err := b.sink.Append(stateRecord(log, key, value, header)); err != nil {
			return err
		}
		if value != nil {
			b.holds[log] = golden.Entry{Key: key, Value: value}
		}
		if b.n++; b.n < batchRecords {
			return nil
		}
		b.n = 0
		return b.sink.Commit(ctx)
	}
	seen := map[uint64]bool{}
	err = kafka.Scan(ctx, reader, log, start, end, func(one *kafka.Record) error {
		if one.Offset >= end || one.Value == nil || seen[hashed(one.Key)] {
			return nil
		}
		if len(seen) < seenKeys {
			seen[hashed(one.Key)] = true
		}
		return put(append([]byte{}, one.Key...), nil)
	})
	if err == nil && b.fill != nil {
		err = b.fill(store, partition, put)
	}
	if err != nil || b.n == 0 {
		return err
	}
	b.n = 0
	return b.sink.Commit(ctx)
}

// stateRecord is a record of a changelog. positions are nil where it has none.
func stateRecord(log kafka.TopicPartition, key, value, positions []byte) *kafka.Outgoing {
	out := &kafka.Outgoing{TopicPartition: log, Timestamp: time.Now().UnixMilli(), Key: key, Value: value}
	if positions != nil {
		out.Headers = []kafka.Header{{Key: offsets.Header, Value: positions}}
	}
	return out
}
