package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/weirstream/weir/internal/record"
)

// message is one of format 0 or 1: checksum, format, attributes, timestamp (in format 1), key, value.
type message struct {
	magic      int8
	codec      int8
	appendTime bool
	stamp      int64
	key, value []byte
}

var errMessage = errors.New("a message's fields do not fit into its size")

// messageHead is the offset and the size before a message.
const messageHead = 12

// parse reads a message. sum says whether its checksum is to be checked.
func (m *message) parse(b []byte, sum bool) error {
	if len(b) < 14 {
		return errMessage
	}
	want := binary.BigEndian.Uint32(b)
	if sum {
		if got := crc32.ChecksumIEEE(b[4:]); got != want {
			return fmt.Errorf("its checksum is %08x, its bytes have %08x", want, got)
		}
	}
	m.magic = int8(b[4])
	if m.magic != 0 && m.magic != 1 {
		return fmt.Errorf("a message of format %d stands in an old message set", m.magic)
	}
	m.codec, m.appendTime, m.stamp = int8(b[5]&7), b[5]&8 != 0, -1
	b = b[6:]
	if m.magic == 0 {
		m.appendTime = false // not known yet
	} else {
		if len(b) < 8 {
			return errMessage
		}
		m.stamp = int64(binary.BigEndian.Uint64(b))
		b = b[8:]
	}
	var ok bool
	if m.key, b, ok = oldBytes(b); !ok {
		return errMessage
	}
	if m.value, b, ok = oldBytes(b); !ok || len(b) > 0 {
		return errMessage
	}
	return nil
}

// oldBytes reads bytes with a size of four bytes, nil for null.
func oldBytes(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if n < 0 {
		return nil, b, true
	}
	if int64(n) > int64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// measure reads a wrapper once to find the first and the last of the offsets inside. In format 1 they are relative, and
// only the wrapper's own offset, which is that of the last message, says to what (KIP-31).
func (r *Reader) measure() error {
	first, last := int64(-1), int64(-1)
	r.open()
	if r.err != nil || r.over != nil {
		return r.err
	}
	count := 0
	for {
		offset, size, err := r.messageHead()
		if err == nil {
			err = r.buf.discard(size)
		}
		if err == io.EOF && size == 0 {
			break
		}
		if err != nil {
			r.fail(err)
			break
		}
		if first < 0 {
			first = offset
		}
		last = offset
		if count++; count > r.limits.Records {
			r.exceed(LimitRecords, int64(count), int64(r.limits.Records))
			break
		}
	}
	r.offsets = 0
	if r.batch.Magic == 1 && last >= 0 {
		r.offsets = r.batch.Last - last
	}
	if first >= 0 {
		r.batch.Base = min(r.batch.Last, r.offsets+first)
	}
	r.next = r.batch.Base
	r.rest = count
	r.buf.at = r.buf.end
	r.stream.release()
	r.stream = nil
	return r.err
}

// messageHead reads what stands before a message of a set. Its size is 0 only when there is none.
func (r *Reader) messageHead() (offset, size int64, err error) {
	if more, err := r.buf.more(); err != nil || !more {
		if err == nil {
			err = io.EOF
		}
		return 0, 0, err
	}
	head, err := r.buf.take(messageHead)
	if err != nil {
		return 0, -1, err
	}
	size = int64(int32(binary.BigEndian.Uint32(head[8:])))
	if size < 14 {
		return 0, -1, errMessage
	}
	return int64(binary.BigEndian.Uint64(head)), size, nil
}

// oldRecord reads the next message.
func (r *Reader) oldRecord(rec *Record) error {
	if r.stream == nil {
		return io.EOF
	}
	offset, size, err := r.messageHead()
	if err == io.EOF && size != 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	*rec = Record{Offset: offset + r.offsets, Timestamp: -1}
	if r.batch.codec == codecNone {
		rec.Offset = offset
	}
	if rec.Offset < r.next || rec.Offset > r.batch.Last {
		return fmt.Errorf("the message at offset %d is not within %d and %d", rec.Offset, r.next, r.batch.Last)
	}
	r.rest--
	if size > r.limits.Record {
		return r.largeMessage(rec, size)
	}
	b, err := r.buf.take(int(size))
	if err != nil {
		return noEOF(err)
	}
	var m message
	if err := m.parse(b, r.batch.codec != codecNone); err != nil {
		return err
	}
	if m.magic != r.batch.Magic || r.batch.codec != codecNone && m.codec != codecNone {
		return errors.New("a message of another kind stands in a compressed one")
	}
	rec.Key, rec.Value, rec.Timestamp = m.key, m.value, m.stamp
	if r.batch.appendTime {
		rec.Timestamp = r.batch.stamp
	}
	if int64(len(rec.Key)) > r.limits.Key || int64(len(rec.Value)) > r.limits.Value {
		r.trim(rec, 0)
	}
	return nil
}

// largeMessage passes over a message that is over the limit, and keeps its key if that is not.
func (r *Reader) largeMessage(rec *Record, size int64) error {
	head := 10 // up to the size of the key
	if r.batch.Magic == 1 {
		head += 8
	}
	if size < int64(head) {
		return errMessage
	}
	b, err := r.buf.take(head)
	if err != nil {
		return noEOF(err)
	}
	size -= int64(head)
	if r.batch.Magic == 1 {
		rec.Timestamp = int64(binary.BigEndian.Uint64(b[6:]))
		if r.batch.appendTime {
			rec.Timestamp = r.batch.stamp
		}
	}
	rec.Excess = &record.Excess{Limit: LimitRecord, Size: size + int64(head), Max: r.limits.Record, Last: rec.Offset, Records: 1}
	keySize := int64(int32(binary.BigEndian.Uint32(b[head-4:])))
	if keySize > size {
		return errMessage
	}
	if keySize >= 0 && keySize <= min(r.limits.Key, r.limits.Record) {
		if rec.Key, err = r.buf.take(int(keySize)); err != nil {
			return noEOF(err)
		}
		size -= keySize
	}
	return noEOF(r.buf.discard(size))
}

// noEOF is err for a place where the end must not come.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
