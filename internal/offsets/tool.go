package offsets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/kafka"
)

// Input is an input topic of a topology with the changelogs of the stores that its records change.
type Input struct {
	Topic      string
	Changelogs []string
}

// Tool looks at and sets the offsets of one topology.
type Tool struct {
	Client   *kafka.Client
	Topology string
	Inputs   []Input
	Who      string
}

// Row is where the group and the state of a topology stand in one input partition. Offsets are null where there is none.
type Row struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	TopicID   string `json:"topic_id"`
	Committed *int64 `json:"committed"`
	State     *int64 `json:"state"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Agrees    bool   `json:"agrees"`
	Why       string `json:"why,omitempty"` // what is wrong, or by which record it is accepted

	accepted bool // by a recorded reset
}

// Show looks at every input partition.
func (t *Tool) Show(ctx context.Context) ([]Row, error) {
	var names []string
	for _, in := range t.Inputs {
		names = append(append(names, in.Topic), in.Changelogs...)
	}
	infos, err := t.Client.Topics(ctx, names)
	if err != nil {
		return nil, err
	}
	var inputs, logs []kafka.TopicPartition
	for _, in := range t.Inputs {
		info, ok := infos[in.Topic]
		if !ok {
			return nil, fmt.Errorf("input topic %s does not exist", in.Topic)
		}
		for p := range info.Partitions {
			inputs = append(inputs, kafka.TopicPartition{Topic: in.Topic, Partition: p})
			for _, name := range in.Changelogs {
				if log := (kafka.TopicPartition{Topic: name, Partition: p}); infos[name].Partitions > p && !slices.Contains(logs, log) {
					logs = append(logs, log)
				}
			}
		}
	}
	committed, err := t.Client.Committed(ctx, t.Topology, inputs)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(inputs, logs)
	starts, err1 := t.Client.Starts(ctx, all)
	ends, err2 := t.Client.Ends(ctx, all)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	fetcher := t.Client.NewFetcher(4 << 20)
	defer fetcher.Close()
	newest := map[kafka.TopicPartition]Positions{}
	for _, log := range logs {
		if newest[log], err = Newest(ctx, fetcher, log, starts[log], ends[log]); err != nil {
			return nil, fmt.Errorf("read changelog %s: %w", log, err)
		}
	}
	resets, err := Resets(ctx, t.Client, fetcher)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, in := range t.Inputs {
		for _, tp := range inputs {
			if tp.Topic != in.Topic {
				continue
			}
			q := Question{TopicPartition: tp, TopicID: infos[tp.Topic].ID, Committed: committed[tp]}
			for _, name := range in.Changelogs {
				log := kafka.TopicPartition{Topic: name, Partition: tp.Partition}
				p := newest[log]
				if at, ok := p[tp.Topic]; ok {
					q.State = append(q.State, at)
				}
				q.Known = q.Known || p != nil
				q.Filled = q.Filled || p == nil && ends[log] > starts[log]
			}
			for _, other := range inputs {
				q.Known = q.Known || other != tp && other.Partition == tp.Partition && committed[other].Offset >= 0
			}
			key := Reset{Topology: t.Topology, Topic: tp.Topic, Partition: tp.Partition}
			if r, ok := resets[key.Key()]; ok {
				q.Reset = &r
			}
			rows = append(rows, newRow(q, starts[tp], ends[tp]))
		}
	}
	return rows, nil
}

func newRow(q Question, start, end int64) Row {
	a := Judge(q)
	r := Row{
		Topic: q.Topic, Partition: q.Partition, TopicID: q.TopicID, Committed: orNull(q.Committed.Offset), State: orNull(q.Top()),
		Start: start, End: end, Lag: max(0, end-max(start, q.Committed.Offset)), Agrees: a.Kind != Refused, Why: a.Why, accepted: a.Accepted,
	}
	switch {
	case a.Accepted:
		r.Why = fmt.Sprintf("accepted by %s at %s: %s", q.Reset.Who, q.Reset.At.Format(time.RFC3339), q.Reset.Why)
	case a.Kind == Recreated:
		r.Why = "the topic was deleted and created again: auto.offset.reset decides where it is read"
	}
	return r
}

// Change is what is done, or would be, to the offset of a partition.
type Change struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	State     *int64 `json:"state"`
	New       *int64 `json:"new"`

	topicID string
}

// Accept lists the disagreements, which Record then accepts as they are. Topic "" and a negative partition mean all.
func (t *Tool) Accept(rows []Row, topic string, partition int32) (changes []Change) {
	for _, r := range rows {
		if !r.Agrees && r.matches(topic, partition) {
			changes = append(changes, Change{r.Topic, r.Partition, r.Committed, r.State, r.Committed, r.TopicID})
		}
	}
	return changes
}

func (r *Row) matches(topic string, partition int32) bool {
	return (topic == "" || topic == r.Topic) && (partition < 0 || partition == r.Partition)
}

// settled says that the input is read on at or after the place where its state stands, by Weir's own commit. It may be after: a
// record that changes no state moves the offset only.
func (r *Row) settled() bool {
	return r.Agrees && !r.accepted && (r.State == nil || r.Committed != nil && *r.Committed >= *r.State)
}

// Plan lists the offsets that a reset sets: to is earliest, latest, state, an offset, or a time as in RFC 3339. With state it
// leaves out the partitions that need none, unless one is asked for by its number.
func (t *Tool) Plan(ctx context.Context, rows []Row, topic string, partition int32, to string) ([]Change, error) {
	var changes []Change
	known := false
	at, timeErr := time.Parse(time.RFC3339, to)
	number, numberErr := strconv.ParseInt(to, 10, 64)
	for _, r := range rows {
		if !r.matches(topic, partition) {
			continue
		}
		known = true
		if to == "state" && partition < 0 && r.settled() {
			continue
		}
		next := int64(0)
		tp := kafka.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		switch {
		case to == "earliest":
			next = r.Start
		case to == "latest":
			next = r.End
		case to == "state":
			if r.State == nil {
				return nil, fmt.Errorf("%s: the state does not say how far it has read this input", tp)
			}
			next = *r.State
		case numberErr == nil:
			if number < r.Start || number > r.End {
				return nil, fmt.Errorf("%s holds offsets %d to %d, not %d", tp, r.Start, r.End, number)
			}
			next = number
		case timeErr == nil:
			found, err := t.Client.OffsetsFor(ctx, []kafka.TopicPartition{tp}, at)
			if err != nil {
				return nil, err
			}
			if next = found[tp]; next < 0 {
				next = r.End
			}
		default:
			return nil, fmt.Errorf("--to %q: give earliest, latest, state, an offset, or a time such as 2026-01-31T08:00:00Z", to)
		}
		changes = append(changes, Change{r.Topic, r.Partition, r.Committed, r.State, &next, r.TopicID})
	}
	if !known {
		return nil, fmt.Errorf("the topology has no input %s, or not that partition", topic)
	}
	return changes, nil
}

// Record writes changes into the topic of jobs, and then, with commit, commits their offsets. It refuses while the group has
// members: they would go on as they are, and commit over it.
func (t *Tool) Record(ctx context.Context, changes []Change, why string, commit bool) error {
	switch n, err := t.Client.Members(ctx, t.Topology); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("group %s has %d members: stop all instances first (a static member stays listed until its session times out)", t.Topology, n)
	}
	if err := t.jobs(ctx); err != nil {
		return err
	}
	sink, err := t.Client.NewSink(ctx, "")
	if err != nil {
		return err
	}
	defer sink.Close()
	set := map[kafka.TopicPartition]kafka.CommittedOffset{}
	for _, c := range changes {
		r := Reset{
			Version: 1, Topology: t.Topology, Topic: c.Topic, TopicID: c.topicID, Partition: c.Partition,
			Committed: c.Committed, Old: c.State, New: c.New, Who: t.Who, Why: why, At: time.Now().UTC(),
		}
		err := sink.Append(&kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: JobsTopic}, Timestamp: r.At.UnixMilli(), Key: []byte(r.Key()), Value: r.Value()})
		if err != nil {
			return err
		}
		if c.New != nil {
			set[kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}] = kafka.CommittedOffset{Offset: *c.New, LeaderEpoch: -1}
		}
	}
	if err := sink.Flush(ctx); err != nil {
		return fmt.Errorf("record the reset: %w", err)
	}
	if !commit {
		return nil
	}
	if err := sink.Offsets(ctx, kafka.Member{Group: t.Topology, Generation: -1}, set); err != nil {
		return fmt.Errorf("the reset is recorded, but its offsets could not be committed; run the command again: %w", err)
	}
	return nil
}

// jobs creates the topic of jobs, or checks the one that exists.
func (t *Tool) jobs(ctx context.Context) error {
	infos, err := t.Client.Topics(ctx, []string{JobsTopic})
	if err != nil {
		return err
	}
	if info, ok := infos[JobsTopic]; ok {
		return Check(info)
	}
	return t.Client.CreateTopics(ctx, []kafka.TopicSpec{Spec()})
}
