package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/weirstream/weir/internal/record"
)

// Record is a record as it lies in its batch. Key and Value are never written to.
type Record struct {
	Offset    int64
	Timestamp int64 // milliseconds, -1 when the record has none
	Key       []byte
	Value     []byte // nil is a tombstone
	// HeaderCount is how many headers Headers gives.
	HeaderCount int
	// Excess is set when a limit cut the record, or when it stands for the rest of a batch.
	Excess *record.Excess

	headers []byte
}

// Reader gives the records of one batch after the other. It is to be used by one goroutine.
type Reader struct {
	limits Limits
	batch  Batch
	buf    piece
	stream decompressor
	rest   int   // records that the batch still owes, -1 when it declares none
	next   int64 // the offset after the last record given out
	over   *record.Excess
	err    error

	// Of wrappers of old messages.
	offsets int64 // what is added to the offsets inside
}

// NewReader makes a reader with limits.
func NewReader(limits Limits) *Reader { return &Reader{limits: limits} }

// Reset begins a batch, whose bytes must stay as they are until it is read or closed. What is left of an earlier one is
// dropped.
func (r *Reader) Reset(b Batch) {
	r.Close()
	r.batch, r.rest, r.next, r.offsets, r.over, r.err = b, b.Records, b.Base, 0, nil, nil
	if b.Records == 0 {
		return
	}
	if b.Records > r.limits.Records {
		r.exceed(LimitRecords, int64(b.Records), int64(r.limits.Records))
		return
	}
	if b.Magic < 2 && b.codec != codecNone {
		if r.measure() != nil || r.over != nil {
			return
		}
	}
	r.open()
}

// Close lets go of the batch.
func (r *Reader) Close() {
	if r.stream != nil {
		r.stream.release()
		r.stream = nil
	}
	r.batch = Batch{}
	r.buf.src = nil
	r.rest = 0
}

// Held is the memory that an unfinished batch keeps besides its own bytes and the records that were given out.
func (r *Reader) Held() int64 {
	if r.stream == nil {
		return 0
	}
	return r.stream.held()
}

// Rest is how many records the batch says that it still holds, 0 when it says nothing.
func (r *Reader) Rest() int { return max(0, r.rest) }

// open begins to decompress the batch.
func (r *Reader) open() {
	stream, err := decompress(r.batch.codec, r.batch.Magic, r.batch.body, r.limits.Block)
	if err != nil {
		r.fail(err)
		return
	}
	r.stream = stream
	if r.batch.codec == codecNone && int64(len(r.batch.body)) <= r.limits.Batch {
		r.buf.lend(stream, r.batch.body)
		return
	}
	r.buf.begin(stream, r.limits.Batch, 4*len(r.batch.body))
}

// exceed makes all that is left of the batch one Excess.
func (r *Reader) exceed(limit string, size, most int64) {
	r.over = &record.Excess{Limit: limit, Size: size, Max: most, Last: r.batch.Last, Records: max(1, r.rest)}
}

// fail takes an error of decompression for what it is: a limit, or damage.
func (r *Reader) fail(err error) {
	var block *blockError
	switch {
	case errors.As(err, &block):
		r.exceed(LimitBlock, block.size, block.most)
	case errors.Is(err, errTooMuch):
		r.exceed(LimitBatch, r.limits.Batch+1, r.limits.Batch)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.err = r.batch.corrupt("it ends within a record")
	default:
		r.err = r.batch.corrupt("%v", err)
	}
}

// NextSize is the size of the next record as it says itself, or 0 when there is none or it is over a limit. A caller that
// has no room for it may call Next later.
func (r *Reader) NextSize() int64 {
	if r.err != nil || r.over != nil || r.stream == nil || r.rest == 0 {
		return 0
	}
	at := 0
	if r.batch.Magic < 2 {
		head, err := r.buf.peek(messageHead)
		if err != nil {
			return 0
		}
		at = int(int32(binary.BigEndian.Uint32(head[8:])))
	} else {
		if r.buf.end-r.buf.at < 5 && r.buf.fill(5) != nil && r.buf.end == r.buf.at {
			return 0
		}
		f := fields{b: r.buf.buf[r.buf.at:r.buf.end]}
		at = int(f.varint())
	}
	if at < 0 || int64(at) > r.limits.Record {
		return 0
	}
	return int64(at)
}

// Next reads a record into rec: io.EOF when the batch holds no more, a *CorruptError when what it holds makes no sense.
func (r *Reader) Next(rec *Record) error {
	if r.err != nil {
		return r.err
	}
	if r.over == nil {
		err := r.record(rec)
		if err == nil {
			r.next = rec.Offset + 1
			return nil
		}
		if err == io.EOF && r.rest <= 0 {
			r.Close()
			r.err = io.EOF
			return r.err
		}
		r.fail(err)
		if r.over == nil {
			return r.err
		}
	}
	*rec = r.batch.standIn(r.next, r.over)
	r.over = nil
	r.Close()
	r.err = io.EOF
	return nil
}

