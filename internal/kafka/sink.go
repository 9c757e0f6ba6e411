package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
)

// Sink writes records in batches, idempotently with acks=all, and in transactions when it has a transactional id. It is
// used by one goroutine; only Close may come from another. A transaction begins with the first Append, or Offsets,
// after NewSink, Commit or Abort.
//
// Errors carry a Class, or are a *RefusedError, a record's fault, or a *BlockedError, the world's, or are
// ErrStaleGeneration, which changes nothing. After any other error,
// and after a RefusedError of Flush, the sink answers with that error until Abort has succeeded. A RefusedError of
// Append changes nothing either: the record was not added.
//
// Without a transactional id (at-least-once) Commit only waits for acknowledgements, and what Abort drops may have been
// written.
type Sink struct {
	client *Client
	log    *zap.Logger
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ctl    *links // for coordinators and metadata
	data   *links // for produce requests only, so that nothing waits for them

	mu     sync.Mutex
	closed bool
	events []func() // what other goroutines report, for the sink's own goroutine to run
	wake   chan struct{}
	tasks  sync.WaitGroup

	// What follows belongs to the goroutine that uses the sink.

	encoding   encoding
	limits     limits
	parts      map[TopicPartition]*outPartition
	recent     [16]*outPartition // parts, found without hashing
	active     []*outPartition   // those with batches that are not acknowledged
	topics     map[string]*outTopic
	brokers    map[int32]*outBroker
	spare      []*outBatch   // to be used again
	buffered   int           // bytes of batches that are not acknowledged
	flying     int           // requests without an answer
	throttle   time.Duration // that brokers have asked for so far
	turn       int           // where in active the next request begins
	refreshing bool          // a metadata request is under way
	curious    bool          // the limits of a topic are to be asked for
	due        time.Time     // when something has to be done unprompted, zero for never

	coord *coordinators
	as    producerID
	txn   sinkTxn
	err   error                                                // why only Abort and Close are left
	told  func(tp TopicPartition, base int64, origins []int64) // of each batch that was acknowledged, or nil
}

// limits are the sink's settings in the form in which they are used.
type limits struct {
	batch, record, request, memory, inFlight int // request: of several batches

	delivery time.Duration // from a batch's last record to its acknowledgement
	bound    string        // the setting that delivery comes from
	retry    backoff.Backoff
	grace    time.Duration // for topics that are said not to exist
}

// fullRequest is the size to which a request is filled with batches: a larger one costs memory on both sides and is not
// faster.
const fullRequest = 1 << 20

