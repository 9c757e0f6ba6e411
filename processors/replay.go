package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
)

// Replay says which records of a topology's inputs are processed again, and how.
type Replay struct {
	Ranges []Range
	// Takes chooses records; nil takes all. It is called from several goroutines.
	Takes func(tp kafka.TopicPartition, r *kafka.Record) bool
	Rate  int // records a second of each worker's inputs together; 0 for no bound
	// Keep leaves the committed offsets of the group where they are. Else they go along, from the start of each range on.
	Keep bool
	// Lettered says that there is a dead letter of a record already: another one is not written. nil: there is none.
	Lettered func(tp kafka.TopicPartition, offset int64) bool
	// Causes has each output say which record of an input it is due to, in the header HeaderCause.
	Causes bool
	// Record is what is written, in the transaction that makes them true, of the positions that it reaches.
	Record func(Progress) (*kafka.Outgoing, error)
	// Resume says what was recorded so far. It is asked when no earlier transaction is open any more.
	Resume func(context.Context) (map[kafka.TopicPartition]Progress, error)
	// Begun, if not nil, is called before a partition of a member of the group is read, also once more after a failure: from which position, which is later than
	// what Resume has said where somebody else has gone on meanwhile.
	Begun func(tp kafka.TopicPartition, position int64)
	// Moved, if not nil, is called after each commit.
	Moved func(Progress)
	// Group is that of production, of RunReplay its own: idempotency keys are of it, whoever processes a record.
	Group string
}

// Range is a part of an input partition: from an offset up to another one, which is the first that is not part of it. Records before
// Silent change the state, and write neither outputs nor dead letters. Those before Counted are all taken, and not counted.
type Range struct {
	kafka.TopicPartition
	From, To, Silent, Counted int64
}

// Progress is how far a replay has come in a partition, and what became of the records so far.
type Progress struct {
	kafka.TopicPartition
	Position int64
	ReplayCounts
}

// ReplayCounts say what became of records. Read is the sum of Left, the four ends of a record, and those that have not ended.
type ReplayCounts struct {
	Read         int64 `json:"read"`
	Left         int64 `json:"left"` // not chosen
	Processed    int64 `json:"processed"`
	Filtered     int64 `json:"filtered"` // dropped by a node
	Deduplicated int64 `json:"deduplicated"`
	DeadLettered int64 `json:"dead_lettered"`
	// Delayed and Parked have not ended: they wait in a retry topic, and behind another one of their key.
	Delayed int64 `json:"delayed,omitempty"`
	Parked  int64 `json:"parked,omitempty"`
	// Effects are outputs, dead letters and changes of a store.
	Effects int64 `json:"effects"`
	// Checksum is of the records that were chosen, whatever their order: the sum of their hashes.
	Checksum uint64 `json:"checksum,string"`
}

// Add adds other counts.
func (c *ReplayCounts) Add(o ReplayCounts) {
	c.Read += o.Read
	c.Left += o.Left
	c.Processed += o.Processed
	c.Filtered += o.Filtered
	c.Deduplicated += o.Deduplicated
	c.DeadLettered += o.DeadLettered
	c.Delayed += o.Delayed
	c.Parked += o.Parked
	c.Effects += o.Effects
	c.Checksum += o.Checksum
}

// Take counts a record that was chosen.
func (c *ReplayCounts) Take(r *kafka.Record) {
	c.Read++
	c.Checksum += Checksum(r)
}

// Checksum is a hash of a record: its offset, key and value.
func Checksum(r *kafka.Record) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(strconv.FormatInt(r.Offset, 10))
	for _, part := range [][]byte{r.Key, r.Value} {
		_, _ = d.WriteString(fmt.Sprintf(" %d %t ", len(part), part == nil))
		_, _ = d.Write(part)
	}
	return d.Sum64()
}

// HeaderCause is the header of an output of a Replay with Causes: TOPIC/PARTITION/OFFSET.
const HeaderCause = "weir.cause"

// RunReplay has a member of the topology's group process ranges again, on the state of the topology. It ends when they are done, and returns
// nil, or when ctx ends, with its error, or when it cannot go on, with the errors of Instance.Run, or because another instance
// joined the group. Each commit holds the effects of the records, the Record of the positions, and the group's offsets, in one
// transaction: whoever runs it again goes on there.
func RunReplay(ctx context.Context, p *plan.Plan, opts Options, r Replay) error {
	opts.Guarantee, opts.Standby, opts.Static = ExactlyOnce, 0, false
	i, err := New(p, opts)
	if err != nil {
		return err
	}
	i.again = newAgain(r)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-i.again.reached:
			cancel(errReached)
		case <-ctx.Done():
		}
	}()
	err = i.Run(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	<-ended
	select {
	case <-i.again.reached:
		return err
	default:
	}
	if err == nil {
		err = cause
	}
	return err
}

