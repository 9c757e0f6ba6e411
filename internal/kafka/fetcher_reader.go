package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/recordbatch"
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
	version int16            // of the last request
	mute    time.Time        // until when the broker answers nothing, because of a quota
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
		for _, c := range r.undecoded() {
			r.decode(c)
		}
		asked, wait := r.next()
		if len(asked) == 0 {
			f.sleep(r.wake, -1)
			continue
		}
		if quiet := time.Until(r.mute); quiet > 0 {
			f.sleep(r.wake, quiet) // a partition that comes meanwhile is in the next request
			continue
		}
		res, err := r.fetch(asked, wait)
		if f.ctx.Err() != nil {
			return
		}
		parts, err := r.sort(asked, res, err)
		if err == nil && res.ThrottleMillis > 0 {
			// A quota is used up (KIP-219): the answer is empty, and the broker does not read from the connection for a while.
			r.mute = time.Now().Add(time.Duration(res.ThrottleMillis) * time.Millisecond)
		}
		for _, c := range asked {
			switch p := parts[c.TopicPartition]; {
			case err != nil:
				r.take(c, nil, err, len(asked) == 1)
			case p != nil:
				r.take(c, p, nil, len(asked) == 1)
			case res.ThrottleMillis == 0:
				f.retry(c, sarama.ErrIncompleteResponse)
			}
		}
	}
}

// sort finds each partition's part of an answer.
func (r *reader) sort(asked []*cursor, res *kmsg.FetchResponse, err error) (map[TopicPartition]*kmsg.FetchResponseTopicPartition, error) {
	if err != nil {
		return nil, err
	}
	names := make(map[[16]byte]string, len(asked))
	for _, c := range asked {
		names[c.topicID] = c.Topic
	}
	parts := make(map[TopicPartition]*kmsg.FetchResponseTopicPartition, len(asked))
	for i := range res.Topics {
		t := &res.Topics[i]
		name := t.Topic
		if r.version >= fetchByID {
			name = names[t.TopicID]
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			parts[TopicPartition{Topic: name, Partition: p.Partition}] = p
		}
	}
	return parts, nil
}

// undecoded returns the partitions with an answer that there is room to decode more of.
func (r *reader) undecoded() (cs []*cursor) {
	r.fetcher.mu.Lock()
	defer r.fetcher.mu.Unlock()
	for c := range r.cursors {
		if c.waiting && r.fetcher.readable(c) {
			cs = append(cs, c)
		}
	}
	return cs
}

// next chooses the partitions of the next request and how long the broker may keep it.
//
// A partition that must be alone is asked for in every second request, so that it does not hold the others up. It is
// asked for alone when it was answered nothing although there is more: the answer's size may have been used up by
// others (KIP-74 only promises a first batch to the first partition). So is each partition of an answer that was too large.
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
		case !f.readable(c), c.waiting:
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

// Fetch by topic ids came with version 13; 17 is the last before batches may come without their bytes.
const (
	fetchVersion = 17
	fetchByID    = 13
)

func (r *reader) fetch(asked []*cursor, wait time.Duration) (*kmsg.FetchResponse, error) {
	f := r.fetcher
	cfg := f.client.cfg
	ctx, cancel := context.WithTimeout(f.ctx, cfg.RequestTimeout)
	defer cancel()
	for {
		conn, err := f.links.raw(ctx, r.addr)
		if err != nil {
			return nil, err
		}
		most := int16(fetchVersion)
		for _, c := range asked {
			if c.topicID == [16]byte{} {
				most = fetchByID - 1
			}
		}
		req := kmsg.NewPtrFetchRequest()
		if err := conn.pick(req, most); err != nil {
			return nil, err
		}
		r.version = req.Version
		r.fill(req, asked, wait)
		answer, err := conn.do(ctx, req)
		if errors.Is(err, errRetired) {
			continue
		}
		if err != nil {
			return nil, err
		}
		res := answer.(*kmsg.FetchResponse)
		return res, codeError(res.ErrorCode)
	}
}

