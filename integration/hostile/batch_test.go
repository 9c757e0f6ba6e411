//go:build unix

package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// zeros is a reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// part is a piece of a record: bytes, or as many zeros, which need no memory however many they are.
type part struct {
	bytes []byte
	zeros int64
}

func (p part) size() int64 { return int64(len(p.bytes)) + p.zeros }

func (p part) write(w io.Writer) error {
	if _, err := w.Write(p.bytes); err != nil {
		return err
	}
	_, err := io.CopyN(w, zeros{}, p.zeros)
	return err
}

// rawRecord is a record of a batch that no producer would make.
type rawRecord struct {
	key, value *part  // nil is a null
	headers    int    // so many headers
	header     []byte // each of them, encoded
}

// write encodes the record as the nth of a batch (format 2).
func (r rawRecord) write(w io.Writer, n int) error {
	head := []byte{0, 0} // attributes, timestamp
	head = binary.AppendVarint(head, int64(n))
	head = length(head, r.key)
	var middle []byte
	middle = length(middle, r.value)
	tail := binary.AppendVarint(nil, int64(r.headers))
	size := int64(len(head)+len(middle)+len(tail)) + int64(r.headers*len(r.header))
	for _, p := range []*part{r.key, r.value} {
		if p != nil {
			size += p.size()
		}
	}
	pieces := []part{{bytes: binary.AppendVarint(nil, size)}, {bytes: head}}
	if r.key != nil {
		pieces = append(pieces, *r.key)
	}
	pieces = append(pieces, part{bytes: middle})
	if r.value != nil {
		pieces = append(pieces, *r.value)
	}
	for _, p := range append(pieces, part{bytes: tail}) {
		if err := p.write(w); err != nil {
			return err
		}
	}
	block := bytes.Repeat(r.header, min(r.headers, 4096))
	for left := r.headers * len(r.header); left > 0; left -= len(block) {
		if _, err := w.Write(block[:min(left, len(block))]); err != nil {
			return err
		}
	}
	return nil
}

func length(dst []byte, p *part) []byte {
	if p == nil {
		return binary.AppendVarint(dst, -1)
	}
	return binary.AppendVarint(dst, p.size())
}

// The codecs of a batch, as in its attributes.
const (
	plain   = 0
	gzipped = 1
	zstded  = 4
)

// plainWriter compresses nothing.
type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// rawBatch encodes and compresses a batch piece by piece: what is in it may be larger than the memory.
func rawBatch(codec int, records []rawRecord) ([]byte, error) {
	var body bytes.Buffer
	var w io.WriteCloser
	var err error
	switch codec {
	case plain:
		w = plainWriter{&body}
	case gzipped:
		w, err = gzip.NewWriterLevel(&body, gzip.BestCompression)
	case zstded:
		w, err = zstd.NewWriter(&body, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	default:
		return nil, fmt.Errorf("codec %d", codec)
	}
	if err != nil {
		return nil, err
	}
	for n, r := range records {
		if err := r.write(w, n); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	now := time.Now().UnixMilli()
	covered := binary.BigEndian.AppendUint16(nil, uint16(codec))
	covered = binary.BigEndian.AppendUint32(covered, uint32(len(records)-1)) // last offset delta
	covered = binary.BigEndian.AppendUint64(covered, uint64(now))
	covered = binary.BigEndian.AppendUint64(covered, uint64(now))
	covered = append(covered, bytes.Repeat([]byte{0xff}, 8+2+4)...) // no producer
	covered = binary.BigEndian.AppendUint32(covered, uint32(len(records)))
	covered = append(covered, body.Bytes()...)
	batch := make([]byte, 8, 21+len(covered)) // offset 0
	batch = binary.BigEndian.AppendUint32(batch, uint32(4+1+4+len(covered)))
	batch = append(batch, 0xff, 0xff, 0xff, 0xff, 2) // leader epoch, format
	batch = binary.BigEndian.AppendUint32(batch, crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli)))
	return append(batch, covered...), nil
}

// sendRaw writes a batch as it is and returns the offset of its first record.
func (w *world) sendRaw(t *testing.T, partition int32, batch []byte) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	offset, err := produceRaw(ctx, w.client, names.Input, partition, batch)
	if err != nil {
		t.Fatalf("write a batch of %d bytes: %v", len(batch), err)
	}
	return offset
}

func produceRaw(ctx context.Context, client *kgo.Client, topic string, partition int32, batch []byte) (int64, error) {
	ask := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	ask.Topics = append(ask.Topics, asked)
	known, err := ask.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, known.Topics[0].TopicID
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	answer, err := client.Broker(int(known.Topics[0].Partitions[0].Leader)).Request(ctx, req)
	if err != nil {
		return 0, err
	}
	p := answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		if p.ErrorMessage != nil {
			err = fmt.Errorf("%w: %s", err, *p.ErrorMessage)
		}
		return 0, err
	}
	return p.BaseOffset, nil
}

// stamp sets the timestamps of a batch, in milliseconds since 1970.
func stamp(batch []byte, ms int64) {
	binary.BigEndian.PutUint64(batch[27:], uint64(ms))
	binary.BigEndian.PutUint64(batch[35:], uint64(ms))
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
}

// sendStamped writes records with a timestamp that no client would give them.
func (w *world) sendStamped(t *testing.T, f fate, ms int64, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		batch, err := rawBatch(zstded, []rawRecord{{key: &part{bytes: r.Key}, value: &part{bytes: r.Value}}})
		if err != nil {
			t.Fatal(err)
		}
		stamp(batch, ms)
		r.Offset = w.sendRaw(t, r.Partition, batch)
		e := entryOf(r)
		e.fate = f
		w.ledger.add(r.Partition, e)
	}
}