// RunRanges processes ranges with no group, from where Resume says: what is committed of positions is the Record. The state is what the
// changelogs hold.
func RunRanges(ctx context.Context, p *plan.Plan, opts Options, r Replay) error {
	before, err := r.Resume(ctx)
	if err != nil {
		return err
	}
	a := newAgain(r)
	var spans []span
	for _, at := range r.Ranges {
		if was, ok := before[at.TopicPartition]; ok {
			at.From, a.done[at.TopicPartition] = was.Position, was
		}
		spans = append(spans, span{at.TopicPartition, at.From, at.To})
	}
	opts.Guarantee = ExactlyOnce
	run, err := newRangeRun(p, opts, spans)
	if err != nil {
		return err
	}
	run.again, run.aside, a.inPlace = a, true, true
	_, err = run.run(ctx)
	return err
}

var errReached = errors.New("the replay has reached its end")

// again is a replay while it runs.
type again struct {
	Replay
	ranges map[kafka.TopicPartition]Range
	// inPlace says that nobody reads what would wait in a retry topic: see later.
	inPlace bool

	mu      sync.Mutex
	done    map[kafka.TopicPartition]Progress
	kept    map[kafka.TopicPartition]keptOffset
	next    time.Time // when the next record may be taken, of a Rate
	reached chan struct{}
}

// keptOffset is a committed offset that stays, and how far the state is ahead of it.
type keptOffset struct {
	kafka.CommittedOffset
	ahead int64
}

func newAgain(r Replay) *again {
	a := &again{
		Replay: r, ranges: map[kafka.TopicPartition]Range{}, done: map[kafka.TopicPartition]Progress{},
		kept: map[kafka.TopicPartition]keptOffset{}, reached: make(chan struct{}),
	}
	for _, at := range r.Ranges {
		a.ranges[at.TopicPartition] = at
		a.done[at.TopicPartition] = Progress{TopicPartition: at.TopicPartition, Position: at.From}
	}
	return a
}

// silent says whether what a record leads to is not written.
func (a *again) silent(tp kafka.TopicPartition, r *kafka.Record) bool {
	return a != nil && r.Offset < a.ranges[tp].Silent
}

// counts says whether what becomes of a record is counted.
func (a *again) counts(tp kafka.TopicPartition, r *kafka.Record) bool {
	return r.Offset >= a.ranges[tp].Counted
}

// unlettered says whether a record that fails is to have no dead letter.
func (a *again) unlettered(tp kafka.TopicPartition, r *kafka.Record) bool {
	return a.silent(tp, r) || a != nil && a.Lettered != nil && a.Lettered(tp, r.Offset)
}

// paceReplay is how much of its rate a replay may take at once.
const paceReplay = 50 * time.Millisecond

// due says how long the next record has to wait.
func (a *again) due(now time.Time) time.Duration {
	if a.Rate <= 0 {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := a.next.Sub(now); wait > 0 {
		return wait
	}
	if a.next.Before(now.Add(-paceReplay)) {
		a.next = now.Add(-paceReplay)
	}
	a.next = a.next.Add(time.Second / time.Duration(a.Rate))
	return 0
}

// pass lets a record by that is not taken, or has it wait for its turn.
func (w *worker) pass(in *input, r *kafka.Record) (s step, passed bool) {
	a := w.engine.again
	if a.counts(in.tp, r) && a.Takes != nil && !a.Takes(in.tp, r) {
		c := w.tx.tallyOf(in.tp)
		c.Read++
		c.Left++
		w.setAside(&cause{in: in, record: r})
		in.advance()
		return stepDone, true
	}
	if in.attempt == 0 && in.here == (inPlace{}) && in.letter == nil {
		if now := time.Now(); true {
			if wait := a.due(now); wait > 0 {
				in.retryAt = now.Add(wait)
				return stepWait, true
			}
		}
	}
	return stepDone, false
}

// tallyOf are the counts of an input in a replay's transaction.
func (tx *transaction) tallyOf(tp kafka.TopicPartition) *ReplayCounts {
	if tx.tally[tp] == nil {
		tx.tally[tp] = &ReplayCounts{}
	}
	return tx.tally[tp]
}

// count counts the end of a record.
func (c *ReplayCounts) count(r *kafka.Record, o outcome, n int64) {
	c.Take(r)
	c.Read += n - 1
	switch o {
	case processed:
		c.Processed += n
	case filtered:
		c.Filtered += n
	case deduplicated:
		c.Deduplicated += n
	case deadLettered:
		c.DeadLettered += n
	}
}

// effect counts what a record has led to: outputs, and stores that it changed.
func (w *worker) effect(in *input, r *kafka.Record, outputs int) {
	if w.tx.tally == nil || !w.engine.again.counts(in.tp, r) {
		return
	}
	n := int64(outputs)
	for i, st := range in.task.stores {
		if st.Mark() != w.call.Marks()[i] {
			n++
		}
	}
	w.tx.tallyOf(in.tp).Effects += n
}

// attach adds what is recorded of the positions to the transaction, and returns the offsets that the group is to have.
func (a *again) attach(ctx context.Context, tx *transaction, at map[kafka.TopicPartition]kafka.CommittedOffset) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	for _, tp := range slices.SortedFunc(maps.Keys(at), kafka.TopicPartition.Compare) {
		if _, ok := a.ranges[tp]; !ok || a.Record == nil {
			continue
		}
		out, err := a.Record(a.after(tx, tp, at[tp].Offset))
		if err != nil {
			return nil, err
		}
		if err := tx.sink.Append(out); err != nil {
			return nil, err
		}
	}
	if err := tx.sink.Flush(ctx); err != nil {
		return nil, err
	}
	group := maps.Clone(at)
	a.mu.Lock()
	defer a.mu.Unlock()
	for tp, p := range at {
		if k, ok := a.kept[tp]; ok {
			group[tp] = k.as(p)
		}
	}
	return group, nil
}