// NewSink makes a sink. With a transactional id it takes the id over: it fences the former holder and ends the
// transaction that it left open, before it returns.
func (c *Client) NewSink(ctx context.Context, transactionalID string) (*Sink, error) {
	tune := c.cfg.Sink
	s := &Sink{
		client:  c,
		log:     c.log,
		ctl:     c.newLinks(),
		data:    c.newLinks(),
		wake:    make(chan struct{}, 1),
		parts:   map[TopicPartition]*outPartition{},
		topics:  map[string]*outTopic{},
		brokers: map[int32]*outBroker{},
		encoding: encoding{
			codec:         saramaCodecs[tune.Compression],
			level:         compressionLevel(tune.CompressionLevel),
			transactional: transactionalID != "",
		},
		limits: limits{
			batch:    min(tune.BatchSize, tune.MaxRequestSize),
			record:   tune.MaxRequestSize,
			request:  min(tune.MaxRequestSize, fullRequest),
			memory:   tune.BufferMemory,
			inFlight: tune.MaxInFlight,
			delivery: tune.DeliveryTimeout,
			bound:    "delivery.timeout.ms",
			retry:    c.cfg.backoff(),
			grace:    unknownTopicGrace,
		},
	}
	if s.encoding.transactional {
		// Delivery is given up before the coordinator aborts the transaction by itself, which would fence us. How long it
		// has been open does not count: only the coordinator knows whether it is too late.
		if most := tune.TransactionTimeout * 4 / 5; s.limits.delivery > most {
			s.limits.delivery, s.limits.bound = most, "4/5 of transaction.timeout.ms"
		}
	}
	s.coord = &coordinators{
		links:   s.ctl,
		id:      transactionalID,
		timeout: tune.TransactionTimeout,
		retry:   s.limits.retry,
		grace:   s.limits.grace,
		at:      map[string]*link{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	limited, done := s.bounded(ctx, c.cfg.APITimeout)
	defer done()
	as, err := s.coord.init(limited, noProducer)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	s.as, s.coord.indefinite = as, false
	return s, nil
}

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func compressionLevel(n int) int {
	if n == 0 {
		return sarama.CompressionLevelDefault
	}
	return n
}

// bounded returns a context that ends with ctx, after the time given, and when the sink is closed.
func (s *Sink) bounded(ctx context.Context, limit time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Append adds a copy of a record to its partition's batch. It blocks while buffer.memory is used up, and on the first record for
// a topic until the topic's size limit is known.
func (s *Sink) Append(r *Outgoing) error {
	if s.err != nil {
		return s.err
	}
	if r.Timestamp < -1 || r.Timestamp > maxTimestamp {
		return &RefusedError{TopicPartition: r.TopicPartition, Origin: r.Origin, Err: fmt.Errorf("timestamp %d is not in milliseconds between the years 1970 and 2262", r.Timestamp)}
	}
	p := s.recent[slot(r)]
	if p == nil || p.TopicPartition != r.TopicPartition {
		var err error
		if p, err = s.partition(r); err != nil {
			return err
		}
	}
	if s.buffered+len(r.Value) >= s.limits.memory {
		if err := s.room(p, r); err != nil {
			return err
		}
	}
	b := p.open
	var body int
	if b != nil {
		body = b.bodyOf(r)
		if b.size()+framed(body) > p.topic.batch {
			if err := s.refuseTooLarge(p, r); err != nil {
				return err
			}
			s.seal(p)
			s.work()
			b = nil
		}
	}
	if b == nil {
		if err := s.refuseTooLarge(p, r); err != nil {
			return err
		}
		b = s.newBatch(p, r.Timestamp)
		body = b.bodyOf(r)
		s.buffered += batchOverhead
	}
	s.buffered += b.add(r, body) + recordCost
	return nil
}

// slot spreads partitions over Sink.recent.
func slot(r *Outgoing) int { return (int(r.Partition)*2 + len(r.Topic)) & 15 }

// refuseTooLarge says whether a record can be sent at all, and names every limit that it is over.
func (s *Sink) refuseTooLarge(p *outPartition, r *Outgoing) error {
	size := aloneSize(r)
	if size <= p.topic.record {
		return nil
	}
	if size <= min(s.limits.record, s.limits.memory) {
		if err := s.refreshLimits(p.topic); err != nil {
			return err
		}
		if size <= p.topic.record {
			return nil
		}
	}
	var over, allow []string
	for _, limit := range []struct {
		name string
		size int
	}{
		{"max.request.size", s.limits.record},
		{"buffer.memory", s.limits.memory},
		{"max.message.bytes", p.topic.message},
	} {
		if size > limit.size {
			over = append(over, limit.name)
			allow = append(allow, fmt.Sprintf("%s allows %d", limit.name, limit.size))
		}
	}
	return &RefusedError{r.TopicPartition, r.Origin, fmt.Errorf("a batch with it has %d bytes, %s", size, strings.Join(allow, " and ")), over}
}

func (s *Sink) newBatch(p *outPartition, timestamp int64) *outBatch {
	var b *outBatch
	if n := len(s.spare); n > 0 {
		b = s.spare[n-1]
		s.spare = s.spare[:n-1]
	} else {
		b = &outBatch{seq: -1}
	}
	b.begin(p, timestamp)
	p.open = b
	return b
}

// recycle keeps a batch that nobody refers to any more, unless it was grown for uncommonly large records.
func (s *Sink) recycle(b *outBatch) {
	const most, largest = 16, 1 << 20
	if len(s.spare) < most && cap(b.records)+8*cap(b.origins) <= largest {
		b.reset()
		s.spare = append(s.spare, b)
	}
}

// seal makes the open batch one to be sent.
func (s *Sink) seal(p *outPartition) {
	b := p.open
	p.open = nil
	b.deadline = time.Now().Add(s.limits.delivery)
	if p.order.idle() {
		s.active = append(s.active, p)
	}
	p.order.push(b)
}

func (s *Sink) sealAll() {
	for _, p := range s.parts {
		if p.open != nil {
			s.seal(p)
		}
	}
}

// room waits until buffer.memory allows the record. One that it never allows is refused: it would be waited for without
// end.
func (s *Sink) room(p *outPartition, r *Outgoing) error {
	if err := s.refuseTooLarge(p, r); err != nil {
		return err
	}
	s.sealAll()
	return s.wait(s.ctx, "wait for room in buffer.memory", func() bool { return s.buffered+len(r.Value) < s.limits.memory })
}

// Flush sends what is left and returns when everything is acknowledged.
func (s *Sink) Flush(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	s.sealAll()
	return s.wait(ctx, "wait for acknowledgements", func() bool { return len(s.active) == 0 })
}

// End returns the offset after the last record that this sink had acknowledged in the partition, or -1. It can be too
// low when the broker acknowledged a repetition without telling its offset, which it does only for an old one.
func (s *Sink) End(tp TopicPartition) int64 {
	if p := s.parts[tp]; p != nil {
		return p.end
	}
	return -1
}

// LeaderEpoch returns the epoch of the leader that acknowledged the record before End, as the cluster said when the leader
// was looked up; -1 when it is not known.
func (s *Sink) LeaderEpoch(tp TopicPartition) int32 {
	if p := s.parts[tp]; p != nil {
		return p.endEpoch
	}
	return -1
}

// Close gives up what is not committed and ends the connections, and with them every call under way. It does not wait
// for a broker.
func (s *Sink) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.ctl.close()
	s.data.close()
	s.tasks.Wait()
	return nil
}

// leaveWithin bounds how long Leave waits for the cluster.
const leaveWithin = 2 * time.Second

// Leave is Close for a command that may have been interrupted: it aborts what the sink has open, for at most two seconds, because whoever reads what is
// committed would wait for that transaction until the brokers abort it.
func (s *Sink) Leave() error {
	if s.encoding.transactional && (s.txn.began || s.txn.renew) && ClassOf(s.err) != Fenced {
		ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
		defer cancel()
		_ = s.Abort(ctx) // then the brokers do
	}
	return s.Close()
}

var errSinkClosed = errors.New("the sink is closed")

// spawn runs a task that Close waits for. It must end soon after s.ctx.
func (s *Sink) spawn(task func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.tasks.Go(task)
	}
}

// post hands an event to the sink's own goroutine.
func (s *Sink) post(event func()) {
	s.mu.Lock()
	s.events = append(s.events, event)
	s.mu.Unlock()
	wake(s.wake)
}

// work runs what others reported and sends what can be sent. It does not block.
func (s *Sink) work() {
	s.mu.Lock()
	events := s.events
	s.events = nil
	s.mu.Unlock()
	for _, event := range events {
		event()
	}
	s.dispatch()
}

// wait works until done says so, an error occurs, or ctx ends.
func (s *Sink) wait(ctx context.Context, op string, done func() bool) error {
	for {
		s.work()
		if s.err != nil {
			return s.err
		}
		if done() {
			return nil
		}
		if !s.pause(ctx) {
			cause := context.Cause(ctx)
			if s.ctx.Err() != nil {
				cause = errSinkClosed
			}
			s.fail(&Error{Retriable, op, s.because(cause)})
			return s.err
		}
	}
}

// pause waits for something to do. It returns false when ctx has ended or the sink is closed.
func (s *Sink) pause(ctx context.Context) bool {
	var timer <-chan time.Time
	if !s.due.IsZero() {
		t := time.NewTimer(time.Until(s.due))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-s.wake:
	case <-timer:
	case <-ctx.Done():
		return false
	case <-s.ctx.Done():
		return false
	}
	return true
}

// because adds what has gone wrong so far to err.
func (s *Sink) because(err error) error {
	for _, p := range s.active {
		if p.cause != nil {
			return fmt.Errorf("%w; last: %s: %w", err, p.TopicPartition, p.cause)
		}
	}
	return err
}

// fail ends what the sink can do before Abort. The first error counts.
func (s *Sink) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}
