package publish

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// lane writes one topic. Its goroutine has the sink.
type lane struct {
	p     *Publisher
	topic string
	wake  chan struct{}

	mu    sync.Mutex
	queue []*Batch // nil in it: the end
	sink  *kafka.Sink

	under map[int64]*Batch // batches with records that are not acknowledged, by number
	next  int64
	last  bool

	waiting atomic.Int64 // bytes, of what is counted in the publisher's
	release func() bool  // lets the sink outlive the publisher's context
}

var (
	errEnded  = errors.New("the gateway stopped before Kafka had acknowledged the event")
	errOthers = errors.New("Kafka refused another event that was under way; this one was not acknowledged")
)

// The Origin of a record is its batch's number and its place there.
const placeBits = 20

// Most is how many records a batch may have: a place beyond would be one of another batch.
const Most = 1 << placeBits

// push is called with the publisher's lock.
func (l *lane) push(b *Batch) {
	l.mu.Lock()
	l.queue = append(l.queue, b)
	sink := l.sink
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	if sink != nil {
		sink.Poke()
	}
}

func (l *lane) take() []*Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.queue
	l.queue = nil
	return taken
}

func (l *lane) run() {
	defer l.close()
	for {
		for _, b := range l.take() {
			if b == nil {
				l.last = true
				continue
			}
			l.begin(b)
		}
		if l.p.ctx.Err() != nil {
			l.fail(errEnded)
		}
		if len(l.under) == 0 {
			if l.last || !l.idle() {
				return
			}
			continue
		}
		if err := l.sink.Turn(l.p.ctx); err != nil {
			l.fail(err)
		}
	}
}

// idle waits for something to do. It returns false when there was nothing for so long that the lane is to end.
func (l *lane) idle() bool {
	t := time.NewTimer(l.p.options.Idle)
	defer t.Stop()
	select {
	case <-l.wake:
		return true
	case <-l.p.ctx.Done():
		return true
	case <-t.C:
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		return true
	}
	delete(l.p.lanes, l.topic)
	return false
}

// begin appends the records of a batch.
func (l *lane) begin(b *Batch) {
	number := l.next
	l.next++
	l.under[number] = b
	for i := range b.Records {
		if b.Order != nil && b.Order.Broken() {
			l.end(number, b, i, -1, ErrNotTried)
			continue
		}
		r := &b.Records[i]
		r.Origin = number<<placeBits | int64(i)
		if err := l.append(r); err != nil {
			refused, ok := errors.AsType[*kafka.RefusedError](err)
			if ok && refused.Origin == r.Origin {
				l.end(number, b, i, -1, err) // its own fault: neither the sink nor what comes after it suffers
				continue
			}
			if ok {
				l.end(number, b, i, -1, errOthers)
			} else {
				l.end(number, b, i, -1, err)
			}
			if b.Order != nil {
				b.Order.Break()
			}
			if l.sink != nil {
				// The sink is unfit. The records before this one have the same error, those after it are tried on a fit one.
				l.fail(err)
			}
		}
	}
}

func (l *lane) append(r *kafka.Outgoing) error {
	if l.sink == nil {
		sink, err := l.p.client.NewSink(l.p.ctx, "")
		if err != nil {
			return err
		}
		sink.OnAcknowledged(l.acknowledged)
		l.release = context.AfterFunc(l.p.ctx, func() { _ = sink.Close() }) // Append has no context
		l.mu.Lock()
		l.sink = sink
		l.mu.Unlock()
	}
	return l.sink.Append(r)
}

func (l *lane) acknowledged(_ kafka.TopicPartition, base int64, origins []int64) {
	for i, origin := range origins {
		number, offset := origin>>placeBits, base
		if offset >= 0 {
			offset += int64(i)
		}
		if b := l.under[number]; b != nil {
			l.end(number, b, int(origin&(1<<placeBits-1)), offset, nil)
		}
	}
}

// end notes how a record ended.
func (l *lane) end(number int64, b *Batch, i int, offset int64, err error) {
	b.Results[i].Offset, b.Results[i].Err = offset, err
	b.Records[i] = kafka.Outgoing{} // marks it, and frees its bytes
	if b.left--; b.left > 0 {
		return
	}
	delete(l.under, number)
	l.waiting.Add(-b.bytes)
	l.p.waiting.Add(-b.bytes)
	close(b.done)
}

// fail makes the sink fit again, and ends what is still under way then with an error. Records that have not been appended are left to be.
//
// What is acknowledged while the sink settles ends as such. A refusal is the fault of one record, which has it as its error; of the others
// nobody knows more than that they were not acknowledged.
func (l *lane) fail(err error) {
	l.p.options.Log.Warn("events are not acknowledged", zap.String("topic", l.topic), zap.Int("batches", len(l.under)), zap.Error(err))
	if l.sink != nil {
		ctx, cancel := context.WithTimeout(l.p.ctx, 10*time.Second)
		defer cancel()
		if l.sink.Abort(ctx) != nil {
			l.close()
		}
	}
	guilty := int64(-1)
	if refused, ok := errors.AsType[*kafka.RefusedError](err); ok {
		guilty = refused.Origin
	}
	for number, b := range l.under {
		for i := range b.Records {
			r := &b.Records[i]
			if r.Topic == "" || r.Origin>>placeBits != number {
				continue // ended, or not appended
			}
			if r.Origin == guilty {
				l.end(number, b, i, -1, err)
				continue
			}
			if b.Order != nil {
				b.Order.Break()
			}
			if guilty >= 0 {
				l.end(number, b, i, -1, errOthers)
			} else {
				l.end(number, b, i, -1, err)
			}
		}
	}
}

func (l *lane) close() {
	if l.sink != nil {
		l.release()
		_ = l.sink.Close() // it waits for nobody
		l.mu.Lock()
		l.sink = nil
		l.mu.Unlock()
	}
}
