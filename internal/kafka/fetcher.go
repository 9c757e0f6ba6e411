package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/recordbatch"
)

// Fetcher reads partitions, committed records only, and delivers them in batches. Its methods are safe for concurrent
// use, and none waits for a broker.
//
// It is not built on sarama's PartitionConsumer, which spends a channel operation on every record, and drops
// control records together with the position after them. Here a goroutine for each broker long-polls for all partitions
// that the broker leads and turns each partition's answer into one Batch.
//
// A partition survives whatever may pass: moved leaders, lost connections, brokers and topics that are not there yet.
// All of it is retried for ever, and logged while it lasts. What does not pass by itself ends the partition's delivery with
// Batch.Err: an *OffsetOutOfRangeError, a *TruncatedError, a *TopicRecreatedError, a *CorruptBatchError, a *BlockedError for
// denied access, or an *Error of class Fatal.
//
// Memory is bounded whatever the partitions hold. What is decompressed is counted until it is released, and an answer is
// decoded piece by piece, each when there is room for it: for the partition in its read-ahead, and for all of them in
// fetch.buffer.memory. A partition of which nothing is unreleased may always have one piece, of 64 KiB at most; a record
// that is larger and finds no room waits until it is the only one.
type Fetcher struct {
	client    *Client
	readAhead int
	budget    int64
	limits    recordbatch.Limits
	log       *zap.Logger
	links     *links // for fetches only: a long poll keeps its connection busy
	ctx       context.Context
	stop      context.CancelFunc
	tasks     sync.WaitGroup
	wake      chan struct{} // tells lead that a cursor waits for a leader

	// control makes Start, Stop and Close wait for each other. It is not held together with a cursor's gate by the
	// goroutines that deliver, so a Start that waits for a delivery to return cannot block another delivery.
	control sync.Mutex

	mu       sync.Mutex
	closed   bool
	cursors  map[TopicPartition]*cursor
	readers  map[string]*reader // by the broker's address
	leading  map[*cursor]bool   // cursors without a leader
	held     int64              // bytes that are unreleased, and of answers that wait to be decoded
	cleanups map[string]cleanup // by topic
	large    *cursor            // the one with a large record although there was no room
}

// cursor is one partition from a Start to the next Start or Stop.
type cursor struct {
	TopicPartition

	// gate is held while deliver runs: ending a cursor under it means that deliver is not running and never will.
	gate    sync.Mutex
	ended   bool
	deliver func(Batch)

	// Under Fetcher.mu.
	reader     *reader // nil while the cursor has no leader
	unreleased int
	waiting    bool  // an answer waits to be decoded
	kept       int64 // the memory of that

	// Of the goroutine that has the cursor, which a cursor changes under Fetcher.mu.
	position    int64
	edge        int64    // the offset after the last batch that was read to its end
	epoch       int32    // of the last record before position, -1 when it is not known
	answer      *fetched // what waits to be decoded
	topicID     [16]byte // zero when it is not known
	topic       string   // the same as text
	leaderEpoch int32    // of the leader, -1 when it is not known
	replicas    []int32
	elsewhere   bool  // another replica than the leader was asked, because the leader's batch is damaged
	delivered   Batch // what was delivered last, without its records
	fresh       bool  // nothing was answered since Start
	alone       bool  // to be asked for in a request of its own
	bad         int   // answers in a row that could not be decoded
	recreated   int   // times in a row that the topic had another id
	failures    int   // failed tries in a row
	retryAt     time.Time
}

