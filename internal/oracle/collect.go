package oracle

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Collect reads what Kafka holds of a run. The instances must be stopped or idle; local stores, sightings and counts are
// the caller's to add. It waits, as long as ctx allows, for offsets that hang in a transaction. A topic that does not
// exist has no partitions in the evidence.
func Collect(ctx context.Context, brokers []string, names Names) (*Evidence, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, fmt.Errorf("collect evidence: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)

	e := &Evidence{Names: names}
	for topic, into := range map[string]*[]Log{
		names.Input: &e.Inputs, names.Output: &e.Outputs, names.DeadLetter: &e.DeadLetters, names.Changelog: &e.Changelog,
	} {
		if *into, err = ReadTopic(ctx, brokers, topic); err != nil {
			return nil, err
		}
	}
	if e.Committed, err = committedOffsets(ctx, adm, names, len(e.Inputs)); err != nil {
		return nil, err
	}
	return e, nil
}

// committedOffsets asks until no open transaction could still change the answer (KIP-447).
func committedOffsets(ctx context.Context, adm *kadm.Client, names Names, partitions int) ([]int64, error) {
	offsets := make([]int64, partitions)
	for {
		answer, err := adm.FetchOffsets(kadm.RequireStable(ctx), names.Group)
		if err == nil {
			for p := range offsets {
				offsets[p] = -1
				if o, ok := answer.Lookup(names.Input, int32(p)); ok {
					offsets[p] = o.At
				}
			}
			if err = answer.Error(); err == nil {
				return offsets, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read the offsets of group %s: %w", names.Group, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// ReadTopic reads every partition of a topic from its start to its present end, transaction markers included, and
// decides from the markers, not from what the broker says of aborted transactions, which records are committed.
func ReadTopic(ctx context.Context, brokers []string, topic string) ([]Log, error) {
	fail := func(err error) ([]Log, error) { return nil, fmt.Errorf("read topic %s: %w", topic, err) }
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DisableFetchSessions(), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return fail(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return fail(err)
	}
	logs := make([]Log, len(details[topic].Partitions))
	if len(logs) == 0 {
		return nil, nil
	}
	if err := readBounds(ctx, adm, topic, logs); err != nil {
		return fail(err)
	}

	from := map[int32]kgo.Offset{}
	for p := range logs {
		if logs[p].HighWatermark > logs[p].Start {
			from[int32(p)] = kgo.NewOffset().At(logs[p].Start)
		}
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	readers := make([]logReader, len(logs))
	for p := range readers {
		readers[p] = logReader{log: &logs[p], next: logs[p].Start, whole: logs[p].Start == 0}
	}
	for !allRead(readers) {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fail(fmt.Errorf("%w at %s", err, positions(readers)))
		}
		if errs := fetches.Errors(); len(errs) > 0 && !kgo.IsRetryableBrokerErr(errs[0].Err) {
			return fail(fmt.Errorf("partition %d: %w", errs[0].Partition, errs[0].Err))
		}
		fetches.EachRecord(func(r *kgo.Record) { readers[r.Partition].take(r) })
	}
	for p := range readers {
		readers[p].close()
	}
	return logs, nil
}

func readBounds(ctx context.Context, adm *kadm.Client, topic string, logs []Log) error {
	for _, bound := range []struct {
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		set  func(*Log, int64)
	}{
		// The stable end last: a transaction that ends between the two answers must not look like one that hangs.
		{adm.ListStartOffsets, func(l *Log, o int64) { l.Start = o }},
		{adm.ListEndOffsets, func(l *Log, o int64) { l.HighWatermark = o }},
		{adm.ListCommittedOffsets, func(l *Log, o int64) { l.LastStable = min(o, l.HighWatermark) }},
	} {
		listed, err := bound.list(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return err
		}
		for p := range logs {
			o, ok := listed.Lookup(topic, int32(p))
			if !ok {
				return fmt.Errorf("partition %d has no answer", p)
			}
			bound.set(&logs[p], o.Offset)
		}
	}
	return nil
}

// logReader builds a Log from records in offset order.
type logReader struct {
	log     *Log
	next    int64
	whole   bool
	pending map[int64][]int // producer id -> indices of records that no marker has decided yet
}

func (l *logReader) take(r *kgo.Record) {
	if r.Offset >= l.log.HighWatermark {
		l.next = max(l.next, l.log.HighWatermark)
		return
	}
	if r.Offset != l.next {
		l.whole = false
	}
	l.next = r.Offset + 1
	if r.Attrs.IsControl() {
		l.mark(r)
		return
	}
	record := Record{
		Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: string(r.Key), Value: r.Value, Producer: -1,
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, Header{h.Key, h.Value})
	}
	if r.Attrs.IsTransactional() {
		record.Producer, record.Fate = r.ProducerID, Open
		if l.pending == nil {
			l.pending = map[int64][]int{}
		}
		l.pending[r.ProducerID] = append(l.pending[r.ProducerID], len(l.log.Records))
	}
	l.log.Records = append(l.log.Records, record)
}

// mark decides a producer's open records. The key of a control record is its version and its type: 0 aborts, 1 commits.
func (l *logReader) mark(r *kgo.Record) {
	if len(r.Key) < 4 {
		return
	}
	fate := Aborted
	switch binary.BigEndian.Uint16(r.Key[2:]) {
	case 0:
		l.log.Aborts++
	case 1:
		l.log.Commits++
		fate = Committed
	default:
		return
	}
	for _, i := range l.pending[r.ProducerID] {
		l.log.Records[i].Fate = fate
	}
	delete(l.pending, r.ProducerID)
}

func (l *logReader) done() bool { return l.next >= l.log.HighWatermark }

func (l *logReader) close() { l.log.Whole = l.whole }

func allRead(readers []logReader) bool {
	for i := range readers {
		if !readers[i].done() {
			return false
		}
	}
	return true
}

func positions(readers []logReader) string {
	var s string
	for p := range readers {
		s += fmt.Sprintf(" %d:%d/%d", p, readers[p].next, readers[p].log.HighWatermark)
	}
	return s
}
