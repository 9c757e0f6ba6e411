package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/IBM/sarama"
)

// batchOverhead is the size of a record batch without its records: everything up to and including their count.
const batchOverhead = 61

// recordCost is the memory that a record takes beside its bytes: outRecord and its origin, in slabs that are not full.
const recordCost = 128

// maxTimestamp is the latest time that is taken. Later ones are mistakes of the unit: nanoseconds for milliseconds.
const maxTimestamp = int64(1<<63-1)/1e6 - 1

// outRecord is a record of a batch.
type outRecord struct {
	delta      int64 // of its timestamp to the batch's base
	key, value []byte
	headers    []Header
}

// outBatch is a batch of records for one partition, from its first record to its acknowledgement. Its records stand in
// one slab, so that a record costs no allocation.
type outBatch struct {
	part     *outPartition
	recs     []outRecord
	origins  []int64 // of recs
	base     int64   // timestamp that the records' timestamps are relative to
	latest   int64   // largest timestamp
	size     int     // on the wire, uncompressed
	seq      int32   // of the first record, -1 until first sent
	resent   bool    // it has been sent before
	deadline time.Time
	wire     []byte // encoded and compressed, empty until first sent; kept for the next batch
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
	n := bodySize(r, timestampDelta, offsetDelta)
	return n + varintSize(int64(n))
}

// bodySize is recordSize without the length before it.
func bodySize(r *Outgoing, timestampDelta, offsetDelta int64) int {
	n := 1 + varintSize(timestampDelta) + varintSize(offsetDelta) +
		bytesSize(len(r.Key), r.Key == nil) + bytesSize(len(r.Value), r.Value == nil) + varintSize(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		n += bytesSize(len(h.Key), false) + bytesSize(len(h.Value), h.Value == nil)
	}
	return n
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
	b.recs[n] = outRecord{r.Timestamp - b.base, r.Key, r.Value, r.Headers}
	b.origins = append(b.origins, r.Origin)
	b.latest = max(b.latest, r.Timestamp)
	b.size += size
}

func (b *outBatch) grow() {
	bigger := make([]outRecord, len(b.recs), max(64, 2*cap(b.recs)))
	copy(bigger, b.recs)
	b.recs = bigger
}

// timestampOf is the timestamp of record i.
func (b *outBatch) timestampOf(i int) int64 { return b.base + b.recs[i].delta }

// split makes batches of at most half as many records. They share nothing with b that b's being sent could touch.
func (b *outBatch) split() []*outBatch {
	half := (len(b.recs) + 1) / 2
	var parts []*outBatch
	for from := 0; from < len(b.recs); from += half {
		part := &outBatch{seq: -1, deadline: b.deadline}
		part.begin(b.part, b.timestampOf(from))
		for i := from; i < min(from+half, len(b.recs)); i++ {
			rec, n := &b.recs[i], len(part.recs)
			r := Outgoing{Timestamp: b.timestampOf(i), Key: rec.key, Value: rec.value, Headers: rec.headers}
			part.size += recordSize(&r, r.Timestamp-part.base, int64(n))
			if n == cap(part.recs) {
				part.grow()
			}
			part.recs = append(part.recs, outRecord{r.Timestamp - part.base, r.Key, r.Value, r.Headers})
			part.origins = append(part.origins, b.origins[i])
			part.latest = max(part.latest, r.Timestamp)
		}
		parts = append(parts, part)
	}
	return parts
}

// encoding is how batches are stamped and compressed.
type encoding struct {
	codec         sarama.CompressionCodec
	level         int
	transactional bool
}

// onWire returns the batch as it is sent (the record batch of magic 2, KIP-98). A repetition is the same bytes again. The
// slice belongs to the batch.
func (b *outBatch) onWire(e encoding, as producerID) ([]byte, error) {
	if len(b.wire) > 0 {
		return b.wire, nil
	}
	if cap(b.wire) < b.size {
		b.wire = make([]byte, 0, b.size)
	}
	const head = batchOverhead
	buf := b.wire[:head]
	for i := range b.recs {
		buf = b.appendRecord(buf, i)
	}
	if e.codec != sarama.CompressionNone {
		packed, err := compress(e, buf[head:])
		if err != nil {
			return nil, err
		}
		buf = append(buf[:head], packed...)
	}
	attributes := uint16(e.codec)
	if e.transactional {
		attributes |= 1 << 4
	}
	be := binary.BigEndian
	be.PutUint64(buf[0:], 0) // the broker sets the offset
	be.PutUint32(buf[8:], uint32(len(buf)-12))
	be.PutUint32(buf[12:], 1<<32-1) // the leader's epoch is not known
	buf[16] = 2
	be.PutUint16(buf[21:], attributes)
	be.PutUint32(buf[23:], uint32(len(b.recs)-1))
	be.PutUint64(buf[27:], uint64(b.base))
	be.PutUint64(buf[35:], uint64(b.latest))
	be.PutUint64(buf[43:], uint64(as.id))
	be.PutUint16(buf[51:], uint16(as.epoch))
	be.PutUint32(buf[53:], uint32(b.seq))
	be.PutUint32(buf[57:], uint32(len(b.recs)))
	be.PutUint32(buf[17:], crc32.Checksum(buf[21:], castagnoli))
	b.wire = buf
	return buf, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends record i.
func (b *outBatch) appendRecord(buf []byte, i int) []byte {
	rec := &b.recs[i]
	r := Outgoing{Key: rec.key, Value: rec.value, Headers: rec.headers}
	buf = binary.AppendVarint(buf, int64(bodySize(&r, rec.delta, int64(i))))
	buf = append(buf, 0) // attributes
	buf = binary.AppendVarint(buf, rec.delta)
	buf = binary.AppendVarint(buf, int64(i))
	buf = appendBytes(buf, rec.key)
	buf = appendBytes(buf, rec.value)
	buf = binary.AppendVarint(buf, int64(len(rec.headers)))
	for h := range rec.headers {
		buf = binary.AppendVarint(buf, int64(len(rec.headers[h].Key)))
		buf = append(buf, rec.headers[h].Key...)
		buf = appendBytes(buf, rec.headers[h].Value)
	}
	return buf
}

func appendBytes(buf, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(buf, -1)
	}
	return append(binary.AppendVarint(buf, int64(len(v))), v...)
}

// reset makes the batch ready to be used again, and lets its records go.
func (b *outBatch) reset() {
	clear(b.recs)
	*b = outBatch{recs: b.recs[:0], origins: b.origins[:0], wire: b.wire[:0], seq: -1}
}
