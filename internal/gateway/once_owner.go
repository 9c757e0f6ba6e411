package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// owner takes the ids of all. Its goroutine has the sink, whose transactional id is the right to write there.
type owner struct {
	o    *once
	wake chan struct{}

	mu    sync.Mutex
	queue []*errand
	over  bool // nothing is taken any more

	// What follows belongs to the goroutine.
	began   time.Time // the last turn
	sink    *kafka.Sink
	ids     [3]map[place]taken // the newest first; each is filled for half of OnceFor
	turned  time.Time
	release func() bool // lets the sink outlive the gateway's context
	offsets []int64     // of what is under way, by Origin; -1 for one that is not known
	refuser *errand     // whose event Kafka has refused, after errOthers
}

// errand is items of one request.
type errand struct {
	items    []item
	whole    bool // all of them are taken, or none
	verdicts []verdict
	err      error
	done     chan struct{}
	release  func() // gives back the bytes that it holds
}

// end has who waits for it go on.
func (e *errand) end(err error) {
	e.err = err
	e.release()
	close(e.done)
}

var errNotOwner = errors.New("another gateway owns the ids now")

// take has items taken, and returns when they are committed. What has not been begun when ctx ends is not written any more.
func (w *owner) take(ctx context.Context, items []item, whole bool) ([]verdict, error) {
	e, err := w.begin(items, whole)
	if err != nil {
		return nil, err
	}
	return w.wait(ctx, e)
}

// begin has items taken, in the order of the calls. They count among what waits for Kafka.
func (w *owner) begin(items []item, whole bool) (*errand, error) {
	records := make([]kafka.Outgoing, len(items))
	for i := range items {
		records[i] = items[i].record()
	}
	release, err := w.o.g.publisher.Hold(records)
	if err != nil {
		return nil, err
	}
	e := &errand{items: items, whole: whole, verdicts: make([]verdict, len(items)), done: make(chan struct{}), release: release}
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		release()
		return nil, errNotOwner
	}
	w.queue = append(w.queue, e)
	w.mu.Unlock()
	w.poke()
	return e, nil
}

// wait returns when an errand has ended, or ctx does.
func (w *owner) wait(ctx context.Context, e *errand) ([]verdict, error) {
	select {
	case <-e.done:
		return e.verdicts, e.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.queue, e); i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
		e.release()
	}
	return nil, errNoAnswer
}

func (w *owner) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// end has the owner stop when its queue is empty.
func (w *owner) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.poke()
}

// mostOfTurn bounds the events of a transaction.
const mostOfTurn = 5000

// turnEvery is the least time from the beginning of a transaction to that of the next one. What comes after a pause is begun at once; under load
// transactions are fewer and larger, which at 2,000 single events a second saves the broker half of its work. The events wait little longer for it:
// a transaction of a busy broker takes as long.
const turnEvery = 10 * time.Millisecond

// pace waits until another transaction may begin.
func (w *owner) pace() {
	if wait := turnEvery - time.Since(w.began); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-w.o.ctx.Done():
		}
	}
	w.began = time.Now()
}

// idle says that the queue is empty, and whether it stays so.
func (w *owner) idle() (empty, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0, w.over
}

func (w *owner) next() []*errand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return portion(&w.queue, [2]int{mostOfTurn, math.MaxInt}, func(e *errand) [2]int { return [2]int{len(e.items), 0} })
}

func (w *owner) run() {
	defer w.leave()
	for {
		empty, over := w.idle()
		if empty {
			if over {
				return
			}
			select {
			case <-w.wake:
			case <-w.o.ctx.Done():
				return
			}
			continue
		}
		w.pace()
		list := w.next() // empty where nobody waits any more
		if err := w.ready(); err != nil {
			for _, e := range list {
				e.end(err)
			}
		} else {
			w.work(list)
		}
		if w.sink == nil { // the right to write is gone, or doubtful: whoever comes next takes it anew
			return
		}
	}
}

