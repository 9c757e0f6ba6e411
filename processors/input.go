package processors

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// input is one input partition of a task: what was read and is not committed yet, in order, and how far work on it is.
//
//	batches[0] ........... batches[at] ........ batches[len-1]
//	^committed             ^next record          ^read ahead
//
// Records stay until their transaction is committed: rewind does them again after an abort. What is read ahead is
// bounded by the fetcher, which is given a batch's bytes back when the batch was worked off for the first time; what
// stays behind is bounded by the commit that a worker does when its transaction is large.
type input struct {
	task     *task
	source   *nodes.Source
	redriven bool // it is a redrive topic, or a retry topic
	queued   bool // it is the parked records of an input: see queue
	queue    queue
	again    bool // its offset is committed again, although it has not moved
	slot     int  // names the input among those of its worker
	tp       kafka.TopicPartition

	batches []kafka.Batch
	at, rec int // the next record: batches[at].Records[rec]

	position   int64 // the offset after everything consumed: what a commit would commit
	committed  int64 // the offset that was committed last
	durable    int64 // the offset that the group has; below committed where it cannot be committed at the moment
	settled    int32 // leader as it was committed last
	leader     int32 // epoch of the record before position, -1 when it is not known
	topicID    string
	reset      string // the name of the recorded reset that the state last followed, "" for none
	ahead      int64  // how far the state has read the input, where that is further than position and known to be so
	among      int32  // how many partitions the topic had when this one was begun
	unmarked   bool   // what is committed does not carry the mark of Weir and of the topic: that comes before any record
	unsent     bool   // the group could not be told of its place: see unsent.go
	fresh      bool   // nor has it ever been told
	seen       int64  // below it, each record has ended or was set aside, for what is written outside of Kafka
	seenBefore int64  // seen as of the last commit
	passed     int    // batches[:passed] were given back to the fetcher
	bounded    bool   // it is read up to the offset until, which is the first that is not
	until      int64

	attempt  int               // failed tries of the next record
	here     inPlace           // of a replay: the delays of the next record
	waited   time.Duration     // of a replay: in place, since that has helped last
	failedAt time.Time         // when the first of these failed
	outage   outage            // the next record waits for what is no property of it
	line     line              // how records end here
	letter   *nodes.Failure    // of the next record, which becomes a dead letter that has to wait: nodes do not see it again
	retryAt  time.Time         // the next record waits until then
	refused  map[int64]refusal // by offset, what brokers refused of records that are not committed

	started  bool // its fetching has been started
	epoch    int  // of the fetching: raised by each start
	reported bool // a misplaced record was reported
	keyless  bool // a record without a key was reported
	broken   error

	stands    standing  // why it is not read
	heldUntil time.Time // when it is read again; zero while it is read
	spoilt    *spoilt   // the damaged batch that was passed over last

	// For statistics, read by anyone; end and progress are also written while the worker is busy.
	next     atomic.Int64 // committed
	end      atomic.Int64 // the high watermark seen last
	progress atomic.Int64 // UnixNano of the last time that a commit moved, or that there was nothing to do
	waiting  atomic.Pointer[waiting]
	away     atomic.Int64 // the lag while the task does not run, as the cluster says; -1 when it is not known yet
}

// waiting says why an input stands still.
type waiting struct {
	attempt int
	offset  int64
	until   time.Time
	err     error

	// The record waits through no fault of its own: the cluster refuses what it leads to (see block), or see outage.
	blocked bool
	delayed bool      // it waits for its time, and nothing is wrong
	kind    string    // of the problem, "" for ProblemBlocked
	remedy  string    // what a person can do
	since   time.Time // when it began
}

// whereabouts is where the record in work is, as far as others than the worker know: what is committed ends before it.
func (in *input) whereabouts() string {
	return fmt.Sprintf("%s at offset %d or later", in.tp, in.next.Load())
}

