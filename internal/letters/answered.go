package letters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// Answered is the verb of a job that no operator orders: the records of its letters are processed again by other means than a redrive, which are a
// replay, and offsets that were set back. Whoever has them processed says so in the transaction that does it, so a letter is open or its record is
// processed again, and never both. Such jobs name their letters one by one, and are of version 5.
const Answered Verb = "answered"

// Reopened is the verb of a job that takes that back, of letters whose records were left out before anybody had read them. Such jobs are of version 6.
const Reopened Verb = "reopened"

// Standing is where a letter stands, and in which topic of that name.
type Standing struct {
	Topic, TopicID string
	Partition      int32
	Offset         int64
}

// Origins are the records of a topology that are asked for: those of its inputs that Has says so of.
type Origins struct {
	Plan   *plan.Plan
	Inputs map[string]string // the ids of the inputs: a letter of a topic that was deleted and made again is of another record
	Has    func(tp kafka.TopicPartition, offset int64) bool
	Skips  func(tp kafka.TopicPartition, offset int64) bool // those that are left out, where it is not nil
}

// From are the records of a topology from certain offsets of its inputs on. Where its group has read less, those in between are left out.
func From(p *plan.Plan, infos map[string]kafka.TopicInfo, next, committed map[kafka.TopicPartition]int64) Origins {
	ids := map[string]string{}
	for topic, info := range infos {
		ids[topic] = info.ID
	}
	return Origins{Plan: p, Inputs: ids, Has: func(tp kafka.TopicPartition, offset int64) bool {
		from, ok := next[tp]
		return ok && offset >= from
	}, Skips: func(tp kafka.TopicPartition, offset int64) bool {
		from, ok := committed[tp]
		return ok && offset >= from && offset < next[tp]
	}}
}

// Found is a letter of a record that was asked for. Its memory is the reader's.
type Found struct {
	*Letter
	At   Standing
	Open bool
	// Copied says that the letter was redriven into the topic that its record is from. What came of it is the copy's there, so whoever processes both of
	// them does so twice.
	Copied bool
	// Answered is the job by which it was answered.
	Answered string
	// Skipped says that its record is one of those that are left out. One that was answered is unread where nobody has read the record since; that may not be known.
	Skipped, Unread, Unsure bool
}

// Find calls do with each letter of certain records, open or not, in all topics of dead letters of their topology, and with those in other topics that were redriven into its
// inputs: their records are there twice, whichever topics the program names today.
func (t *Tool) Find(ctx context.Context, o Origins, do func(f *Found) error) error {
	tool := *t
	named := DeadLetters(o.Plan)
	for _, topic := range named {
		tool.Topic = topic
		if err := tool.find(ctx, o, nil, do); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
	}
	strays, err := t.strays(ctx, o)
	if err != nil {
		return err
	}
	for _, topic := range slices.Sorted(maps.Keys(strays)) {
		if slices.Contains(named, topic) {
			continue
		}
		tool.Topic = topic
		err := tool.find(ctx, o, strays[topic], func(f *Found) error {
			if !f.Copied {
				return nil
			}
			return do(f)
		})
		if _, denied := errors.AsType[*kafka.BlockedError](err); err != nil && !denied { // it is mostly another topology's
			return fmt.Errorf("read %s: %w", topic, err)
		}
	}
	return nil
}

// strays are the topics of which letters were redriven into the input of their record, or into one that is asked for, and the range of these letters by partition.
func (t *Tool) strays(ctx context.Context, o Origins) (map[string]map[int32]offsets, error) {
	reader := t.reader()
	defer reader.Close()
	all := map[string]map[int32]offsets{}
	err := system.Jobs.Read(ctx, t.Client, reader, t.jobsTopic(), func(r *kafka.Record) error {
		var j job
		if !strings.HasPrefix(string(r.Key), "dlq/") || json.Unmarshal(r.Value, &j) != nil || j.Verb != Redrive {
			return nil
		}
		if _, input := o.Inputs[j.To]; !input && j.To != Origin {
			return nil
		}
		if all[j.Topic] == nil {
			all[j.Topic] = map[int32]offsets{}
		}
		at, known := all[j.Topic][j.Partition]
		if !known {
			at.from = j.From
		}
		all[j.Topic][j.Partition] = offsets{min(at.from, j.From), max(at.to, j.Position)}
		return nil
	})
	return all, err
}

