package simkafka

import (
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/kafka"
)

// partition is a log. Its end is the high watermark, for there is one replica.
type partition struct {
	kafka.TopicPartition
	start   int64
	next    int64
	entries []entry         // by offset; compaction leaves gaps
	erased  []entry         // what compaction took
	open    map[int64]*span // by producer id
	epochs  []epoch         // of its leaders, in order; the last one is the present one
	changed chan struct{}   // closed at the next change
}

// epoch is a leader's time: what it wrote lies from start on, up to the next epoch.
type epoch struct {
	number int32
	start  int64
}

// entry is a record, or the marker that ends a transaction.
type entry struct {
	record kafka.Record
	epoch  int32
	span   *span // the transaction; nil outside one
	marker bool
}

// span is a transaction as one partition knows it.
type span struct {
	first   int64
	decided bool // its marker is written here
	commit  bool
}

func newPartition(tp kafka.TopicPartition) *partition {
	return &partition{TopicPartition: tp, open: map[int64]*span{}, epochs: []epoch{{}}, changed: make(chan struct{})}
}

func (p *partition) touch() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// append writes a record; producer is that of the transaction, or negative.
func (p *partition) append(r kafka.Record, producer int64) int64 {
	e := entry{record: r, epoch: p.leaderEpoch()}
	e.record.Offset = p.next
	if producer >= 0 {
		if p.open[producer] == nil {
			p.open[producer] = &span{first: p.next}
		}
		e.span = p.open[producer]
	}
	if r.Excess != nil { // of as many records as it says, however it is to look to readers
		x := *r.Excess
		x.Last = p.next + int64(max(1, x.Records)) - 1
		e.record.Excess = &x
	}
	p.entries = append(p.entries, e)
	p.next = e.record.Next()
	p.touch()
	return e.record.Offset
}

// end writes a transaction's marker. A partition that was added to a transaction and not written to gets one too.
func (p *partition) end(producer int64, commit bool) {
	s := p.open[producer]
	if s == nil {
		s = &span{first: p.next}
	}
	delete(p.open, producer)
	s.decided, s.commit = true, commit
	p.entries = append(p.entries, entry{record: kafka.Record{Offset: p.next}, epoch: p.leaderEpoch(), span: s, marker: true})
	p.next++
	p.touch()
}

// stable is the last stable offset: the first of a transaction that is open, or the end.
func (p *partition) stable() int64 {
	lso := p.next
	for _, s := range p.open {
		lso = min(lso, s.first)
	}
	return lso
}

// leaderEpoch is the present one.
func (p *partition) leaderEpoch() int32 { return p.epochs[len(p.epochs)-1].number }

// elect makes a leader of a new epoch.
func (p *partition) elect() {
	number := p.leaderEpoch() + 1 // what is cut off has used its number up
	p.epochs = slices.DeleteFunc(p.epochs, func(e epoch) bool { return e.start >= p.next && e.number > 0 })
	p.epochs = append(p.epochs, epoch{number, p.next})
	p.touch()
}

// epochEnd is OffsetForLeaderEpoch.
func (p *partition) epochEnd(asked int32) kafka.EpochEnd {
	if asked > p.leaderEpoch() {
		return kafka.EpochEnd{LeaderEpoch: -1, Offset: -1}
	}
	found := kafka.EpochEnd{LeaderEpoch: asked, Offset: p.next}
	for i, e := range p.epochs {
		if e.number > asked {
			found.Offset = e.start
			if i > 0 {
				found.LeaderEpoch = p.epochs[i-1].number
			}
			break
		}
	}
	return found
}

// read returns committed records of one leader epoch from an offset on, at most n offsets of them, the position after
// and the epoch of the entry before it; known is the epoch before from.
func (p *partition) read(from int64, n int, known int32, dirty bool) (records []kafka.Record, position int64, leader int32) {
	stable := p.stable()
	if dirty {
		stable = p.next
	}
	at, _ := slices.BinarySearchFunc(p.entries, from, func(e entry, o int64) int { return int(e.record.Offset - o) })
	position, leader = from, known
	for first := at; at < len(p.entries) && n > 0; at++ {
		e := &p.entries[at]
		if e.record.Offset >= stable || at > first && e.epoch != leader {
			return records, position, leader
		}
		position, leader = e.record.Next(), e.epoch
		n--
		if !e.marker && (dirty || e.span == nil || e.span.commit) {
			records = append(records, e.record)
		}
	}
	if at == len(p.entries) {
		position = max(position, stable) // compaction may have taken the last ones
	}
	return records, position, leader
}