// begin resets the input to a committed offset.
func (in *input) begin(at kafka.Position, now time.Time) {
	offset := at.Offset
	in.leader, in.settled, in.topicID, in.durable = at.LeaderEpoch, at.LeaderEpoch, at.TopicID, offset
	in.batches, in.at, in.rec, in.passed = nil, 0, 0, 0
	in.position, in.committed = offset, offset
	in.seen, in.seenBefore = offset, offset
	in.letter = nil
	in.attempt, in.retryAt, in.refused, in.broken = 0, time.Time{}, nil, nil
	in.here, in.waited = inPlace{}, 0
	in.outage, in.line, in.again, in.queue.loaded, in.queue.ended = outage{}, line{}, false, false, nil
	in.stands, in.heldUntil, in.unsent = atNothing, time.Time{}, false
	in.next.Store(offset)
	in.end.Store(offset)
	in.progress.Store(now.UnixNano())
	in.waiting.Store(nil)
}

// observe takes a high watermark, from any goroutine: lag grows also while the worker is busy or the input waits.
func (in *input) observe(end int64, now time.Time) {
	if in.lag() == 0 && end > in.next.Load() {
		in.progress.Store(now.UnixNano()) // there was nothing to do until now
	}
	in.end.Store(end)
}

// push takes what the fetcher delivered.
func (in *input) push(b kafka.Batch) {
	if b.Err != nil {
		in.broken = b.Err
		return
	}
	if in.stands == atDenial || in.stands == atDamage && b.Position > in.position {
		in.stands = atNothing
		in.waiting.Store(nil)
	}
	if in.redriven {
		redriven(b.Records)
	}
	in.batches = append(in.batches, in.within(b))
	in.skipEmpty()
}

// within cuts a batch off where the input ends. A record that reaches over the end is the last one, and the position the end.
func (in *input) within(b kafka.Batch) kafka.Batch {
	if !in.bounded || b.Position < in.until {
		return b
	}
	b.Position = in.until
	for n := range b.Records {
		if b.Records[n].Offset >= in.until {
			b.Records = b.Records[:n]
			break
		}
	}
	return b
}

// whole says whether everything up to the input's end has been read.
func (in *input) whole() bool {
	if n := len(in.batches); n > 0 {
		return in.bounded && in.batches[n-1].Position >= in.until
	}
	return in.bounded && in.position >= in.until
}

// ended says whether everything was worked off that was read before reading ended with an error.
func (in *input) ended() bool { return in.broken != nil && in.head() == nil }

// head is the next record, or nil.
func (in *input) head() *kafka.Record {
	if in.queued {
		return in.nextParked()
	}
	if in.at >= len(in.batches) {
		return nil
	}
	return &in.batches[in.at].Records[in.rec]
}

// advance passes the next record.
func (in *input) advance() {
	if in.queued {
		in.queue.loaded, in.attempt, in.here, in.letter = false, 0, inPlace{}, nil
		in.line.ended++
		in.queue.of.again = true
		if len(in.refused) > 0 {
			in.queue.ended = append(in.queue.ended, in.queue.record.Offset)
		}
		return
	}
	b := &in.batches[in.at]
	in.position, in.leader = b.Records[in.rec].Next(), b.LeaderEpoch
	in.rec++
	in.line.ended++
	in.attempt, in.here, in.letter = 0, inPlace{}, nil
	in.skipEmpty()
}

// skipEmpty moves past finished batches, and takes their position: it lies after control records and others that were
// never delivered.
func (in *input) skipEmpty() {
	for in.at < len(in.batches) && in.rec >= len(in.batches[in.at].Records) {
		in.position, in.leader = in.batches[in.at].Position, in.batches[in.at].LeaderEpoch
		in.at++
		in.rec = 0
	}
}

// dirty says whether there is something to commit.
func (in *input) dirty() bool { return in.position != in.committed || in.again || in.awaited() }

// awaited says that the group must be told of the input's place before its task goes on.
func (in *input) awaited() bool { return in.unmarked && !in.unsent }

// release returns the bytes to give back to the fetcher.
func (in *input) release() (bytes int) {
	for ; in.passed < in.at; in.passed++ {
		bytes += in.batches[in.passed].Bytes
	}
	return bytes
}

