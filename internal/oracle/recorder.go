package oracle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Recorder reads the output topic read-committed while faults rain, and writes down every record that it is given.
type Recorder struct {
	topic  string
	client *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	seen []Sighting
	next map[int32]int64
	bad  int
	last error
}

// StartRecorder reads a topic from its start on. Stop ends it.
func StartRecorder(brokers []string, topic string) (*Recorder, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.DisableFetchSessions(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.MetadataMinAge(time.Second), kgo.UnknownTopicRetries(-1),
	)
	if err != nil {
		return nil, fmt.Errorf("record topic %s: %w", topic, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Recorder{topic: topic, client: client, cancel: cancel, done: make(chan struct{}), next: map[int32]int64{}}
	go r.run(ctx)
	return r, nil
}

func (r *Recorder) run(ctx context.Context) {
	defer close(r.done)
	for ctx.Err() == nil {
		fetches := r.client.PollFetches(ctx)
		r.mu.Lock()
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				r.bad++
				r.last = err
			}
		})
		fetches.EachRecord(func(rec *kgo.Record) {
			r.seen = append(r.seen, Sighting{rec.Partition, rec.Offset, string(rec.Key), string(rec.Value)})
			r.next[rec.Partition] = rec.Offset + 1
		})
		r.mu.Unlock()
	}
}

// Len is how many records it was given so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// CatchUp waits until it was given the last record below the present end of each partition. It is for the time after
// the faults: what a reader sees then counts too.
func (r *Recorder) CatchUp(ctx context.Context) error {
	last, err := lastRecords(ctx, r.client, r.topic)
	if err != nil {
		return fmt.Errorf("catch up with topic %s: %w", r.topic, err)
	}
	for {
		behind := ""
		r.mu.Lock()
		for p, offset := range last {
			if r.next[p] <= offset {
				behind += fmt.Sprintf(" %d:%d/%d", p, r.next[p], offset+1)
			}
		}
		err := r.last
		r.mu.Unlock()
		if behind == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("catch up with topic %s: reader stands at%s (last error of %d: %v)", r.topic, behind, r.bad, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lastRecords finds the last committed record of each partition; markers stand after it.
func lastRecords(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	var brokers []string
	listed, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range listed {
		brokers = append(brokers, fmt.Sprintf("%s:%d", b.Host, b.Port))
	}
	logs, err := ReadTopic(ctx, brokers, topic)
	if err != nil {
		return nil, err
	}
	last := map[int32]int64{}
	for p := range logs {
		for r := range logs[p].Committed {
			last[int32(p)] = r.Offset
		}
	}
	return last, nil
}

// Stop ends the reading and returns what was seen, in order.
func (r *Recorder) Stop() []Sighting {
	r.cancel()
	<-r.done
	r.client.Close()
	return r.seen
}
