package demo

import (
	"sync"
	"time"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// observer reads the three topics from their beginning, read-committed, beside the job: the input into the model, the
// output and the dead letters into reality.
type observer struct {
	fetcher processors.Fetcher
	started time.Time

	mu        sync.Mutex
	model     *model
	reality   *reality
	latency   latency
	last      []change // the newest outputs, newest last
	positions map[kafka.TopicPartition]int64
	from      map[kafka.TopicPartition]int64 // input offsets from which on this run has to process
	feeding   bool                           // what comes from now on is fed by this run
	arrived   tally                          // input records since then
	failure   error
}

// change is an output as the display shows it.
type change struct {
	customer string
	total    orders.Total
}

const shownChanges = 5

func newObserver(fetcher processors.Fetcher, from map[kafka.TopicPartition]int64) *observer {
	return &observer{
		fetcher: fetcher, started: time.Now(), from: from,
		model: newModel(), reality: newReality(), positions: map[kafka.TopicPartition]int64{}, arrived: newTally(),
	}
}

// start begins to read partitions.
func (o *observer) start(starts map[kafka.TopicPartition]int64) {
	o.mu.Lock()
	for tp, offset := range starts {
		o.positions[tp] = offset
	}
	o.mu.Unlock()
	for tp, offset := range starts {
		o.fetcher.Start(tp, kafka.At(offset), o.deliver)
	}
}

func (o *observer) deliver(b kafka.Batch) {
	defer o.fetcher.Release(b.TopicPartition, b.Bytes)
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if b.Err != nil {
		o.failure = b.Err
		return
	}
	for i := range b.Records {
		r := &b.Records[i]
		switch b.Topic {
		case inputTopic:
			if bad := o.model.input(b.TopicPartition, r, r.Offset >= o.from[b.TopicPartition]); o.feeding {
				o.arrived.add(r.Key, r.Value, bad)
			}
		case redriveTopic:
			o.model.redrive(b.TopicPartition, r, r.Offset >= o.from[b.TopicPartition])
		case outputTopic:
			o.reality.output(b.TopicPartition, r)
			if r.Time().After(o.started) {
				o.latency.add(now.Sub(r.Time()))
			}
		case deadLetterTopic:
			o.reality.deadLetter(b.TopicPartition, r)
		}
	}
	o.remember(b)
	o.positions[b.TopicPartition] = b.Position
}

func (o *observer) remember(b kafka.Batch) {
	if b.Topic != outputTopic {
		return
	}
	for i := max(0, len(b.Records)-shownChanges); i < len(b.Records); i++ {
		key := string(b.Records[i].Key)
		o.last = append(o.last, change{key, o.reality.totals[key]})
	}
	if n := len(o.last); n > shownChanges {
		o.last = append(o.last[:0], o.last[n-shownChanges:]...)
	}
}

// follows says whether a topic is read.
func (o *observer) follows(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for tp := range o.positions {
		if tp.Topic == topic {
			return true
		}
	}
	return false
}

// reached tells whether everything below the offsets given has been read.
func (o *observer) reached(ends map[kafka.TopicPartition]int64) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for tp, end := range ends {
		if o.positions[tp] < end {
			return false, o.failure
		}
	}
	return true, o.failure
}
