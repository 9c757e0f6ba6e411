package simkafka

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// txnState is the state of a transactional id at its coordinator.
type txnState int8

const (
	txnEmpty txnState = iota
	txnOngoing
	txnPreparing // decided; markers are being written
	txnComplete
)

// producer is a transactional id, or a producer without one.
type producer struct {
	id         string
	pid        int64
	epoch      int16
	state      txnState
	commit     bool // of preparing and complete
	partitions map[kafka.TopicPartition]bool
	groups     map[string]bool
	left       int // markers to write
	timeout    *time.Timer
}

// initProducer is InitProducerId. Without a producer given it takes the transactional id over from whoever holds it.
func (c *Cluster) initProducer(id string, pid int64, epoch int16) (*producer, int64, int16, error) {
	if id == "" {
		c.nextID++
		p := &producer{pid: c.nextID}
		return p, p.pid, 0, nil
	}
	p := c.producers[id]
	if p == nil {
		c.nextID++
		p = &producer{id: id, pid: c.nextID}
		p.clear()
		c.producers[id] = p
	}
	if pid >= 0 && (pid != p.pid || epoch != p.epoch) {
		return nil, 0, 0, errFenced
	}
	switch p.state {
	case txnPreparing:
		return nil, 0, 0, errConcurrent
	case txnOngoing:
		p.epoch++ // fences the one who has it open
		p.decide(c, false)
		return nil, 0, 0, errConcurrent
	}
	p.epoch++
	p.state = txnEmpty
	return p, p.pid, p.epoch, nil
}

func (p *producer) clear() {
	p.partitions, p.groups = map[kafka.TopicPartition]bool{}, map[string]bool{}
}

// enter is the check that every request of a transaction goes through; begin says that it may be the first.
func (p *producer) enter(c *Cluster, epoch int16, begin bool) error {
	switch {
	case epoch != p.epoch:
		return errFenced
	case p.state == txnPreparing:
		return errConcurrent
	case p.state == txnOngoing:
		return nil
	case !begin:
		return errInvalidState
	}
	p.state = txnOngoing
	p.clear()
	p.timeout = time.AfterFunc(c.cfg.TransactionTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p.state == txnOngoing && p.epoch == epoch {
			c.trace("transaction of %s times out", p.id)
			p.epoch++
			p.decide(c, false)
		}
	})
	return nil
}

// end is EndTxn.
func (p *producer) end(c *Cluster, epoch int16, commit bool) error {
	switch {
	case epoch != p.epoch:
		return errFenced
	case p.state == txnOngoing:
		p.decide(c, commit)
		return nil
	case p.state == txnPreparing && p.commit == commit:
		return errConcurrent
	case p.state == txnComplete && p.commit == commit:
		return nil // a repetition
	}
	return errInvalidState
}

// decide ends the transaction for good. The markers follow, each in its own time, and until the last one is written the
// id takes no new transaction.
func (p *producer) decide(c *Cluster, commit bool) {
	p.timeout.Stop()
	p.state, p.commit = txnPreparing, commit
	p.left = len(p.partitions) + len(p.groups)
	tps := slices.SortedFunc(maps.Keys(p.partitions), kafka.TopicPartition.Compare)
	for _, tp := range tps {
		p.marker(c, func() {
			if log := c.partition(tp); log != nil {
				log.end(p.pid, commit)
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.groups)) {
		p.marker(c, func() { c.group(name).endOffsets(p.pid, commit) })
	}
	if p.left == 0 {
		p.state = txnComplete
	}
}

func (p *producer) marker(c *Cluster, write func()) {
	delay := time.Duration(1 + c.rng.Int64N(int64(c.cfg.Markers)))
	if c.rng.IntN(20) == 0 {
		delay *= 20
	}
	time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		write()
		if p.left--; p.left == 0 {
			p.state = txnComplete
		}
	})
}

// produce is Produce of one partition. A transactional write is refused unless the partition is in the transaction that
// is open (KIP-890), so that nothing late begins one that nobody ends.
func (c *Cluster) produce(p *producer, epoch int16, tp kafka.TopicPartition, records []kafka.Outgoing) (end int64, err error) {
	log := c.partition(tp)
	if log == nil {
		return 0, errUnknownTopic
	}
	if err := c.trouble(OpProduce, tp); err != nil {
		return 0, err
	}
	pid := int64(-1)
	if p.id != "" {
		if err := p.enter(c, epoch, false); err != nil {
			return 0, err
		}
		if !p.partitions[tp] {
			return 0, errInvalidState
		}
		pid = p.pid
	}
	for i := range records {
		if c.cfg.Refuse != nil {
			if f := c.cfg.Refuse(&records[i]); f != Taken {
				return 0, f.of(tp, records[i].Origin)
			}
		}
	}
	for i := range records {
		r := &records[i]
		end = log.append(kafka.Record{Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: r.Headers}, pid) + 1
	}
	return end, nil
}

// OpenTransactions lists transactions that are not ended everywhere.
func (c *Cluster) OpenTransactions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var open []string
	for id, p := range c.producers {
		if p.state == txnOngoing || p.state == txnPreparing {
			open = append(open, fmt.Sprintf("transactional id %s", id))
		}
	}
	for _, t := range c.topics {
		for _, p := range t.partitions {
			if len(p.open) > 0 {
				open = append(open, fmt.Sprintf("%s: stable up to %d of %d", p.TopicPartition, p.stable(), p.next))
			}
		}
	}
	slices.Sort(open)
	return open
}
