package recordbatch

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// item is a record to be written. Its header values may be nil.
type item struct {
	delta, stamp int64
	key, value   []byte
	headers      []kmsg.Header
}

// wire is a record of format 2.
func (i item) wire() []byte {
	r := kmsg.Record{TimestampDelta64: i.stamp, OffsetDelta: int32(i.delta), Key: i.key, Value: i.value}
	for _, h := range i.headers {
		r.Headers = append(r.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	b := r.AppendTo(nil)[1:] // without the length, which is 0 and so a byte
	return append(binary.AppendVarint(nil, int64(len(b))), b...)
}

// batch is a batch of format 2.
type batch struct {
	base       int64
	last       int32
	count      int32
	attributes int16
	first, max int64
	producer   int64
	epoch      int32
	records    []byte // compressed already
}

func (b batch) wire() []byte {
	rb := kmsg.RecordBatch{
		FirstOffset: b.base, PartitionLeaderEpoch: b.epoch, Magic: 2, Attributes: b.attributes, LastOffsetDelta: b.last,
		FirstTimestamp: b.first, MaxTimestamp: b.max, ProducerID: b.producer, ProducerEpoch: 0, FirstSequence: 0,
		NumRecords: b.count, Records: b.records,
	}
	raw := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}

func batchOf(codec int8, base int64, items ...item) []byte {
	var records []byte
	last := int64(0)
	for _, i := range items {
		records = append(records, i.wire()...)
		last = i.delta
	}
	return batch{base: base, last: int32(last), count: int32(len(items)), attributes: int16(codec), first: 1000, max: 9000, producer: -1, records: compress(codec, records)}.wire()
}

// compress writes as Java's client does; codecRawSnappy is what others write.
func compress(codec int8, b []byte) []byte {
	var out bytes.Buffer
	switch codec {
	case codecNone:
		return b
	case codecGzip:
		w := gzip.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
	case codecSnappy:
		out.Write(xerial)
		out.Write([]byte{0, 0, 0, 1, 0, 0, 0, 1})
		for len(b) > 0 {
			n := min(len(b), 32<<10)
			block := snappy.Encode(nil, b[:n])
			out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
			out.Write(block)
			b = b[n:]
		}
	case codecLZ4:
		w := lz4.NewWriter(&out)
		_ = w.Apply(lz4.BlockSizeOption(lz4.Block64Kb))
		_, _ = w.Write(b)
		_ = w.Close()
	case codecZstd:
		w, _ := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		_, _ = w.Write(b)
		_ = w.Close()
	}
	return out.Bytes()
}

// oldMessage is a message of format 0 or 1 with its place in a set.
func oldMessage(magic int8, offset int64, attributes int8, stamp int64, key, value []byte) []byte {
	b := []byte{byte(magic), byte(attributes)}
	if magic == 1 {
		b = binary.BigEndian.AppendUint64(b, uint64(stamp))
	}
	for _, v := range [][]byte{key, value} {
		if v == nil {
			b = append(b, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	out = binary.BigEndian.AppendUint32(out, uint32(len(b)+4))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(b))
	return append(out, b...)
}

// read reads everything: the records, and the error that ended it, nil at the end.
func read(raw []byte, limits Limits) (records []Record, err error) {
	r := NewReader(limits)
	defer r.Close()
	for {
		b, rest, err := Next(raw)
		if err != nil {
			return records, clean(err)
		}
		raw = rest
		r.Reset(b)
		for {
			var rec Record
			if err := r.Next(&rec); err != nil {
				if clean(err) != nil {
					return records, err
				}
				break
			}
			records = append(records, rec)
		}
	}
}

func mustRead(t testing.TB, raw []byte, limits Limits) []Record {
	t.Helper()
	records, err := read(raw, limits)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func sumOf(b []byte, v2 bool) uint32 {
	if v2 {
		return crc32.Checksum(b, castagnoli)
	}
	return crc32.ChecksumIEEE(b)
}