// mostRefused bounds the records of an errand that Kafka may refuse: each costs a transaction.
const mostRefused = 32

// work does errands, and ends them. A record that Kafka refuses is found by a transaction that fails: then the others go on without its errand,
// which comes after them, alone and without the record.
func (w *owner) work(list []*errand) {
	var apart []*errand
	for tries := 0; ; {
		err := errNotOwner
		if w.sink != nil {
			err = w.turn(list)
		}
		if !errors.Is(err, errOthers) || w.sink == nil || len(list) == 1 && tries >= mostRefused {
			for _, e := range list {
				e.end(err)
			}
			break
		}
		if len(list) == 1 {
			tries++
			continue
		}
		i := slices.Index(list, w.refuser)
		apart, list = append(apart, list[i]), slices.Delete(list, i, i+1)
	}
	for _, e := range apart {
		w.work([]*errand{e})
	}
}

var errOthers = errors.New("Kafka refused another event that was under way; this one was not accepted")

// leave gives the place up.
func (w *owner) leave() {
	w.o.mu.Lock()
	w.o.mine = nil
	w.o.mu.Unlock()
	w.mu.Lock()
	w.over = true
	rest := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, e := range rest {
		e.end(errNotOwner)
	}
	w.drop()
}

// drop forgets all that was known under the right to write.
func (w *owner) drop() {
	if w.sink != nil {
		w.release()
		_ = w.sink.Close()
		w.sink = nil
	}
	for _, generation := range w.ids {
		w.o.held.Add(-int64(len(generation)))
	}
	w.ids = [3]map[place]taken{}
}

// idsAgain is how soon a partition is read again whose ids had no room.
const idsAgain = 30 * time.Second

// ready takes the partition, where this gateway does not have it: the former owner is fenced, then others are told, so that they wait
// here and do not take it in their turn, then what was committed is read. After an error the right to write is given up.
func (w *owner) ready() error {
	if w.sink != nil {
		return nil
	}
	if time.Now().UnixNano() < w.o.fullUntil.Load() {
		return errIDsFull
	}
	ctx, cancel := context.WithTimeout(w.o.ctx, startWithin)
	defer cancel()
	sink, err := w.o.g.Client.NewSink(ctx, fmt.Sprintf("%sweir-gateway-ids-%d", w.o.prefix, idPartition))
	if err != nil {
		return fmt.Errorf("take the ids: %w", err)
	}
	w.sink = sink
	w.release = context.AfterFunc(w.o.ctx, func() { _ = sink.Close() }) // Append has no context
	sink.OnAcknowledged(func(_ kafka.TopicPartition, base int64, origins []int64) {
		for i, origin := range origins {
			if origin >= 0 && base >= 0 {
				w.offsets[origin] = base + int64(i)
			}
		}
	})
	for i := range w.ids {
		w.ids[i] = map[place]taken{}
	}
	w.turned = time.Now()
	value, err := json.Marshal(ownership{Version: 1, URL: w.o.g.URL, Gateway: w.o.g.name})
	if err == nil {
		err = sink.Append(&kafka.Outgoing{TopicPartition: system.Of(w.o.owners), Timestamp: time.Now().UnixMilli(), Key: strconv.AppendInt(nil, int64(idPartition), 10), Value: value, Origin: -1})
	}
	if err == nil {
		err = sink.Commit(ctx)
	}
	if err != nil {
		err = w.failed(err)
		w.drop()
		return err
	}
	loading, done := context.WithTimeout(w.o.ctx, loadWithin)
	defer done()
	if err := w.load(loading); err != nil {
		w.drop()
		if errors.Is(err, errIDsFull) {
			w.o.fullUntil.Store(time.Now().Add(idsAgain).UnixNano())
			w.o.g.Log.Error("the ids of a partition have no room, so its events are refused", zap.Int32("partition", idPartition), zap.Int("max-ids", w.o.g.Limits.IDs))
		}
		return w.o.gone(loading, fmt.Errorf("read the ids: %w", err))
	}
	return nil
}
