package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// Fetcher reads partitions, committed records only, and delivers them in batches. Its methods are safe for concurrent
// use, and none waits for a broker.
//
// It is not built on sarama's PartitionConsumer, which spends a channel operation on every record, drops control
// records together with the position behind them, and keeps reading what was asked to pause. Here a goroutine for each
// broker long-polls for all partitions that the broker leads and turns each partition's answer into one Batch.
//
// A partition survives whatever may pass: moved leaders, lost connections, brokers and topics that are not there yet.
// All of it is retried for ever, and logged while it lasts. What cannot pass ends the partition's delivery with
// Batch.Err: an *OffsetOutOfRangeError, or an *Error of class Fatal for denied access or a damaged batch.
type Fetcher struct {
	client    *Client
	readAhead int
	log       *zap.Logger
	links     *links // for fetches only: a long poll keeps its connection busy
	ctx       context.Context
	stop      context.CancelFunc
	tasks     sync.WaitGroup
	wake      chan struct{} // tells lead that a cursor waits for a leader

	// control makes Start, Stop and Close wait for each other. It is not held together with a cursor's gate by the
	// goroutines that deliver, so a Start that waits for a delivery to return cannot block another delivery.
	control sync.Mutex

	mu      sync.Mutex
	closed  bool
	cursors map[TopicPartition]*cursor
	readers map[string]*reader // by the broker's address
	leading map[*cursor]bool   // cursors without a leader
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
	paused     bool
	unreleased int

	// Of the goroutine that has the cursor, which a cursor changes under Fetcher.mu.
	position int64
	told     Batch // what was delivered last, without its records
	fresh    bool  // nothing was answered since Start
	alone    bool  // to be asked for in a request of its own
	bad      int   // answers in a row that could not be decoded
	failures int   // failed tries in a row
	retryAt  time.Time
}

// NewFetcher makes a reader of partitions that holds at most about readAhead bytes of a partition's records in the
// hands of those who have not released them yet. Close it before the Client.
func (c *Client) NewFetcher(readAhead int) *Fetcher {
	f := &Fetcher{
		client:    c,
		readAhead: max(readAhead, 1),
		log:       c.log.Named("fetcher"),
		links:     c.newLinks(),
		wake:      make(chan struct{}, 1),
		cursors:   map[TopicPartition]*cursor{},
		readers:   map[string]*reader{},
		leading:   map[*cursor]bool{},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.tasks.Go(f.lead)
	return f
}

// Start reads a partition from a position on. deliver is called from the fetcher's goroutines, one call at a time for a
// partition, in order. It must not block, and must not call Start, Stop or Close. The first answer of the broker is
// always delivered, later ones when they carry records or when an offset in them has changed.
//
// Starting a started partition is a seek: nothing of the old position is delivered after Start returned. A started
// partition is not paused, and nothing of it counts as read ahead, so that batches from before a seek need no Release.
func (f *Fetcher) Start(tp TopicPartition, from Position, deliver func(Batch)) {
	f.control.Lock()
	defer f.control.Unlock()
	f.end(tp)
	c := &cursor{TopicPartition: tp, deliver: deliver, position: from.Offset, fresh: true}
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
}

// Release gives back read-ahead: Bytes of a delivered batch, once.
func (f *Fetcher) Release(tp TopicPartition, bytes int) {
	f.change(tp, func(c *cursor) { c.unreleased = max(0, c.unreleased-bytes) })
}

// Pause stops reading a partition and keeps its position. What is under way still arrives.
func (f *Fetcher) Pause(tp TopicPartition) { f.change(tp, func(c *cursor) { c.paused = true }) }

// Resume continues after Pause.
func (f *Fetcher) Resume(tp TopicPartition) { f.change(tp, func(c *cursor) { c.paused = false }) }

// change changes what makes a cursor readable, and wakes its reader when it has become so.
func (f *Fetcher) change(tp TopicPartition, change func(*cursor)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cursors[tp]
	if c == nil {
		return
	}
	was := f.readable(c)
	change(c)
	if !was && f.readable(c) && c.reader != nil {
		c.reader.arrived()
	}
}

// readable says whether a partition may be asked for. One with nothing unreleased always may: a batch that is larger
// than all of the read-ahead must come through too.
func (f *Fetcher) readable(c *cursor) bool {
	return !c.paused && c.unreleased < f.readAhead
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
	b := c.told
	b.TopicPartition, b.Position, b.Err = c.TopicPartition, c.position, err
	c.hand(b)
	f.mu.Lock()
	f.forget(c)
	f.mu.Unlock()
}

// outOfRange finds out what the partition holds instead, and ends the cursor with that. The offset may have come into
// range meanwhile: a leader that has just been elected can be behind for a moment (KIP-207).
func (f *Fetcher) outOfRange(c *cursor) {
	ctx, cancel := context.WithTimeout(f.ctx, f.client.cfg.RequestTimeout)
	defer cancel()
	tps := []TopicPartition{c.TopicPartition}
	starts, err := f.client.Starts(ctx, tps)
	if err == nil {
		var ends map[TopicPartition]int64
		if ends, err = f.client.Ends(ctx, tps); err == nil {
			start, end := starts[c.TopicPartition], ends[c.TopicPartition]
			if c.position < start || c.position > end {
				f.fail(c, &OffsetOutOfRangeError{TopicPartition: c.TopicPartition, Offset: c.position, Start: start, End: end})
				return
			}
			err = sarama.ErrOffsetOutOfRange
		}
	}
	f.retry(c, err)
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// undecodable says whether an answer arrived and made no sense, as opposed to not having arrived.
func undecodable(err error) bool {
	var decoding sarama.PacketDecodingError
	return errors.As(err, &decoding) || errors.Is(err, sarama.ErrInsufficientData)
}
