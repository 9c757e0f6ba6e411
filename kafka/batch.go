package kafka

import (
	"math/bits"
	"time"

	"github.com/IBM/sarama"
)

// batchOverhead is the size of a record batch without its records: everything up to and including their count.
const batchOverhead = 61

// recordCost is the memory that a record takes beside its bytes: sarama.Record, the pointer to it, and its origin.
const recordCost = 128

// maxTimestamp is the latest time that sarama can encode, also relative to -1: it counts in nanoseconds on the way.
const maxTimestamp = int64(1<<63-1)/1e6 - 1

// outBatch is a batch of records for one partition, from its first record to its acknowledgement. Its records stand in
// one slab, so that a record costs no allocation.
type outBatch struct {
	part     *outPartition
	recs     []sarama.Record
	ptrs     []*sarama.Record
	origins  []int64 // of recs
	base     int64   // timestamp that the records' timestamps are relative to
	latest   int64   // largest timestamp
	size     int     // on the wire, uncompressed
	seq      int32   // of the first record, -1 until first sent
	again    bool    // has been sent before
	deadline time.Time
	wire     *sarama.RecordBatch // nil until first sent
}

func varintSize(v int64) int {
	return (bits.Len64(uint64(v<<1^v>>63)|1) + 6) / 7
}

func bytesSize(n int, null bool) int {
	if null {
		return 1
	}
	return varintSize(int64(n)) + n
}

// recordSize is the size of a record on the wire.
func recordSize(r *Outgoing, timestampDelta, offsetDelta int64) int {
	n := 1 + varintSize(timestampDelta) + varintSize(offsetDelta) +
		bytesSize(len(r.Key), r.Key == nil) + bytesSize(len(r.Value), r.Value == nil) + varintSize(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		n += bytesSize(len(h.Key), false) + bytesSize(len(h.Value), h.Value == nil)
	}
	return n + varintSize(int64(n))
}

// aloneSize is the size of a batch of this one record.
func aloneSize(r *Outgoing) int { return batchOverhead + recordSize(r, 0, 0) }

// begin makes b the batch that starts with a record of this timestamp.
func (b *outBatch) begin(p *outPartition, timestamp int64) {
	b.part = p
	b.size = batchOverhead
	b.base, b.latest = timestamp, timestamp
}

// cost is the memory that the batch takes.
func (b *outBatch) cost() int { return b.size + recordCost*len(b.recs) }

// sizeOf is what a record would add to the batch.
func (b *outBatch) sizeOf(r *Outgoing) int {
	return recordSize(r, r.Timestamp-b.base, int64(len(b.recs)))
}

// add appends a record of that size.
func (b *outBatch) add(r *Outgoing, size int) {
	n := len(b.recs)
	if n == cap(b.recs) {
		b.grow()
	}
	b.recs = b.recs[:n+1]
	rec := &b.recs[n]
	rec.TimestampDelta = time.Duration(r.Timestamp-b.base) * time.Millisecond
	rec.OffsetDelta = int64(n)
	rec.Key, rec.Value = r.Key, r.Value
	rec.Headers = nil
	if len(r.Headers) > 0 {
		rec.Headers = wireHeaders(r.Headers)
	}
	b.origins = append(b.origins, r.Origin)
	b.latest = max(b.latest, r.Timestamp)
	b.size += size
}

func (b *outBatch) grow() {
	bigger := make([]sarama.Record, len(b.recs), max(64, 2*cap(b.recs)))
	copy(bigger, b.recs)
	b.recs = bigger
}

func wireHeaders(headers []Header) []*sarama.RecordHeader {
	slab := make([]sarama.RecordHeader, len(headers))
	ptrs := make([]*sarama.RecordHeader, len(headers))
	for i := range headers {
		// The key must not become nil: on the wire that is no key, which brokers refuse.
		slab[i] = sarama.RecordHeader{Key: append([]byte{}, headers[i].Key...), Value: headers[i].Value}
		ptrs[i] = &slab[i]
	}
	return ptrs
}

// timestampOf is the timestamp of record i.
func (b *outBatch) timestampOf(i int) int64 {
	return b.base + int64(b.recs[i].TimestampDelta/time.Millisecond)
}

// split makes batches of at most half as many records. They share nothing with b that b's being sent could touch.
func (b *outBatch) split() []*outBatch {
	half := (len(b.recs) + 1) / 2
	var parts []*outBatch
	for from := 0; from < len(b.recs); from += half {
		part := &outBatch{seq: -1, deadline: b.deadline}
		part.begin(b.part, b.timestampOf(from))
		for i := from; i < min(from+half, len(b.recs)); i++ {
			rec, n := b.recs[i], len(part.recs)
			timestamp := b.timestampOf(i)
			part.size += b.sizeAt(i, timestamp-part.base, int64(n))
			rec.TimestampDelta = time.Duration(timestamp-part.base) * time.Millisecond
			rec.OffsetDelta = int64(n)
			if n == cap(part.recs) {
				part.grow()
			}
			part.recs = append(part.recs, rec)
			part.origins = append(part.origins, b.origins[i])
			part.latest = max(part.latest, timestamp)
		}
		parts = append(parts, part)
	}
	return parts
}

// sizeAt is the size of record i with other deltas.
func (b *outBatch) sizeAt(i int, timestampDelta, offsetDelta int64) int {
	rec := &b.recs[i]
	r := Outgoing{Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		r.Headers = append(r.Headers, Header{Key: string(h.Key), Value: h.Value})
	}
	return recordSize(&r, timestampDelta, offsetDelta)
}

// encoding is how batches are stamped and compressed.
type encoding struct {
	codec         sarama.CompressionCodec
	level         int
	transactional bool
}

// onWire returns the batch as sarama sends it. A repetition is the same value again, already compressed.
func (b *outBatch) onWire(e encoding, as producerID) *sarama.RecordBatch {
	if b.wire != nil {
		return b.wire
	}
	b.ptrs = b.ptrs[:0]
	for i := range b.recs {
		b.ptrs = append(b.ptrs, &b.recs[i])
	}
	b.wire = &sarama.RecordBatch{
		Version:              2,
		PartitionLeaderEpoch: -1,
		Codec:                e.codec,
		CompressionLevel:     e.level,
		LastOffsetDelta:      int32(len(b.recs) - 1),
		FirstTimestamp:       wireTime(b.base),
		MaxTimestamp:         wireTime(b.latest),
		ProducerID:           as.id,
		ProducerEpoch:        as.epoch,
		FirstSequence:        b.seq,
		Records:              b.ptrs,
		IsTransactional:      e.transactional,
	}
	return b.wire
}

// wireTime is the time that sarama encodes as this many milliseconds, and as -1 when there is no timestamp.
func wireTime(ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// reset makes the batch ready to be used again, and lets its records go.
func (b *outBatch) reset() {
	clear(b.recs)
	clear(b.ptrs)
	*b = outBatch{recs: b.recs[:0], ptrs: b.ptrs[:0], origins: b.origins[:0], seq: -1}
}