// find is Find in one topic, and of that only between certain offsets of partitions, where they are given.
func (t *Tool) find(ctx context.Context, o Origins, only map[int32]offsets, do func(f *Found) error) error {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if _, none := errors.AsType[*NoTopicError](err); none {
		return nil
	}
	if err != nil {
		return err
	}
	if only != nil {
		for _, tp := range p.partitions() {
			at := only[tp.Partition]
			p.ends[tp] = max(p.starts[tp], min(p.ends[tp], at.to))
			p.starts[tp] = min(p.ends[tp], max(p.starts[tp], at.from))
		}
	}
	return t.each(ctx, reader, p, func(l *Letter, open bool) error {
		id, input := o.Inputs[l.First.Topic]
		if !input || l.Topology != o.Plan.Topology || l.FirstTopicID != "" && l.FirstTopicID != id {
			return nil
		}
		has := o.Has(l.First.TopicPartition, l.First.Offset)
		skipped := !has && o.Skips != nil && o.Skips(l.First.TopicPartition, l.First.Offset)
		if !has && !skipped {
			return nil
		}
		f := &Found{Letter: l, At: Standing{t.Topic, p.info.ID, l.Partition, l.Record.Offset}, Open: open, Skipped: skipped}
		if open {
			return do(f)
		}
		switch j := p.done.resolvedBy(l); {
		case j == nil:
		case j.Verb == Redrive:
			f.Copied = j.To == Origin || j.To == l.First.Topic
		case j.Verb == Answered:
			f.Answered = j.ID
			if skipped {
				read := p.passes.read(l, j)
				f.Unread, f.Unsure = read == unread, read == unsure
			}
		}
		return do(f)
	})
}

// Again are the letters of records that are processed again.
type Again struct {
	Letters []Standing // that are open
	Parks   int        // of these, those behind which records of their key wait
	Gone    int        // open ones, not among these, whose record is not in the input any more, as in a compacted topic: they are all there is of it
	Copied  Copied     // records that were redriven into the topic where they stand
	Unread  []Standing // letters that were answered, and whose records are left out before anybody has read them
	Unsure  int        // those of which that is not known
}

// Copied are records of which an input has a copy beside the original, since their letters were redriven into it.
type Copied struct {
	Records int
	Last    map[kafka.TopicPartition]int64 // the last of the originals
}

// maxAgain bounds the memory for letters that are to be answered.
const maxAgain = 2 << 20

// Again finds the letters of certain records that are still there.
func (t *Tool) Again(ctx context.Context, o Origins) (again Again, err error) {
	type letter struct {
		at                  Standing
		open, parks, copied bool
	}
	of := map[kafka.TopicPartition]map[int64][]letter{}
	n, open := 0, 0
	err = t.Find(ctx, o, func(f *Found) error {
		if f.Unsure {
			again.Unsure++
		}
		if !f.Unread && (f.Skipped || !f.Open && !f.Copied) {
			return nil
		}
		if n++; n > maxAgain {
			return errors.New("there are more than 2 million: redrive or discard them first")
		}
		if f.Unread {
			again.Unread = append(again.Unread, f.At)
			return nil
		}
		if f.Open {
			open++
		}
		tp := f.First.TopicPartition
		if of[tp] == nil {
			tp.Topic = strings.Clone(tp.Topic)
			of[tp] = map[int64][]letter{}
		}
		of[tp][f.First.Offset] = append(of[tp][f.First.Offset], letter{f.At, f.Open, f.Parks != "", f.Copied})
		return nil
	})
	if err != nil {
		return again, fmt.Errorf("look for dead letters of records that are processed again: %w", err)
	}
	reader := t.reader()
	defer reader.Close()
	again.Copied.Last = map[kafka.TopicPartition]int64{}
	for tp, letters := range of {
		start, _, err := t.Client.Bounds(ctx, tp)
		if err != nil {
			return again, err
		}
		offsets := slices.Sorted(maps.Keys(letters))
		err = kafka.Scan(ctx, reader, tp, max(start, offsets[0]), offsets[len(offsets)-1]+1, func(r *kafka.Record) error {
			copied := false
			for _, l := range letters[r.Offset] {
				if copied = copied || l.copied; !l.open {
					continue
				}
				if again.Letters = append(again.Letters, l.at); l.parks {
					again.Parks++
				}
			}
			if copied {
				again.Copied.Records++
				again.Copied.Last[tp] = r.Offset
			}
			return nil
		})
		if err != nil {
			return again, fmt.Errorf("look whether records that have dead letters are still in %s: %w", tp, err)
		}
	}
	again.Gone = open - len(again.Letters)
	return again, nil
}

