// Package publish writes records of many requests to Kafka and says of each where it is, or why it is not there.
//
// A Batch is what one request hands over for one topic. Its records go to the topic's lane, a sink of its own, so that a topic which takes
// nothing holds up no other. A record is accepted when all in-sync replicas have it. When a lane fails, what it has under way is
// answered with the error, and may have been written all the same: only who sends it again with its event's id makes sure of one. A
// record that Kafka refuses has that as its own error; what was under way beside it is not acknowledged, or is, but never refused.
//
// Atomic writes a batch in a transaction instead: all of it becomes visible, or nothing.
package publish

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// Errors of a Publisher, beside those of the wire.
var (
	// ErrFull says that as much waits for its acknowledgement as may. Nothing was written.
	ErrFull = errors.New("as many events wait for Kafka as may")
	// ErrClosed says that the publisher is closed. Nothing was written.
	ErrClosed = errors.New("the gateway is stopping")
	// ErrNotTried says that an earlier record of the same Order failed because of the cluster. Nothing was written.
	ErrNotTried = errors.New("not tried, because an event before it failed")
)

// Options of a Publisher. Zero is the default.
type Options struct {
	// Bytes of keys, values and headers that may wait for acknowledgement, of all topics. One topic may have half of them, so that
	// one which takes nothing leaves room for the others. Default 64 MiB.
	Bytes int64
	// Idle is when the connections of a topic are closed that nothing was written to. Default 5m.
	Idle time.Duration
	// Transactions that run at the same time. Default 4.
	Transactions int
	// Name begins the transactional ids. Default "weir-gateway".
	Name string
	Log  *zap.Logger // default none
}

// Publisher writes. Its methods may be called from several goroutines.
type Publisher struct {
	client  *kafka.Client
	options Options
	waiting atomic.Int64 // bytes
	held    atomic.Int64 // bytes of these that Hold counts
	pool    chan *transactions

	mu     sync.Mutex
	lanes  map[string]*lane
	closed bool
	tasks  sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

// New makes a publisher on a client.
func New(client *kafka.Client, o Options) *Publisher {
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	if o.Idle == 0 {
		o.Idle = 5 * time.Minute
	}
	if o.Transactions == 0 {
		o.Transactions = 4
	}
	if o.Name == "" {
		o.Name = "weir-gateway"
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	p := &Publisher{client: client, options: o, lanes: map[string]*lane{}, pool: make(chan *transactions, o.Transactions)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	for n := range o.Transactions {
		p.pool <- &transactions{client: client, id: fmt.Sprintf("%s-%s-%d", o.Name, hex.EncodeToString(id[:]), n)}
	}
	return p
}

// Result is how a record ended.
type Result struct {
	Partition int32
	Offset    int64 // -1 where the broker does not say it
	Err       error
}

// Order ties batches together that one producer has sent in an order: when a record of one fails because of the cluster, later ones are not tried.
type Order struct{ broken atomic.Bool }

// Break has what comes later not tried.
func (o *Order) Break() { o.broken.Store(true) }

// Broken says whether something has failed.
func (o *Order) Broken() bool { return o.broken.Load() }

// Batch is records for one topic on their way.
type Batch struct {
	Records []kafka.Outgoing // all of one topic; Origin is the publisher's
	Results []Result         // one a record, when Done is closed
	Order   *Order           // nil for none
	Yields  bool             // it is one of a stream, which can wait: it leaves most of the room to others

	bytes int64
	left  int
	done  chan struct{}
}

// Done is closed when all records have their Result.
func (b *Batch) Done() <-chan struct{} { return b.done }

// cost is the memory that a record takes.
func cost(r *kafka.Outgoing) int64 {
	n := len(r.Key) + len(r.Value) + 64
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(n)
}

// yielding is by how much less of a topic's bytes may wait for a batch that yields to be taken. What waits is written in its order, so whoever comes with a single event
// waits for all of it: a few streams would fill the whole room, and that would take seconds.
const yielding = 8

// Publish hands a batch over, of Most records at most. ErrFull and ErrClosed say that it was not taken.
func (p *Publisher) Publish(b *Batch) error {
	if len(b.Records) > Most {
		return fmt.Errorf("the batch has %d records, and %d are the most", len(b.Records), Most)
	}
	b.Results, b.done, b.left, b.bytes = make([]Result, len(b.Records)), make(chan struct{}), len(b.Records), 0
	if b.left == 0 {
		close(b.done)
		return nil
	}
	for i := range b.Records {
		b.bytes += cost(&b.Records[i])
		b.Results[i].Partition = b.Records[i].Partition
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	topic := b.Records[0].Topic
	l := p.lanes[topic]
	if l != nil {
		share := p.options.Bytes / 2
		if b.Yields {
			share /= yielding
		}
		if held := l.waiting.Load(); held > 0 && held+b.bytes > share {
			return ErrFull
		}
	}
	if !p.room(b.bytes) {
		return ErrFull
	}
	if l == nil {
		l = &lane{p: p, topic: topic, wake: make(chan struct{}, 1), under: map[int64]*Batch{}, next: 1}
		p.lanes[topic] = l
		p.tasks.Go(l.run)
	}
	l.waiting.Add(b.bytes)
	l.push(b)
	return nil
}

// room counts bytes that are to wait, where there is room for them. What is alone may be larger.
func (p *Publisher) room(bytes int64) bool {
	if now := p.waiting.Add(bytes); now > p.options.Bytes && now != bytes {
		p.waiting.Add(-bytes)
		return false
	}
	return true
}

// Hold counts bytes of records that somebody else writes among those that wait. They may be half of all, as those of a topic. Without an
// error release gives them back.
func (p *Publisher) Hold(records []kafka.Outgoing) (release func(), err error) {
	var bytes int64
	for i := range records {
		bytes += cost(&records[i])
	}
	if now := p.held.Add(bytes); now > p.options.Bytes/2 && now != bytes || !p.room(bytes) {
		p.held.Add(-bytes)
		return nil, ErrFull
	}
	return func() {
		p.waiting.Add(-bytes)
		p.held.Add(-bytes)
	}, nil
}

// Close waits until everything is acknowledged, as long as ctx allows, and ends.
func (p *Publisher) Close(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.lanes {
		l.push(nil)
	}
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	p.tasks.Wait()
	for range p.options.Transactions {
		(<-p.pool).close()
	}
	p.cancel()
}

// Waiting is how many bytes wait for their acknowledgement.
func (p *Publisher) Waiting() int64 { return p.waiting.Load() }