func (r *Reader) record(rec *Record) error {
	if r.batch.Magic < 2 {
		return r.oldRecord(rec)
	}
	if r.rest == 0 {
		if r.stream == nil {
			return io.EOF
		}
		if more, err := r.buf.more(); err != nil {
			return err
		} else if more {
			return errors.New("it holds more records than it declares")
		}
		return io.EOF
	}
	size, err := r.buf.varint()
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("a record has a size of %d bytes", size)
	}
	if size > r.limits.Record {
		err = r.large(rec, size)
	} else {
		var body []byte
		if body, err = r.buf.take(int(size)); err == nil {
			err = r.parse(rec, body)
		}
	}
	if err == nil {
		r.rest--
	}
	return err
}

// parse reads a record whose bytes are all there.
func (r *Reader) parse(rec *Record, b []byte) error {
	f := fields{b: b}
	f.skip(1) // attributes, none are defined
	stamp := f.varlong()
	offset := f.varint()
	rec.Key = f.bytes()
	rec.Value = f.bytes()
	count := f.varint()
	if f.bad || count < 0 {
		return errRecord
	}
	rec.Offset = r.batch.Base + int64(offset)
	if rec.Timestamp = r.batch.stamp; !r.batch.appendTime {
		rec.Timestamp += stamp
	}
	rec.HeaderCount, rec.headers, rec.Excess = int(count), nil, nil
	headerBytes := 0
	if count > 0 {
		// Two bytes a header are the least that there can be.
		if int64(count)*2 > int64(len(f.b)) {
			return errRecord
		}
		rec.headers = f.b
		if int(count) <= r.limits.Headers {
			for range count {
				size := f.size()
				if size < 0 {
					return errRecord
				}
				f.skip(size)
				value := max(0, f.size())
				f.skip(value)
				headerBytes += size + value
			}
			rec.headers = rec.headers[:len(rec.headers)-len(f.b)]
		} else {
			f.b = nil
		}
	}
	if f.bad || len(f.b) > 0 {
		return errRecord
	}
	if rec.Offset < r.next || rec.Offset > r.batch.Last {
		return fmt.Errorf("the record at offset %d is not within %d and %d", rec.Offset, r.next, r.batch.Last)
	}
	l := &r.limits
	if int64(len(rec.Key)) > l.Key || int64(len(rec.Value)) > l.Value || int(count) > l.Headers || int64(headerBytes) > l.HeaderBytes {
		r.trim(rec, int64(headerBytes))
	}
	return nil
}

var errRecord = errors.New("a record's fields do not fit into its size")

// trim takes from a record what is over a limit.
func (r *Reader) trim(rec *Record, headerBytes int64) {
	l := &r.limits
	excess := func(limit string, size, most int64) {
		if rec.Excess == nil {
			rec.Excess = &record.Excess{Limit: limit, Size: size, Max: most, Last: rec.Offset, Records: 1}
		}
	}
	if n := int64(len(rec.Key)); n > l.Key {
		excess(LimitKey, n, l.Key)
		rec.Key = nil
	}
	if n := int64(len(rec.Value)); n > l.Value {
		excess(LimitValue, n, l.Value)
		rec.Value = nil
	}
	if rec.HeaderCount > l.Headers {
		excess(LimitHeaders, int64(rec.HeaderCount), int64(l.Headers))
		rec.HeaderCount, rec.headers = 0, nil
	} else if headerBytes > l.HeaderBytes {
		excess(LimitHeaderBytes, headerBytes, l.HeaderBytes)
		rec.HeaderCount, rec.headers = 0, nil
	}
	// What is left must not keep the whole record in memory.
	rec.Key, rec.Value = clone(rec.Key), clone(rec.Value)
	if rec.headers != nil {
		rec.headers = clone(rec.headers)
	}
	r.buf.drop()
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// large reads the head of a record that is over the limit, and its key if that is not, and passes over the rest.
func (r *Reader) large(rec *Record, size int64) error {
	const head = 1 + 10 + 5 + 5 // attributes, timestamp, offset, size of the key
	start, err := r.buf.peek(int(min(size, head)))
	if err != nil {
		return err
	}
	f := fields{b: start}
	f.skip(1)
	stamp := f.varlong()
	offset := f.varint()
	keySize := f.varint()
	if f.bad {
		return errRecord
	}
	used := int64(len(start) - len(f.b))
	*rec = Record{Offset: r.batch.Base + int64(offset), Timestamp: r.batch.stamp}
	if !r.batch.appendTime {
		rec.Timestamp += stamp
	}
	if rec.Offset < r.next || rec.Offset > r.batch.Last || int64(keySize) > size-used {
		return errRecord
	}
	rec.Excess = &record.Excess{Limit: LimitRecord, Size: size, Max: r.limits.Record, Last: rec.Offset, Records: 1}
	if err := r.buf.discard(used); err != nil {
		return err
	}
	size -= used
	if keySize >= 0 && int64(keySize) <= min(r.limits.Key, r.limits.Record) {
		if rec.Key, err = r.buf.take(int(keySize)); err != nil {
			return err
		}
		size -= int64(keySize)
	}
	return r.buf.discard(size)
}

// Headers calls yield with each header, in order, until it returns false.
func (rec *Record) Headers(yield func(key, value []byte) bool) {
	f := fields{b: rec.headers}
	for range rec.HeaderCount {
		key := f.bytes()
		if !yield(key, f.bytes()) {
			return
		}
	}
}