// NewFetcher makes a reader of partitions that holds at most about readAhead bytes of a partition's records in the
// hands of those who have not released them yet, and fetch.buffer.memory of all partitions'. Close it before the Client.
func (c *Client) NewFetcher(readAhead int) *Fetcher {
	f := &Fetcher{
		client:    c,
		readAhead: max(readAhead, 1),
		budget:    int64(c.cfg.Fetch.BufferMemory),
		limits:    recordbatch.Limits(c.cfg.Limits),
		log:       c.log.Named("fetcher"),
		links:     c.newLinks(),
		wake:      make(chan struct{}, 1),
		cursors:   map[TopicPartition]*cursor{},
		readers:   map[string]*reader{},
		leading:   map[*cursor]bool{},
		cleanups:  map[string]cleanup{},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.tasks.Go(f.lead)
	return f
}

// Start reads a partition from a position on. deliver is called from the fetcher's goroutines, one call at a time for a
// partition, in order. It must not block, and must not call Start, Stop or Close. The first answer of the broker is
// always delivered, later ones when they carry records or when an offset in them has changed.
//
// Starting a started partition is a seek: nothing of the old position is delivered after Start returned. Nothing of
// a started partition counts as read ahead, so that batches from before a seek need no Release.
func (f *Fetcher) Start(tp TopicPartition, from Position, deliver func(Batch)) {
	f.control.Lock()
	defer f.control.Unlock()
	f.end(tp)
	c := &cursor{TopicPartition: tp, deliver: deliver, position: from.Offset, epoch: from.LeaderEpoch, leaderEpoch: -1, topic: from.TopicID, fresh: true}
	c.topicID = topicIDOf(from.TopicID)
	c.delivered = Batch{TopicPartition: tp, LeaderEpoch: from.LeaderEpoch, TopicID: from.TopicID}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.cursors[tp] = c
	f.leaderless(c)
}

// Stop ends a partition's delivery: deliver is not running and will not be called when Stop has returned.
func (f *Fetcher) Stop(tp TopicPartition) {
	f.control.Lock()
	defer f.control.Unlock()
	f.end(tp)
}

func (f *Fetcher) end(tp TopicPartition) {
	f.mu.Lock()
	c := f.cursors[tp]
	if c != nil {
		f.forget(c)
	}
	f.mu.Unlock()
	if c != nil {
		c.gate.Lock()
		c.ended = true
		c.gate.Unlock()
	}
}

// forget takes a cursor out of everything. f.mu is held.
func (f *Fetcher) forget(c *cursor) {
	if f.cursors[c.TopicPartition] == c {
		delete(f.cursors, c.TopicPartition)
	}
	delete(f.leading, c)
	if c.reader != nil {
		delete(c.reader.cursors, c)
		c.reader = nil
	}
	f.give(c, int64(c.unreleased)+c.kept)
	c.unreleased, c.kept, c.waiting = 0, 0, false
}

// give gives bytes back, and wakes whoever waits for room. f.mu is held.
func (f *Fetcher) give(c *cursor, bytes int64) {
	full := f.held >= f.budget || f.large != nil
	f.held -= bytes
	if f.large == c && c.unreleased == 0 {
		f.large = nil
	}
	if full && (f.held < f.budget || f.large == nil) {
		for _, r := range f.readers {
			wake(r.wake)
		}
	}
}

// Release gives back read-ahead: Bytes of a delivered batch, once.
func (f *Fetcher) Release(tp TopicPartition, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cursors[tp]
	if c == nil {
		return
	}
	was := f.readable(c)
	bytes = min(bytes, c.unreleased)
	c.unreleased -= bytes
	f.give(c, int64(bytes))
	if !was && f.readable(c) && c.reader != nil {
		c.reader.arrived()
	}
}

// readable says whether something may be done for a partition: ask for it, or decode what waits. One with nothing
// unreleased always may: what is larger than all of the read-ahead must come through too.
func (f *Fetcher) readable(c *cursor) bool {
	return c.unreleased == 0 || c.unreleased < f.readAhead && f.held-c.kept < f.budget
}

// smallPiece is what a partition may have when there is no room at all.
const smallPiece = 64 << 10

// room is how many bytes of a partition may be decoded now.
func (f *Fetcher) room(c *cursor) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursors[c.TopicPartition] != c || !f.readable(c) {
		return 0
	}
	return max(int(min(int64(f.readAhead-c.unreleased), f.budget-f.held, chunkBytes)), min(smallPiece, f.readAhead))
}

// fits says whether there is room for a record of that size. Of records that find none one is let through at a time.
func (f *Fetcher) fits(c *cursor, size int64) bool {
	if size <= smallPiece {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held+size <= f.budget || f.large == c || f.cursors[c.TopicPartition] != c {
		return true
	}
	if f.large != nil {
		return false
	}
	f.large = c
	return true
}

// Close ends every delivery, as Stop does, and every goroutine and connection of the fetcher.
func (f *Fetcher) Close() error {
	f.control.Lock()
	defer f.control.Unlock()
	f.mu.Lock()
	f.closed = true
	var tps []TopicPartition
	for tp := range f.cursors {
		tps = append(tps, tp)
	}
	f.mu.Unlock()
	for _, tp := range tps {
		f.end(tp)
	}
	f.stop()
	f.links.close()
	f.tasks.Wait()
	return nil
}

// hand delivers a batch unless the cursor has ended. A batch with an error is its last.
func (c *cursor) hand(b Batch) {
	c.gate.Lock()
	defer c.gate.Unlock()
	if !c.ended {
		c.ended = b.Err != nil
		c.deliver(b)
	}
}

// fail ends a cursor with an error. It is forgotten only after that was delivered: until then, Stop must find it to
// wait for it.
func (f *Fetcher) fail(c *cursor, err error) {
	b := c.delivered
	b.Position, b.Err = c.position, err
	c.hand(b)
	f.mu.Lock()
	f.forget(c)
	f.mu.Unlock()
}

// outOfRange finds out what the partition holds instead, and ends the cursor with that. The offset may have come into
// range meanwhile: a leader that has just been elected can be behind for a moment (KIP-207). A leader answers so, too, when
// its log does not know the epoch of what was read last. A log that lost its end and has grown again, but less far than was
// read, has new records before its end: the epoch says from where on, so it is asked first.
func (f *Fetcher) outOfRange(c *cursor) {
	ctx, cancel := context.WithTimeout(f.ctx, f.client.cfg.RequestTimeout)
	defer cancel()
	tps := []TopicPartition{c.TopicPartition}
	starts, err := f.client.Starts(ctx, tps)
	if err != nil {
		f.retry(c, err)
		return
	}
	ends, err := f.client.Ends(ctx, tps)
	if err != nil {
		f.retry(c, err)
		return
	}
	start, end := starts[c.TopicPartition], ends[c.TopicPartition]
	if c.epoch >= 0 && c.position >= start {
		epochs, err := f.client.EpochEnds(ctx, map[TopicPartition]int32{c.TopicPartition: c.epoch})
		if err != nil {
			f.retry(c, err)
			return
		}
		e := epochs[c.TopicPartition]
		known := e.Offset >= 0 || c.position <= end // else the end is all that the log can tell
		if known && (e.LeaderEpoch < c.epoch || e.Offset < c.position) {
			f.fail(c, &TruncatedError{TopicPartition: c.TopicPartition, Offset: c.position, LeaderEpoch: c.epoch, End: e.Offset, EndEpoch: e.LeaderEpoch})
			return
		}
	}
	if c.position < start || c.position > end {
		f.fail(c, &OffsetOutOfRangeError{TopicPartition: c.TopicPartition, Offset: c.position, Start: start, End: end})
		return
	}
	f.retry(c, sarama.ErrOffsetOutOfRange)
}