func (r *reader) fill(req *kmsg.FetchRequest, asked []*cursor, wait time.Duration) {
	f := r.fetcher
	cfg := f.client.cfg.Fetch
	f.mu.Lock()
	// No more than there is room for. What is needed comes all the same: the first batch is sent whole.
	room := int(min(max(f.budget-f.held, smallPiece), 1<<30))
	f.mu.Unlock()
	req.MaxWaitMillis = int32(wait.Milliseconds())
	req.MinBytes = int32(cfg.MinBytes)
	req.MaxBytes = int32(min(cfg.MaxBytes, room))
	req.IsolationLevel = 1 // read committed
	req.SessionEpoch = -1  // no fetch session (KIP-227): partitions leave and enter the request all the time
	topics := map[string]int{}
	for _, c := range asked {
		i, ok := topics[c.Topic]
		if !ok {
			i = len(req.Topics)
			topics[c.Topic] = i
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = c.Topic, c.topicID
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = c.Partition, c.position, int32(min(cfg.MaxPartitionBytes, room))
		p.CurrentLeaderEpoch, p.LastFetchedEpoch = c.leaderEpoch, c.epoch
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
}

// take deals with the answer for one partition, or with the error of the whole request.
func (r *reader) take(c *cursor, p *kmsg.FetchResponseTopicPartition, err error, single bool) {
	f := r.fetcher
	if err == nil {
		err = codeError(p.ErrorCode)
	}
	var large *answerSizeError
	switch {
	case err == nil && c.epoch >= 0 && p.DivergingEpoch.EndOffset >= 0:
		f.fail(c, &TruncatedError{TopicPartition: c.TopicPartition, Offset: c.position, LeaderEpoch: c.epoch, End: p.DivergingEpoch.EndOffset, EndEpoch: p.DivergingEpoch.Epoch})
	case err == nil:
		r.accept(c, p, single)
	case errors.As(err, &large) && large.size > large.most:
		r.outsized(c, large, single)
	case err == sarama.ErrInvalidMessage:
		r.damaged(c, err, c.position+1, nil)
	case err == sarama.ErrOffsetOutOfRange && c.elsewhere:
		f.retry(c, err) // a replica may be behind
	case err == sarama.ErrOffsetOutOfRange:
		r.leave(c, f.outOfRange)
	case err == sarama.ErrTopicAuthorizationFailed, connectClass(err) == Fatal, errors.Is(err, sarama.ErrUnsupportedVersion):
		f.fail(c, final("read "+c.String(), ofPartition(c.TopicPartition, err)))
	default:
		f.retry(c, err)
	}
}

// damagedTries is how often a damaged batch is asked for before it is given up, and each replica at least twice.
const damagedTries = 8

// damaged asks again for a batch that makes no sense, later each time and in turn of every replica, because it may have
// been damaged on its way only, or on one disk. When it stays so the log itself is damaged.
func (r *reader) damaged(c *cursor, err error, next int64, batch []byte) {
	f := r.fetcher
	f.drop(c)
	c.bad++
	if c.bad < max(damagedTries, 2*len(c.replicas)) {
		f.log.Warn("a batch that a broker sent is damaged, asking again", zap.Stringer("partition", c.TopicPartition),
			zap.Int64("position", c.position), zap.String("broker", r.addr), zap.Int("times", c.bad), zap.Error(err))
		f.retry(c, err)
		return
	}
	f.fail(c, &CorruptBatchError{TopicPartition: c.TopicPartition, Offset: c.position, Next: max(next, c.position+1), Bytes: batch, Err: err})
}

// drop forgets an answer that waits.
func (f *Fetcher) drop(c *cursor) {
	c.answer = nil
	f.mu.Lock()
	f.give(c, c.kept)
	c.waiting, c.kept = false, 0
	f.mu.Unlock()
}

// accept takes an answer over and decodes it as far as there is room.
func (r *reader) accept(c *cursor, p *kmsg.FetchResponseTopicPartition, single bool) {
	a := newFetched(p, r.fetcher.limits)
	if c.edge == c.position {
		a.end = c.edge
	}
	before := c.position
	c.answer = a
	r.fetcher.mu.Lock()
	c.waiting = true
	r.fetcher.mu.Unlock()
	r.decode(c)
	if c.answer == nil && a.reader == nil {
		return // it was damaged
	}
	c.failures = 0
	if c.elsewhere && c.position == before {
		c.bad++ // the replica has not got there yet
		r.fetcher.retry(c, sarama.ErrReplicaNotAvailable)
		return
	}
	stuck := c.answer == nil && c.position == before && c.position < a.stable
	switch {
	case !stuck:
		c.alone = false
	case !single:
		c.alone = true
	case a.cut:
		// Alone, the first batch always comes whole, so its size is what is damaged.
		r.damaged(c, recordbatch.ErrCut, c.position+1, nil)
	case !r.mayLack(c, a.stable):
	default:
		// Alone and not cut, and still nothing: compaction has left no batch up to the end. The position is in the gap, so
		// the next offset is no record either.
		r.deliver(c, Batch{Vanished: true, TopicPartition: c.TopicPartition, Position: c.position + 1, LeaderEpoch: c.epoch, TopicID: c.topic,
			HighWatermark: a.high, LastStableOffset: a.stable})
	}
}

// decode delivers what waits of an answer as far as there is room.
func (r *reader) decode(c *cursor) {
	f := r.fetcher
	a := c.answer
	for {
		room := f.room(c)
		if room == 0 {
			break
		}
		b := Batch{TopicPartition: c.TopicPartition, Position: c.position, LeaderEpoch: c.epoch, TopicID: c.topic}
		done, err := a.next(&b, room, func(size int64) bool { return f.fits(c, size) })
		if !a.begun && a.end >= 0 {
			c.edge = a.end
		}
		if err != nil {
			a.reader.Close()
			a.reader = nil
			r.damaged(c, err, a.after(err, c.position), a.damaged())
			return
		}
		moved := b.Position > c.position
		if moved || done {
			r.deliver(c, b)
		}
		if done {
			a.reader.Close()
			f.drop(c)
			r.handBack(c)
			return
		}
		if !moved {
			break // the next record finds no room
		}
	}
	kept := a.kept()
	f.mu.Lock()
	if c.reader == r {
		f.held += kept - c.kept
		c.kept = kept
	}
	f.mu.Unlock()
}

// damaged are the bytes of the batch that cannot be decoded: all that is left of it.
func (a *fetched) damaged() []byte {
	if a.begun {
		return a.batch.Bytes()
	}
	_, rest, _ := recordbatch.Next(a.raw)
	return a.raw[:len(a.raw)-len(rest)]
}

// after is where reading may be continued after a batch that is damaged: at the next one, if it is whole, or else where the
// damaged one says that it ends.
func (a *fetched) after(err error, position int64) int64 {
	var corrupt *recordbatch.CorruptError
	if !errors.As(err, &corrupt) {
		return position + 1
	}
	raw := a.raw
	if !a.begun {
		_, raw, _ = recordbatch.Next(raw)
	}
	if next, _, err := recordbatch.Next(raw); err == nil && next.Magic == 2 && next.Base > position {
		return next.Base
	}
	if corrupt.Last >= position && corrupt.Last < a.high {
		return corrupt.Last + 1
	}
	return position + 1
}

// deliver moves the cursor on and delivers what there is to deliver.
func (r *reader) deliver(c *cursor, b Batch) {
	f := r.fetcher
	if b.Position > c.position {
		c.bad = 0
	}
	c.position, c.epoch = b.Position, b.LeaderEpoch
	if len(b.Records) == 0 && !c.fresh && b.Position == c.delivered.Position &&
		b.HighWatermark == c.delivered.HighWatermark && b.LastStableOffset == c.delivered.LastStableOffset {
		return
	}
	c.fresh = false
	c.delivered = b
	c.delivered.Records, c.delivered.Bytes = nil, 0
	if b.Bytes > 0 {
		f.mu.Lock()
		if f.cursors[c.TopicPartition] == c {
			c.unreleased += b.Bytes // before it is delivered, because it may be released in that very call
			f.held += int64(b.Bytes)
		}
		f.mu.Unlock()
	}
	c.hand(b)
}
