package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// reader reads the partitions that one broker leads. It stays for as long as its Fetcher, because partitions come and
// go with restores and rebalances, and a connection is dear to open.
type reader struct {
	fetcher *Fetcher
	addr    string
	wake    chan struct{}
	cursors map[*cursor]bool // under Fetcher.mu
	came    time.Time        // when a cursor came last, or became readable; under Fetcher.mu
	single  bool             // the last request was for one partition alone
}

// A long poll under way cannot be called back, short of cutting the connection, so a partition that is started,
// resumed or released meanwhile waits until it ends. Therefore polls are short while a partition is left out, and for a
// while after one came: they come in crowds, with a rebalance or at the end of a restore. Besides, whoever starts a
// partition waits for the first answer, which a broker that has nothing new would keep back.
const (
	shortWait = 20 * time.Millisecond
	calmAfter = time.Second
)

// arrived says that there is one more partition to be asked for. Fetcher.mu is held.
func (r *reader) arrived() {
	r.came = time.Now()
	wake(r.wake)
}

func (r *reader) run() {
	f := r.fetcher
	for f.ctx.Err() == nil {
		asked, wait := r.next()
		if len(asked) == 0 {
			f.sleep(r.wake, -1)
			continue
		}
		res, err := r.fetch(asked, wait)
		if f.ctx.Err() != nil {
			return
		}
		for _, c := range asked {
			var block *sarama.FetchResponseBlock
			if err == nil {
				if block = res.GetBlock(c.Topic, c.Partition); block == nil {
					f.retry(c, sarama.ErrIncompleteResponse)
					continue
				}
			}
			r.take(c, block, err, len(asked) == 1)
		}
	}
}

// next chooses the partitions of the next request and how long the broker may keep it.
//
// A partition that must be alone is asked for in every second request, so that it does not hold the others up. It is
// asked for alone when it was answered nothing although there is more: the answer's size may have been used up by
// others (KIP-74 only promises a first batch to the first partition), and one batch that sarama cannot decode spoils
// the answers of all partitions in the response.
func (r *reader) next() (asked []*cursor, wait time.Duration) {
	f := r.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = f.client.cfg.Fetch.MaxWait
	if time.Since(r.came) < calmAfter {
		wait = min(wait, shortWait)
	}
	var alone *cursor
	for c := range r.cursors {
		switch {
		case !f.readable(c):
			wait = min(wait, shortWait)
		case c.alone:
			alone = c
		default:
			asked = append(asked, c)
		}
	}
	r.single = alone != nil && (!r.single || len(asked) == 0)
	if r.single {
		return []*cursor{alone}, 0
	}
	if alone != nil {
		wait = 0
	}
	return asked, wait
}

// fetchVersion is the last version that names topics; later ones use ids, which sarama does not encode.
const fetchVersion = 12

func (r *reader) fetch(asked []*cursor, wait time.Duration) (*sarama.FetchResponse, error) {
	f := r.fetcher
	cfg := f.client.cfg
	req := &sarama.FetchRequest{
		Version:      fetchVersion,
		MaxWaitTime:  int32(wait.Milliseconds()),
		MinBytes:     int32(cfg.Fetch.MinBytes),
		MaxBytes:     int32(cfg.Fetch.MaxBytes),
		Isolation:    sarama.ReadCommitted,
		SessionEpoch: -1, // no fetch session (KIP-227): partitions leave and enter the request all the time
	}
	for _, c := range asked {
		req.AddBlock(c.Topic, c.Partition, c.position, int32(cfg.Fetch.MaxPartitionBytes), -1)
	}
	ctx, cancel := context.WithTimeout(f.ctx, cfg.RequestTimeout)
	defer cancel()
	k, err := f.links.at(ctx, r.addr)
	if err != nil {
		return nil, err
	}
	res, err := ask(ctx, f.links, k, func(b *sarama.Broker) (*sarama.FetchResponse, error) { return b.Fetch(req) })
	if err == nil && res.ErrorCode != 0 {
		err = sarama.KError(res.ErrorCode)
	}
	return res, err
}

// take deals with the answer for one partition: a block, or the error of the whole request.
func (r *reader) take(c *cursor, block *sarama.FetchResponseBlock, err error, single bool) {
	f := r.fetcher
	if err == nil && block.Err != sarama.ErrNoError {
		err = block.Err
	}
	switch {
	case err == nil:
		c.failures = 0
		r.accept(c, block, single)
	case undecodable(err), err == sarama.ErrInvalidMessage:
		r.damaged(c, err, single)
	case err == sarama.ErrOffsetOutOfRange:
		f.mu.Lock()
		if c.reader == r {
			delete(r.cursors, c)
			c.reader = nil
			f.tasks.Go(func() { f.outOfRange(c) })
		}
		f.mu.Unlock()
	case err == sarama.ErrTopicAuthorizationFailed, err == sarama.ErrUnsupportedCompressionType,
		err == sarama.ErrUnsupportedVersion, connectClass(err) == Fatal:
		f.fail(c, &Error{Fatal, "read " + c.String(), err})
	default:
		f.retry(c, err)
	}
}

// damaged asks again for a partition that could not be decoded, alone, to see whether it is this one, and once more,
// because it may have been damaged on its way only. Then it is given up: every later answer would begin with the same
// batch, and to pass it over would lose records without a word.
func (r *reader) damaged(c *cursor, err error, single bool) {
	c.alone = true
	if !single {
		return
	}
	if c.bad++; c.bad < 2 {
		r.fetcher.log.Warn("cannot decode what a broker sent", zap.Stringer("partition", c.TopicPartition),
			zap.Int64("position", c.position), zap.String("broker", r.addr), zap.Error(err))
		return
	}
	r.fetcher.fail(c, &Error{Fatal, fmt.Sprintf("decode %s from offset %d on", c.TopicPartition, c.position), err})
}

// accept moves the cursor on and delivers what there is to deliver.
func (r *reader) accept(c *cursor, block *sarama.FetchResponseBlock, single bool) {
	b, cut, err := unpack(c.TopicPartition, c.position, block)
	if err != nil {
		r.fetcher.fail(c, &Error{Fatal, "read " + c.String(), err})
		return
	}
	stuck := b.Position == c.position && c.position < b.LastStableOffset
	switch {
	case !stuck:
		c.alone = false
		c.bad = 0
	case !single:
		c.alone = true
	case cut:
		// Alone, the first batch always comes whole, so what sarama takes for a cut batch is one that does not end
		// where its records do.
		r.damaged(c, sarama.ErrInsufficientData, single)
	default:
		// Alone and not cut, and still nothing: either compaction has left no batch up to the end, or only emptied ones,
		// whose headers stay to keep their producers' sequence numbers, and sarama says not where they end. The
		// position is in a gap or inside of one of them, so the next offset is no record either.
		b.Position++
		c.bad = 0
	}
	c.position = b.Position
	if len(b.Records) == 0 && !c.fresh && b.Position == c.told.Position &&
		b.HighWatermark == c.told.HighWatermark && b.LastStableOffset == c.told.LastStableOffset {
		return
	}
	c.fresh = false
	c.told = b
	c.told.Records, c.told.Bytes = nil, 0
	if b.Bytes > 0 {
		f := r.fetcher
		f.mu.Lock()
		c.unreleased += b.Bytes // before it is delivered, because it may be released in that very call
		f.mu.Unlock()
	}
	c.hand(b)
}