// CopiedError refuses to have records processed again that are in an input twice.
type CopiedError struct{ Copied }

func (e *CopiedError) Error() string {
	var last []string
	for _, tp := range slices.SortedFunc(maps.Keys(e.Last), kafka.TopicPartition.Compare) {
		if last = append(last, fmt.Sprintf("%s offset %d", tp, e.Last[tp])); len(last) == 3 && len(e.Last) > 3 {
			last = append(last, "...")
			break
		}
	}
	return fmt.Sprintf("%d records would be processed twice, as they stand and as copies: their dead letters were redriven into the input itself (dlq redrive --to origin). "+
		"A replay (replay run) leaves the originals out; or begin after the last of them (%s); or give --accept copies where the topology drops what it has seen", e.Records, strings.Join(last, ", "))
}

// CheckAccept refuses what an operator cannot accept.
func CheckAccept(what string) error {
	if what != "" && what != AcceptCopies {
		return fmt.Errorf("--accept: %q is not allowed: give %s", what, AcceptCopies)
	}
	return nil
}

// AcceptCopies says that records are to be processed again although the input has copies of them.
const AcceptCopies = "copies"

// DeadLetters are the topics of dead letters of a topology.
func DeadLetters(p *plan.Plan) (names []string) {
	for _, topic := range p.Topics {
		if topic.Role == plan.DeadLetterTopic {
			names = append(names, topic.Name)
		}
	}
	return names
}

// TransactionalID is that of whoever resolves letters of a topic.
func (t *Tool) TransactionalID(topic string) string { return t.Names.Prefix + "weir-dlq-" + topic }

// Claim keeps commands from resolving letters of a topology while their records are set to be processed again.
type Claim struct {
	tool  *Tool
	sinks map[string]*kafka.Sink // by topic of dead letters
}

// Claim ends commands that are resolving letters of a topology. What they have committed is visible when it returns. The claim is to be closed.
func (t *Tool) Claim(ctx context.Context, p *plan.Plan) (*Claim, error) {
	c := &Claim{t, map[string]*kafka.Sink{}}
	names := DeadLetters(p)
	infos, err := t.Client.Topics(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, topic := range names {
		if _, ok := infos[topic]; !ok {
			continue
		}
		sink, err := t.Client.NewSink(ctx, t.TransactionalID(topic))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("take over what another command has begun on %s: %w", topic, err), c.Close())
		}
		c.sinks[topic] = sink
	}
	return c, nil
}

// Confirm fails where another command has taken over since: it may have resolved letters meanwhile. It is called when the answers are flushed in a
// transaction that is still open. Whoever takes over later reads the topic of jobs afterwards, and so waits for the end of that transaction.
func (c *Claim) Confirm(ctx context.Context, by string) error {
	for topic, sink := range c.sinks {
		now := time.Now().UTC()
		value, err := json.Marshal(map[string]any{"version": 1, "what": "dlq " + string(Answered), "state": "begun", "topic": topic, "by": by, "who": c.tool.Who, "at": now})
		if err != nil {
			return err
		}
		err = sink.Append(&kafka.Outgoing{TopicPartition: system.Of(c.tool.auditTopic()), Timestamp: now.UnixMilli(), Key: []byte(keyOf(topic) + by), Value: value})
		if err == nil {
			err = sink.Commit(ctx)
		}
		if err != nil {
			return fmt.Errorf("another command has worked on the letters of %s meanwhile; run this one again: %w", topic, err)
		}
	}
	return nil
}