// commit forgets what is done.
func (in *input) commit(now time.Time) {
	if in.at > 0 {
		n := copy(in.batches, in.batches[in.at:])
		clear(in.batches[n:])
		in.batches = in.batches[:n]
		in.passed = max(0, in.passed-in.at)
		in.at = 0
	}
	// The records before rec of the batch in work are committed too: rewind must not go back before them.
	if in.rec > 0 {
		in.batches[0].Records = in.batches[0].Records[in.rec:]
		in.rec = 0
	}
	if in.dirty() {
		in.progress.Store(now.UnixNano())
	}
	in.committed, in.settled, in.unmarked, in.again = in.position, in.leader, false, false
	maps.DeleteFunc(in.refused, func(offset int64, _ refusal) bool { return offset < in.position })
	in.next.Store(in.position)
}

// rewind goes back to the last commit.
func (in *input) rewind() {
	if in.queued {
		in.restart()
		return
	}
	in.again = false
	in.at, in.rec = 0, 0
	in.position, in.leader = in.committed, in.settled
	in.attempt, in.here, in.letter = 0, inPlace{}, nil
	in.retryAt, in.line = time.Time{}, line{stopped: in.line.stopped}
	if wait := in.waiting.Load(); wait != nil && !wait.blocked { // a block is seen again, or has ended
		in.waiting.Store(nil)
	}
	in.skipEmpty()
}

// refusal is what brokers refused of a record. It is heeded when the record is worked on again.
type refusal struct {
	output  error       // of an output: the record becomes a dead letter
	emitter *nodes.Node // of that output
	letter  form        // what its dead letter is to be, after others were refused
	odd     bool        // its dead letter was refused for another reason than its size, such as its timestamp
	limits  []string    // the settings that a dead letter with the whole record is over
}

// keyAt is the key of a record that is not committed, "" where it is not known.
func (in *input) keyAt(offset int64) string {
	for _, b := range in.batches {
		if i, ok := slices.BinarySearchFunc(b.Records, offset, func(r kafka.Record, o int64) int { return cmp.Compare(r.Offset, o) }); ok {
			return string(b.Records[i].Key)
		}
	}
	return ""
}

// refuseOutput notes that an output of a record was refused.
func (in *input) refuseOutput(offset int64, emitter *nodes.Node, err error) {
	r := in.refused[offset]
	r.output, r.emitter = err, emitter
	in.note(offset, r)
}

// refuseLetter notes that the dead letter of a record was refused as it was. It returns false when there is no other way
// to write it.
func (in *input) refuseLetter(offset int64, err *kafka.RefusedError) bool {
	r := in.refused[offset]
	next, ok := r.letter.after(err)
	if !ok {
		return false
	}
	if r.letter > named { // the reason is not what must fit
		for _, limit := range err.Limits {
			if !slices.Contains(r.limits, limit) {
				r.limits = append(r.limits, limit)
			}
		}
	}
	r.letter = next
	r.odd = r.odd || len(err.Limits) == 0
	in.note(offset, r)
	return true
}

// beginLetter has the dead letter of a record tried in every form again: its topic may take more the next time.
func (in *input) beginLetter(offset int64) {
	r := in.refused[offset]
	r.letter = whole
	in.note(offset, r)
}

func (in *input) note(offset int64, r refusal) {
	if in.refused == nil {
		in.refused = map[int64]refusal{}
	}
	in.refused[offset] = r
}

// since is how long the input has made no progress.
func (in *input) since(now time.Time) time.Duration { return now.Sub(time.Unix(0, in.progress.Load())) }

// lag is the number of offsets between what is committed and the high watermark.
func (in *input) lag() int64 { return max(0, in.end.Load()-in.next.Load()) }

// lagNow is the lag whatever the task does. known is false when the cluster has not been asked yet.
func (in *input) lagNow() (lag int64, known bool) {
	if in.task.is(taskRunning) {
		return in.lag(), true
	}
	lag = in.away.Load()
	return max(0, lag), lag >= 0
}
