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

// recordCost is the memory that a record takes beside its bytes: its origin, in a slice that is not full.
const recordCost = 16

// maxTimestamp is the latest time that is taken. Later ones are mistakes of the unit: nanoseconds for milliseconds.
const maxTimestamp = int64(1<<63-1)/1e6 - 1

// outBatch is a batch of records for one partition, from its first record to its acknowledgement. A record is encoded when it is
// added, while its bytes are in the processor's cache, and nothing of it is kept for the collector to look at.
type outBatch struct {
	part     *outPartition
	records  []byte  // room for the batch's head, and the records as they are on the wire, uncompressed
	origins  []int64 // of the records
	base     int64   // timestamp that the records' timestamps are relative to
	latest   int64   // largest timestamp
	seq      int32   // of the first record, -1 until first sent
	resent   bool    // it has been sent before
	deadline time.Time
	packed   []byte // the whole batch where it is compressed; kept for the next one
	wire     []byte // what is sent: records, or packed; nil until first sent
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
	return framed(bodySize(r, timestampDelta, offsetDelta))
}

// framed is the size of a record with its length before it.
func framed(body int) int { return body + varintSize(int64(body)) }

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
	b.makeRoom(batchOverhead)
	b.records = b.records[:batchOverhead]
	b.base, b.latest = timestamp, timestamp
}

// count is the number of records.
func (b *outBatch) count() int { return len(b.origins) }

// size is the size on the wire, uncompressed.
func (b *outBatch) size() int { return len(b.records) }

// cost is the memory that the batch takes.
func (b *outBatch) cost() int { return b.size() + recordCost*b.count() }

// bodyOf is the size of a record in the batch, without the length before it.
func (b *outBatch) bodyOf(r *Outgoing) int {
	return bodySize(r, r.Timestamp-b.base, int64(b.count()))
}

// add encodes a record whose size bodyOf has said, and returns what that has added to the batch.
func (b *outBatch) add(r *Outgoing, body int) (size int) {
	size = framed(body)
	b.makeRoom(size)
	buf := b.head(body, r.Timestamp)
	buf = appendBytes(buf, r.Key)
	buf = appendBytes(buf, r.Value)
	buf = appendVarint(buf, int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		buf = appendVarint(buf, int64(len(h.Key)))
		buf = append(buf, h.Key...)
		buf = appendBytes(buf, h.Value)
	}
	b.records = buf
	b.origins = append(b.origins, r.Origin)
	b.latest = max(b.latest, r.Timestamp)
	return size
}

// makeRoom sees to it that n more bytes fit.
func (b *outBatch) makeRoom(n int) {
	const least = 4 << 10
	if cap(b.records)-len(b.records) < n {
		b.records = append(make([]byte, 0, max(least, 2*cap(b.records), len(b.records)+n)), b.records...)
	}
}

// head appends what stands before a record's key.
func (b *outBatch) head(body int, timestamp int64) []byte {
	buf := appendVarint(b.records, int64(body))
	buf = append(buf, 0) // attributes
	buf = appendVarint(buf, timestamp-b.base)
	return appendVarint(buf, int64(b.count()))
}

// split makes batches of at most half as many records. They share nothing with b that b's being sent could touch.
func (b *outBatch) split() []*outBatch {
	half := (b.count() + 1) / 2
	var parts []*outBatch
	rest := b.records[batchOverhead:]
	for i, origin := range b.origins {
		var timestamp int64
		var fields []byte
		timestamp, fields, rest = b.cut(rest)
		if i%half == 0 {
			part := &outBatch{seq: -1, deadline: b.deadline}
			part.begin(b.part, timestamp)
			parts = append(parts, part)
		}
		parts[len(parts)-1].addAgain(timestamp, fields, origin)
	}
	return parts
}

// cut takes the first record off: its timestamp, and its bytes from the key on.
func (b *outBatch) cut(records []byte) (timestamp int64, fields, rest []byte) {
	size, n := binary.Varint(records)
	fields, rest = records[n:n+int(size)], records[n+int(size):]
	fields = fields[1:] // attributes
	delta, n := binary.Varint(fields)
	fields = fields[n:]
	_, n = binary.Varint(fields) // its place in the batch
	return b.base + delta, fields[n:], rest
}

// addAgain adds a record of another batch.
func (b *outBatch) addAgain(timestamp int64, fields []byte, origin int64) {
	body := 1 + varintSize(timestamp-b.base) + varintSize(int64(b.count())) + len(fields)
	b.makeRoom(framed(body))
	b.records = append(b.head(body, timestamp), fields...)
	b.origins = append(b.origins, origin)
	b.latest = max(b.latest, timestamp)
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
	if b.wire != nil {
		return b.wire, nil
	}
	const head = batchOverhead
	buf := b.records
	if e.codec != sarama.CompressionNone {
		packed, err := compress(e, buf[head:])
		if err != nil {
			return nil, err
		}
		b.packed = append(append(b.packed[:0], buf[:head]...), packed...)
		buf = b.packed
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
	be.PutUint32(buf[23:], uint32(b.count()-1))
	be.PutUint64(buf[27:], uint64(b.base))
	be.PutUint64(buf[35:], uint64(b.latest))
	be.PutUint64(buf[43:], uint64(as.id))
	be.PutUint16(buf[51:], uint16(as.epoch))
	be.PutUint32(buf[53:], uint32(b.seq))
	be.PutUint32(buf[57:], uint32(b.count()))
	be.PutUint32(buf[17:], crc32.Checksum(buf[21:], castagnoli))
	b.wire = buf
	return buf, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendVarint is binary.AppendVarint, which is not inlined, with the lengths that are common before it.
func appendVarint(buf []byte, v int64) []byte {
	if u := uint64(v<<1) ^ uint64(v>>63); u < 0x80 {
		return append(buf, byte(u))
	}
	return binary.AppendVarint(buf, v)
}

func appendBytes(buf, v []byte) []byte {
	if v == nil {
		return append(buf, 1) // the length -1
	}
	return append(appendVarint(buf, int64(len(v))), v...)
}

// reset makes the batch ready to be used again.
func (b *outBatch) reset() {
	*b = outBatch{records: b.records[:0], origins: b.origins[:0], packed: b.packed[:0], seq: -1}
}