// compact keeps the last committed record of each key below the last stable offset, and everything from there on. It
// never takes the last entry, as Kafka never compacts the active segment.
func (p *partition) compact() {
	stable := p.stable()
	last := map[string]int64{}
	for _, e := range p.entries {
		if e.record.Offset < stable && !e.marker && (e.span == nil || e.span.commit) {
			last[string(e.record.Key)] = e.record.Offset
		}
	}
	var kept []entry
	for i, e := range p.entries {
		visible := !e.marker && (e.span == nil || e.span.commit)
		if e.record.Offset >= stable || i == len(p.entries)-1 || visible && last[string(e.record.Key)] == e.record.Offset {
			kept = append(kept, e)
		} else {
			p.erased = append(p.erased, e)
		}
	}
	p.entries = kept
}

// Produce writes records outside of any transaction and returns the offset after them.
func (c *Cluster) Produce(tp kafka.TopicPartition, records ...kafka.Record) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	for _, r := range records {
		p.append(r, -1)
	}
	return p.next
}

// ProduceTransaction writes records in a transaction of their own and ends it: markers, and with commit false records
// that nobody may see.
func (c *Cluster) ProduceTransaction(tp kafka.TopicPartition, commit bool, records ...kafka.Record) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	c.nextID++
	for _, r := range records {
		p.append(r, c.nextID)
	}
	p.end(c.nextID, commit)
	return p.next
}

// LeaveOpen writes records in a transaction that stays open until the function that it returns is called.
func (c *Cluster) LeaveOpen(tp kafka.TopicPartition, records ...kafka.Record) (end func(commit bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	c.nextID++
	id := c.nextID
	for _, r := range records {
		p.append(r, id)
	}
	return func(commit bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		p.end(id, commit)
	}
}

func (c *Cluster) mustPartition(tp kafka.TopicPartition) *partition {
	p := c.partition(tp)
	if p == nil {
		panic(fmt.Sprintf("simkafka: no partition %s", tp))
	}
	return p
}

// Committed returns what a read-committed reader sees of a partition.
func (c *Cluster) Committed(tp kafka.TopicPartition) []kafka.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	var records []kafka.Record
	for position, leader := p.start, int32(-1); ; {
		some, next, epoch := p.read(position, int(p.next-p.start)+1, leader, false)
		if next == position {
			return records
		}
		records, position, leader = append(records, some...), next, epoch
	}
}

// History returns the committed records below an offset, also those that compaction has taken, in order.
func (c *Cluster) History(tp kafka.TopicPartition, before int64) []kafka.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	all := append(slices.Clone(p.erased), p.entries...)
	slices.SortFunc(all, func(a, b entry) int { return int(a.record.Offset - b.record.Offset) })
	var records []kafka.Record
	for _, e := range all {
		if e.record.Offset < before && !e.marker && (e.span == nil || e.span.decided && e.span.commit) {
			records = append(records, e.record)
		}
	}
	return records
}

// Bounds returns the log start, the last stable offset and the high watermark of a partition.
func (c *Cluster) Bounds(tp kafka.TopicPartition) (start, stable, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	return p.start, p.stable(), p.next
}

// Compact compacts every partition of a topic.
func (c *Cluster) Compact(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.topics[name].partitions {
		p.compact()
	}
}

// Forget takes the tombstones out of a topic, as compaction does delete.retention.ms after it has taken out what they
// deleted. The last entry stays.
func (c *Cluster) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.topics[name].partitions {
		last := p.next - 1
		p.entries = slices.DeleteFunc(p.entries, func(e entry) bool {
			gone := e.record.Value == nil && !e.marker && e.record.Offset != last
			if gone {
				p.erased = append(p.erased, e)
			}
			return gone
		})
	}
}

// DeleteRecords moves the start of a partition, as retention and DeleteRecords do.
func (c *Cluster) DeleteRecords(tp kafka.TopicPartition, before int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	p.start = max(p.start, min(before, p.next))
	gone := func(e entry) bool { return e.record.Offset < p.start }
	p.entries, p.erased = slices.DeleteFunc(p.entries, gone), slices.DeleteFunc(p.erased, gone)
	p.touch()
}

// Elect makes another broker the leader of a partition, which has everything.
func (c *Cluster) Elect(tp kafka.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mustPartition(tp).elect()
}

// Replace is LoseEnd and what the new leader writes then, in one moment for a reader.
func (c *Cluster) Replace(tp kafka.TopicPartition, from int64, records ...kafka.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mustPartition(tp)
	p.cut(from)
	for _, r := range records {
		p.append(r, -1)
	}
}

// LoseEnd takes the end of a partition away and makes another broker its leader, as an unclean election does.
func (c *Cluster) LoseEnd(tp kafka.TopicPartition, from int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mustPartition(tp).cut(from)
}

// cut takes the end away.
func (p *partition) cut(from int64) {
	p.next = min(p.next, from)
	p.entries = slices.DeleteFunc(p.entries, func(e entry) bool { return e.record.Offset >= p.next })
	p.elect()
}
