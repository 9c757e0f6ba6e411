package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/recordbatch"
)

// limitAnswer is the limit that a batch is over with which an answer is too large.
const limitAnswer = "max.answer.bytes"

// outsized deals with an answer that is too large to be read. One batch makes it so, since a broker sends no more than it
// is asked for, but a first batch whole. Whose batch it is shows when each partition is asked for alone. The batch is then
// delivered as one record with an Excess, by its header: nothing else of it is read.
func (r *reader) outsized(c *cursor, e *answerSizeError, single bool) {
	if !single {
		c.alone = true
		return
	}
	f := r.fetcher
	topic, size, err := fetchHead(e.head, r.version)
	a := newFetched(&topic.Partitions[0], f.limits)
	var batch recordbatch.Batch
	if err == nil {
		batch, err = r.outsizedBatch(c, &topic, a, size, e)
	}
	if err != nil {
		r.damaged(c, fmt.Errorf("%w; its beginning makes no sense: %w", e, err), a.after(err, c.position), a.damaged())
		return
	}
	b := Batch{TopicPartition: c.TopicPartition, Position: c.position, LeaderEpoch: batch.LeaderEpoch, TopicID: c.topic,
		HighWatermark: a.high, LastStableOffset: a.stable}
	if batch.Control || a.aborted.skip(&batch, nil) {
		b.Position = batch.Last + 1
	} else {
		rec := batch.Excess(limitAnswer, e.size, e.most)
		b.append(&rec, nil)
	}
	c.failures = 0
	r.deliver(c, b)
	r.handBack(c)
}

// outsizedBatch returns the batch that makes an answer too large. Its checksum cannot be checked, so all that is known of it
// must agree.
func (r *reader) outsizedBatch(c *cursor, t *kmsg.FetchResponseTopic, a *fetched, size int64, e *answerSizeError) (batch recordbatch.Batch, err error) {
	p := &t.Partitions[0]
	ours := t.TopicID == c.topicID
	if r.version < fetchByID {
		ours = t.Topic == c.Topic
	}
	if !ours || p.Partition != c.Partition {
		return batch, fmt.Errorf("it is not for %s", c.TopicPartition)
	}
	if err := codeError(p.ErrorCode); err != nil {
		return batch, err
	}
	batch, whole, err := recordbatch.Head(a.raw)
	switch {
	case err != nil:
	case whole > size || whole > e.size:
		err = fmt.Errorf("a batch of %d bytes is in %d bytes of batches", whole, size)
	case e.size-whole > e.most:
		err = fmt.Errorf("its first batch has %d bytes, and the rest is too large too", whole)
	case batch.Last >= a.high: // where it ends is not proven here, and the next answer has a later high watermark
		err = fmt.Errorf("its first batch ends at %d, beyond the end of the log at %d", batch.Last, a.high)
	default:
		if why := a.misplaced(&batch, nil, c.position); why != "" {
			err = fmt.Errorf("its first batch cannot be where it is: %s", why)
		}
	}
	return batch, err
}

// fetchHead reads the beginning of an answer to a Fetch, up to the batches of the first partition, and what there is of
// those. size is the bytes that they take altogether.
func fetchHead(head []byte, version int16) (t kmsg.FetchResponseTopic, size int64, err error) {
	p := kmsg.NewFetchResponseTopicPartition()
	b := kbin.Reader{Src: head}
	flexible := version >= 12
	count := b.ArrayLen
	if flexible {
		count = b.CompactArrayLen
	}
	b.Int32() // throttled for
	if version >= 7 {
		b.Int16() // error
		b.Int32() // session
	}
	count() // topics, of which one was asked for
	switch {
	case version >= fetchByID:
		t.TopicID = b.Uuid()
	case flexible:
		t.Topic = b.CompactString()
	default:
		t.Topic = b.String()
	}
	count() // partitions
	p.Partition = b.Int32()
	p.ErrorCode = b.Int16()
	p.HighWatermark = b.Int64()
	p.LastStableOffset = b.Int64()
	if version >= 5 {
		b.Int64() // first offset
	}
	for n := count(); n > 0 && b.Ok(); n-- {
		x := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		x.ProducerID, x.FirstOffset = b.Int64(), b.Int64()
		if flexible {
			b.Src, _ = skipTags(b.Src)
		}
		p.AbortedTransactions = append(p.AbortedTransactions, x)
	}
	if version >= 11 {
		b.Int32() // the replica to ask
	}
	if flexible {
		size = int64(b.Uvarint()) - 1
	} else {
		size = int64(b.Int32())
	}
	if p.RecordBatches = b.Src; !b.Ok() {
		err = fmt.Errorf("the beginning of an answer to Fetch in version %d cannot be read", version)
	}
	t.Partitions = []kmsg.FetchResponseTopicPartition{p}
	return t, size, err
}