// Close gives the claim up.
func (c *Claim) Close() (err error) {
	for _, sink := range c.sinks {
		err = errors.Join(err, sink.Leave())
	}
	return err
}

// span is a range of offsets, both included.
type span [2]int64

// spans are offsets as ranges.
func spans(offsets []int64) (all []span) {
	slices.Sort(offsets)
	for _, at := range offsets {
		if n := len(all); n > 0 && at <= all[n-1][1]+1 {
			all[n-1][1] = at
		} else {
			all = append(all, span{at, at})
		}
	}
	return all
}

// names says whether a letter is among those that a job of Answered or Reopened names.
func (j *job) names(offset int64) bool { return inSpans(j.Spans, offset) }

// inSpans says whether an offset is in one of spans that are in order.
func inSpans(spans []span, offset int64) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i][1] >= offset })
	return i < len(spans) && spans[i][0] <= offset
}

// maxSpans bounds the size of a job.
const maxSpans = 10_000

// Answers are what is to be written, in the transaction that has their records processed again, for letters that are answered by that. id tells the
// answers apart from all others.
func (t *Tool) Answers(id, by string, all []Standing) ([]*kafka.Outgoing, error) {
	return t.mark(Answered, 5, id, by, all)
}

// Reopen is what is to be written, in the transaction that leaves their records out, for letters that were answered before and are open again by that.
func (t *Tool) Reopen(id, by string, all []Standing) ([]*kafka.Outgoing, error) {
	return t.mark(Reopened, 6, id+".open", by, all)
}

// mark names letters one by one.
func (t *Tool) mark(verb Verb, version int, id, by string, all []Standing) ([]*kafka.Outgoing, error) {
	type place struct {
		topic, id string
		partition int32
	}
	at := map[place][]int64{}
	var places []place // in order
	for _, s := range all {
		key := place{s.Topic, s.TopicID, s.Partition}
		if at[key] == nil {
			places = append(places, key)
		}
		at[key] = append(at[key], s.Offset)
	}
	var list []*kafka.Outgoing
	for _, key := range places {
		for part := range slices.Chunk(spans(at[key]), maxSpans) {
			j := job{
				Version: version, ID: fmt.Sprintf("%s.%d", id, len(list)), Topic: key.topic, TopicID: key.id, Partition: key.partition, Order: Order{Verb: verb},
				From: part[0][0], Position: part[len(part)-1][1] + 1, Spans: part, By: by, Who: t.Who, At: time.Now().UTC(),
			}
			j.Until = j.Position
			for _, s := range part {
				j.Done += s[1] - s[0] + 1
			}
			value, err := json.Marshal(&j)
			if err != nil {
				return nil, err
			}
			list = append(list, &kafka.Outgoing{TopicPartition: system.Of(t.jobsTopic()), Timestamp: j.At.UnixMilli(), Key: []byte(j.key()), Value: value})
		}
	}
	return list, nil
}

// replaying is a replay into a topology that has not ended.
type replaying struct{ job, topology string }

// replayingOf reads what the topic of jobs says of a replay: see internal/replay.
func replayingOf(name string, value []byte) (r replaying, running bool) {
	var s struct {
		State    string `json:"state"`
		Emptying bool   `json:"emptying"`
		File     struct {
			Into     string `json:"into"`
			Topology string `json:"topology"`
		} `json:"file"`
	}
	if json.Unmarshal(value, &s) != nil || s.File.Into != "topology" {
		return r, false
	}
	return replaying{name, s.File.Topology}, s.State == "begun" || s.Emptying
}

// ReplayingError refuses a redrive of letters whose records a replay is processing again.
type ReplayingError struct{ Job, Topology string }

func (e *ReplayingError) Error() string {
	return fmt.Sprintf("replay %s into topology %s has begun and has not ended: it processes records of these letters again, and a redrive would do that a second time; "+
		"wait until it is done, or resume or stop it (replay list shows it), and redrive what is open then", e.Job, e.Topology)
}

// refuseReplayed refuses to redrive a letter while a replay may process its record.
func (p *place) refuseReplayed(o *Order, l *Letter) error {
	for _, one := range p.replays {
		if o.Verb == Redrive && one.topology == l.Topology {
			return &ReplayingError{one.job, one.topology}
		}
	}
	return nil
}
