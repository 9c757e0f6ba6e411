package kafka

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// leaderless hands a cursor to lead. f.mu is held.
func (f *Fetcher) leaderless(c *cursor) {
	if c.reader != nil {
		delete(c.reader.cursors, c)
		c.reader = nil
	}
	f.leading[c] = true
	wake(f.wake)
}

// retry looks for a partition's leader again, after a while. The errors that say that another broker leads are not told
// apart from others that pass: a broker that fails is often about to lose its partitions.
func (f *Fetcher) retry(c *cursor, err error) {
	c.failures++
	n := c.failures
	// The first retry comes sooner: most often a leader has moved, and metadata says already where to.
	wait := f.client.cfg.backoff()
	wait.First /= 2
	c.retryAt = time.Now().Add(wait.Wait(n - 1))
	if f.ctx.Err() != nil {
		return
	}
	if n&(n-1) == 0 { // the 1st, 2nd, 4th ... time
		level := zap.WarnLevel
		if n < 4 {
			level = zap.DebugLevel
		}
		f.log.Log(level, "cannot read, trying again", zap.Stringer("partition", c.TopicPartition),
			zap.Int64("position", c.position), zap.Int("tries", n), zap.Error(err))
	}
	f.resume(c)
}

// resume has a cursor's leader looked for, unless the cursor has ended.
func (f *Fetcher) resume(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursors[c.TopicPartition] == c {
		f.leaderless(c)
	}
}

// leave takes a cursor from its reader for a question to the cluster, which has the cursor until it is answered.
func (r *reader) leave(c *cursor, question func(*cursor)) {
	f := r.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.reader == r {
		delete(r.cursors, c)
		c.reader = nil
		f.tasks.Go(func() { question(c) })
	}
}

// lead gives cursors without a leader to the readers of their leaders.
func (f *Fetcher) lead() {
	for f.ctx.Err() == nil {
		due, wait := f.due(time.Now())
		if len(due) > 0 {
			f.assign(due)
			continue
		}
		f.sleep(f.wake, wait)
	}
}

// sleep waits for a wake-up, for the time given unless it is negative, or for the end.
func (f *Fetcher) sleep(wake chan struct{}, wait time.Duration) {
	var after <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-wake:
	case <-after:
	case <-f.ctx.Done():
	}
}

// due returns the cursors that it is time to find a leader for, or how long to wait for the first.
func (f *Fetcher) due(now time.Time) (due map[TopicPartition]bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	due, wait = map[TopicPartition]bool{}, -1
	for c := range f.leading {
		switch left := c.retryAt.Sub(now); {
		case left <= 0:
			due[c.TopicPartition] = true
		case wait < 0 || left < wait:
			wait = left
		}
	}
	return due, wait
}

func (f *Fetcher) assign(due map[TopicPartition]bool) {
	leaders, topics, err := f.leaders(due)
	for tp := range due {
		f.mu.Lock()
		c := f.cursors[tp]
		still := c != nil && f.leading[c]
		f.mu.Unlock()
		if !still {
			continue
		}
		at, ok := leaders[tp]
		if !ok {
			why := cmp.Or(topics[tp.Topic], err, error(sarama.ErrUnknownTopicOrPartition))
			if b := denied("read "+tp.String(), why); b != nil && !b.Missing() {
				f.fail(c, b)
			} else {
				f.retry(c, why)
			}
			continue
		}
		if !f.knows(c, at) {
			continue
		}
		c.leaderEpoch, c.replicas = at.epoch, at.replicas
		addr, ok := f.client.admin.addr(f.source(c, at))
		if !ok {
			f.retry(c, sarama.ErrLeaderNotAvailable)
			continue
		}
		f.mu.Lock()
		if f.leading[c] {
			f.hire(c, addr)
		}
		f.mu.Unlock()
	}
}

// sameAnswers is how often a topic must have another id before it is believed: a broker may have heard of neither the
// deletion nor the creation yet.
const sameAnswers = 3

// knows says whether the topic is the one that the cursor's position is in. A cursor that knows no topic takes this one.
func (f *Fetcher) knows(c *cursor, at leader) bool {
	if at.topicID == [16]byte{} || c.topicID == at.topicID {
		c.recreated = 0
		return true
	}
	is := sarama.Uuid(at.topicID).String()
	if c.topicID == [16]byte{} {
		c.topicID, c.topic = at.topicID, is
		c.delivered.TopicID = is
		return true
	}
	err := &TopicRecreatedError{TopicPartition: c.TopicPartition, Offset: c.position, Was: c.topic, Is: is}
	if c.recreated++; c.recreated < sameAnswers {
		f.retry(c, err)
	} else {
		f.fail(c, err)
	}
	return false
}

// source chooses the broker to read from: the leader, or replicas in turn while what the leader sends is damaged. Any replica
// answers consumers (KIP-392), and damage on a disk is on one of them.
func (f *Fetcher) source(c *cursor, at leader) int32 {
	c.elsewhere = false
	if c.bad == 0 || len(at.replicas) == 0 {
		return at.id
	}
	id := at.replicas[c.bad%len(at.replicas)]
	c.elsewhere = id != at.id
	return id
}

// handBack gives a partition back to its leader once the damage for which a replica was asked is passed.
func (r *reader) handBack(c *cursor) {
	f := r.fetcher
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.elsewhere && c.bad == 0 && c.reader == r {
		f.leaderless(c)
	}
}

// leader is what the cluster says of a partition.
type leader struct {
	id       int32
	epoch    int32
	replicas []int32 // in sync
	topicID  [16]byte
}

// leaders asks for the leaders of partitions, and returns why topics, or all of them, have none.
func (f *Fetcher) leaders(due map[TopicPartition]bool) (leaders map[TopicPartition]leader, topics map[string]error, err error) {
	names := map[string]bool{}
	for tp := range due {
		names[tp.Topic] = true
	}
	res, err := f.client.admin.metadata(f.ctx, slices.Sorted(maps.Keys(names))...)
	if err != nil {
		return nil, nil, err
	}
	leaders, topics = map[TopicPartition]leader{}, map[string]error{}
	for _, t := range res.Topics {
		if t.Err != sarama.ErrNoError {
			topics[t.Name] = ofTopic(t.Name, t.Err)
			continue
		}
		for _, p := range t.Partitions {
			if p.Version < 7 {
				p.LeaderEpoch = -1 // not sent before Kafka 2.1
			}
			if p.Leader >= 0 {
				leaders[TopicPartition{Topic: t.Name, Partition: p.ID}] = leader{id: p.Leader, epoch: p.LeaderEpoch, replicas: p.Isr, topicID: t.Uuid}
			} else {
				topics[t.Name] = sarama.ErrLeaderNotAvailable
			}
		}
	}
	return leaders, topics, nil
}

// topicIDOf is an id as bytes, zero when it is none.
func topicIDOf(text string) (id [16]byte) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(b) == len(id) {
		copy(id[:], b)
	}
	return id
}

// hire hands a cursor to the reader of a broker. f.mu is held.
func (f *Fetcher) hire(c *cursor, addr string) {
	if f.closed {
		return
	}
	r := f.readers[addr]
	if r == nil {
		r = &reader{fetcher: f, addr: addr, cursors: map[*cursor]bool{}, wake: make(chan struct{}, 1)}
		f.readers[addr] = r
		f.tasks.Go(r.run)
	}
	delete(f.leading, c)
	c.reader = r
	r.cursors[c] = true
	r.arrived()
}