// as is the offset that stays, with the mark of the state as it is now.
func (k keptOffset) as(p kafka.CommittedOffset) kafka.CommittedOffset {
	m, _ := offsets.ParseMark(p.Metadata)
	if m.State = 0; k.ahead > k.Offset {
		m.State = k.ahead
	}
	return kafka.CommittedOffset{Offset: k.Offset, LeaderEpoch: k.LeaderEpoch, Metadata: m.String()}
}

// after is the progress with what a transaction adds.
func (a *again) after(tx *transaction, tp kafka.TopicPartition, position int64) Progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.done[tp]
	p.Position = max(p.Position, position)
	if c := tx.tally[tp]; c != nil {
		p.Add(*c)
	}
	return p
}

// settled takes over what was committed.
func (a *again) settled(tx *transaction) {
	for tp, at := range tx.sent {
		if _, ok := a.ranges[tp]; !ok {
			continue
		}
		p := a.after(tx, tp, at.Offset)
		a.mu.Lock()
		a.done[tp] = p
		a.mu.Unlock()
		if a.Moved != nil {
			a.Moved(p)
		}
	}
	a.settle()
}

func (a *again) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for tp, r := range a.ranges {
		if a.done[tp].Position < r.To {
			return
		}
	}
	select {
	case <-a.reached:
	default:
		close(a.reached)
	}
}

// waiter is what a wire may say to whoever runs a replay: that a reader stands still, and why. Instances have their health for that.
type waiter interface {
	StandsStill(ctx context.Context, tp kafka.TopicPartition, position, end int64)
}

// still fires when a restore of a replay has to be looked into that stands still; for instances it does not.
func (a *again) still() *time.Timer {
	t := time.NewTimer(kafka.StillFirst)
	if a == nil {
		t.Stop()
	}
	return t
}

// bound has the inputs of a task read their ranges only, from where the replay is.
func (a *again) bound(ctx context.Context, committed map[kafka.TopicPartition]kafka.CommittedOffset, o *opened) error {
	before, err := a.Resume(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	for tp, at := range o.begins {
		r, ok := a.ranges[tp]
		at.bounded, at.until = true, at.Offset
		if ok {
			p := Progress{TopicPartition: tp, Position: r.From}
			if was, ok := before[tp]; ok {
				p = was
			}
			at.until = r.To
			if a.Keep {
				a.kept[tp] = keptOffset{committed[tp], at.ahead}
				at.ahead = max(at.ahead, at.Offset)
				at.Offset, at.LeaderEpoch = p.Position, -1
			} else if p.Position < at.Offset { // somebody else has read on
				p.Position = at.Offset
			}
			a.done[tp] = p
			if a.Begun != nil {
				a.Begun(tp, p.Position)
			}
		}
		o.begins[tp] = at
	}
	a.mu.Unlock()
	a.settle()
	return nil
}

// of are the tasks that have a range.
func (a *again) of(e *engine, ids []taskID) []taskID {
	return slices.DeleteFunc(ids, func(id taskID) bool {
		return !slices.Contains(e.taskIDs(slices.Collect(maps.Keys(a.ranges))), id)
	})
}

// intruded is why a replay ends when another instance has joined the group.
func (a *again) intruded(tps []kafka.TopicPartition) error {
	for _, tp := range tps {
		if _, ok := a.ranges[tp]; ok {
			return fmt.Errorf("another instance has joined the group, and was given %s: stop all instances, and resume the replay", tp)
		}
	}
	return nil
}
