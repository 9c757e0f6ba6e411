package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/weirstream/weir/internal/record"
)

// Batch is one record batch, or one message of an old message set: a single record, or a wrapper around compressed ones.
type Batch struct {
	Magic         int8
	Base          int64 // the first offset; of a wrapper it is not known, and Last stands here
	Last          int64 // the last offset, also where compaction has removed its record
	LeaderEpoch   int32 // -1 in old messages
	ProducerID    int64 // -1 for none
	Transactional bool
	Control       bool
	Records       int // as declared; -1 for a wrapper

	codec      int8
	appendTime bool  // all records have the time of their append, stamp
	stamp      int64 // of the base, of the append, or of the message
	body       []byte
}

const (
	headerSize = 61 // of a batch, up to its records
	prefixSize = 17 // the first offset, the size, and the rest up to the magic byte
	lengthAt   = 8
	magicAt    = 16
)

// ErrCut says that the bytes end within a batch. A broker cuts its answer at a size, wherever that is.
var ErrCut = errors.New("the answer ends within a batch")

// CorruptError says that a batch is damaged. Base and Last are what its header says, which may be what is damaged.
type CorruptError struct {
	Base, Last int64
	What       string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the batch at offset %d is damaged: %s", e.Base, e.What)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Next returns the first batch of raw and what follows it: io.EOF when there is none, ErrCut when it is not whole, and a
// *CorruptError, still with what follows, when it is damaged.
func Next(raw []byte) (b Batch, rest []byte, err error) {
	if len(raw) == 0 {
		return b, nil, io.EOF
	}
	if len(raw) < prefixSize {
		return b, nil, ErrCut
	}
	base := int64(binary.BigEndian.Uint64(raw))
	size := int64(int32(binary.BigEndian.Uint32(raw[lengthAt:])))
	b = Batch{Magic: int8(raw[magicAt]), Base: base, Last: base, LeaderEpoch: -1, ProducerID: -1}
	least := int64(prefixSize - messageHead)
	switch b.Magic {
	case 0:
		least = 14
	case 1:
		least = 22
	case 2:
		least = headerSize - messageHead
	default:
		err = b.corrupt("its format %d is not known", b.Magic)
	}
	if size < least {
		return b, nil, b.corrupt("its size of %d bytes is too small", size)
	}
	if 12+size > int64(len(raw)) {
		if err == nil {
			err = ErrCut
		}
		return b, nil, err
	}
	whole, rest := raw[:12+size], raw[12+size:]
	if err == nil && b.Magic == 2 {
		err = b.parse(whole)
	} else if err == nil {
		err = b.parseMessage(whole)
	}
	return b, rest, err
}

func (b *Batch) corrupt(what string, args ...any) error {
	return &CorruptError{Base: b.Base, Last: b.Last, What: fmt.Sprintf(what, args...)}
}

// Head returns the first batch of raw and the bytes that it takes, without its records, which need not be there: a
// *CorruptError where that is not possible. It knows format 2 only. The checksum is not checked, since it is that of the
// whole batch.
func Head(raw []byte) (b Batch, size int64, err error) {
	b = Batch{Base: -1, Last: -1, LeaderEpoch: -1, ProducerID: -1}
	if len(raw) < headerSize {
		return b, 0, b.corrupt("%d bytes are too few for its header", len(raw))
	}
	b.Magic = int8(raw[magicAt])
	b.Base = int64(binary.BigEndian.Uint64(raw))
	b.Last = b.Base
	size = 12 + int64(int32(binary.BigEndian.Uint32(raw[lengthAt:])))
	if b.Magic != 2 {
		return b, size, b.corrupt("of format %d it is not known which offsets it holds before it is read", b.Magic)
	}
	lastDelta := b.header(raw)
	if err = b.check(lastDelta); err == nil && (size < headerSize || int64(b.Records) > int64(lastDelta)+1) {
		err = b.corrupt("it has %d records at %d offsets in %d bytes", b.Records, int64(lastDelta)+1, size)
	}
	return b, size, err
}

// Excess is the record that stands for a batch of which no record is given out, because it is over a limit.
func (b *Batch) Excess(limit string, size, most int64) Record {
	return b.standIn(b.Base, &record.Excess{Limit: limit, Size: size, Max: most, Last: b.Last, Records: max(1, b.Records)})
}

// standIn is the record that stands for what is left of a batch from an offset on.
func (b *Batch) standIn(from int64, x *record.Excess) Record {
	rec := Record{Offset: min(from, x.Last), Timestamp: -1, Excess: x}
	if b.Magic == 2 && b.appendTime {
		rec.Timestamp = b.stamp
	}
	return rec
}

// parse reads a batch of format 2.
func (b *Batch) parse(raw []byte) error {
	lastDelta := b.header(raw)
	b.body = raw[headerSize:]
	sum := binary.BigEndian.Uint32(raw[17:])
	if got := crc32.Checksum(raw[21:], castagnoli); got != sum {
		return b.corrupt("its checksum is %08x, its bytes have %08x", sum, got)
	}
	return b.check(lastDelta)
}

// header reads the header of a batch of format 2, and returns how many offsets lie between its first and its last.
func (b *Batch) header(raw []byte) (lastDelta int32) {
	b.LeaderEpoch = int32(binary.BigEndian.Uint32(raw[12:]))
	attributes := binary.BigEndian.Uint16(raw[21:])
	lastDelta = int32(binary.BigEndian.Uint32(raw[23:]))
	b.Last = b.Base + int64(lastDelta)
	b.stamp = int64(binary.BigEndian.Uint64(raw[27:]))
	b.ProducerID = int64(binary.BigEndian.Uint64(raw[43:]))
	b.Records = int(int32(binary.BigEndian.Uint32(raw[57:])))
	b.codec = int8(attributes & 7)
	if b.appendTime = attributes&8 != 0; b.appendTime {
		b.stamp = int64(binary.BigEndian.Uint64(raw[35:]))
	}
	b.Transactional, b.Control = attributes&16 != 0, attributes&32 != 0
	return lastDelta
}

func (b *Batch) check(lastDelta int32) error {
	switch {
	case b.Base < 0 || lastDelta < 0 || b.Last < b.Base:
		return b.corrupt("it ends %d offsets after its first, %d", lastDelta, b.Base)
	case b.Records < 0:
		return b.corrupt("it has %d records", b.Records)
	case b.codec > codecZstd:
		return b.corrupt("compression %d is not known", b.codec)
	}
	return nil
}

// parseMessage reads a message of format 0 or 1.
func (b *Batch) parseMessage(raw []byte) error {
	m := message{}
	if err := m.parse(raw[12:], true); err != nil {
		return b.corrupt("%v", err)
	}
	b.codec, b.stamp, b.appendTime = m.codec, m.stamp, m.appendTime
	b.Records = 1
	if b.codec == codecNone {
		b.body = raw
		return nil
	}
	if b.codec > codecLZ4 {
		return b.corrupt("compression %d is not known in format %d", b.codec, b.Magic)
	}
	b.Records = -1
	b.body = m.value
	return nil
}

// Bytes are the records as the batch holds them, compressed. They are not to be written to.
func (b *Batch) Bytes() []byte { return b.body }

// Size is how many bytes the records take in the batch, as they are compressed.
func (b *Batch) Size() int { return len(b.body) }
