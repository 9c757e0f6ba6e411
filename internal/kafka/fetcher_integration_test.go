//go:build integration

package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What Kafka's own producer writes is read, also where a record takes under a byte.
//
// Mutation: the count of records is compared with the bytes that are there.
func TestWhatKafkasConsoleProducerWritesIsRead(t *testing.T) {
	cluster := oneBroker(t)
	if cluster.External() {
		t.Skip("needs Kafka's jars")
	}
	c := dial(t, Config{Brokers: cluster.Addrs()})
	const lines = 20_000
	for _, codec := range []string{"zstd", "gzip", "snappy", "lz4", "none"} {
		t.Run(codec, func(t *testing.T) {
			topic := "lines-" + codec
			if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: topic, Partitions: 1, ReplicationFactor: 1}}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			tool, err := cluster.Tool(ctx, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", cluster.Addrs()[0], "--topic", topic,
				"--compression-codec", codec, "--producer-property", "linger.ms=1000", "--producer-property", "batch.size=1000000")
			if err != nil {
				t.Fatal(err)
			}
			tool.Stdin = strings.NewReader(strings.Repeat("{}\n", lines))
			if out, err := tool.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%.2000s", err, out)
			}
			f := c.NewFetcher(1 << 30)
			defer f.Close()
			r := newReading(t, topic, 0)
			f.Start(r.tp, At(0), r.deliver)
			r.position(lines)
			for i, v := range r.values() {
				if v != "{}" {
					t.Fatalf("record %d is %q", i, v)
				}
			}
			if n := len(r.values()); n != lines {
				t.Errorf("%d records", n)
			}
			if r.last.LeaderEpoch != 0 || r.last.TopicID == "" {
				t.Errorf("epoch %d, topic id %q", r.last.LeaderEpoch, r.last.TopicID)
			}
		})
	}
}

// bomb is a batch of n records, each of head, size zeros or other fill, and tail, compressed with zstd.
func bomb(t *testing.T, n int, record func(i int) (head []byte, fill byte, size int, tail []byte)) []byte {
	t.Helper()
	var body bytes.Buffer
	w, err := zstd.NewWriter(&body, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for i := range n {
		head, fill, size, tail := record(i)
		_, _ = w.Write(binary.AppendVarint(nil, int64(len(head)+size+len(tail))))
		_, _ = w.Write(head)
		for j := range zeros[:min(size, len(zeros))] {
			zeros[j] = fill
		}
		for ; size > 0; size -= len(zeros) {
			_, _ = w.Write(zeros[:min(size, len(zeros))])
		}
		_, _ = w.Write(tail)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rb := kmsg.RecordBatch{Magic: 2, PartitionLeaderEpoch: -1, Attributes: 4, LastOffsetDelta: int32(n - 1), FirstTimestamp: 1000, MaxTimestamp: 1000,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: body.Bytes()}
	raw := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	t.Logf("%d records in %d bytes", n, len(raw))
	return raw
}

func produceRaw(t *testing.T, c *Client, tp TopicPartition, raw []byte) {
	t.Helper()
	infos, err := c.Topics(t.Context(), []string{tp.Topic})
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 60_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = tp.Topic, topicIDOf(infos[tp.Topic].ID)
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = tp.Partition, raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		res, err := c.admin.request(ctx, c.cfg.Brokers[0], req, 12)
		if err != nil {
			t.Fatal(err)
		}
		switch p := res.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; {
		case p.ErrorCode == 0:
			return
		case !transient(codeError(p.ErrorCode)) && p.ErrorCode != 3 || ctx.Err() != nil:
			t.Fatal(codeError(p.ErrorCode))
		}
	}
}

// Mutations: batches are decompressed whole; the number of headers is not bounded (the records' headers take 400 MB).
func TestDecompressionBombsAreReadInBoundedMemory(t *testing.T) {
	cluster := oneBroker(t)
	c := dial(t, Config{Brokers: cluster.Addrs(), RequestTimeout: 2 * time.Minute, Sink: SinkTuning{DeliveryTimeout: 4 * time.Minute}})
	if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: "bombs", Partitions: 1, ReplicationFactor: 1, Config: map[string]string{"max.message.bytes": "10485760", "retention.ms": "-1"}}}); err != nil {
		t.Fatal(err)
	}
	tp := TopicPartition{Topic: "bombs", Partition: 0}
	const gib = 1 << 20 // records of 1 KiB
	// attributes, timestamp, offset, no key, value, no headers
	produceRaw(t, c, tp, bomb(t, gib, func(i int) ([]byte, byte, int, []byte) {
		head := binary.AppendVarint([]byte{0, 0}, int64(i))
		return append(append(head, 1), binary.AppendVarint(nil, 1000)...), 0, 1000, []byte{0}
	}))
	const headers = 10_000_000
	produceRaw(t, c, tp, bomb(t, 1, func(int) ([]byte, byte, int, []byte) {
		return append([]byte{0, 0, 0, 2, 'k', 2, 'v'}, binary.AppendVarint(nil, headers)...), 0, 2 * headers, nil
	}))
	produceRaw(t, c, tp, bomb(t, 1, func(int) ([]byte, byte, int, []byte) { // one value of 1 GiB less a little
		return append([]byte{0, 0, 0, 2, 'k'}, binary.AppendVarint(nil, 1<<30-1000)...), 0, 1<<30 - 1000, []byte{0}
	}))
	produceRaw(t, c, tp, bomb(t, 1, func(int) ([]byte, byte, int, []byte) { return []byte{0, 0, 0, 1, 2}, 'v', 1, []byte{0} }))

	f := c.NewFetcher(4 << 20)
	defer f.Close()
	var records int
	var peak uint64
	var over []string
	done := make(chan error, 1)
	runtime.GC()
	f.Start(tp, At(0), func(b Batch) {
		for i := range b.Records {
			if e := b.Records[i].Excess; e != nil {
				over = append(over, fmt.Sprintf("%d %s %d key %q", b.Records[i].Offset-gib, e.Limit, e.Size, b.Records[i].Key))
			}
		}
		records += len(b.Records)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
		f.Release(tp, b.Bytes)
		if b.Err != nil || b.Position == gib+3 {
			done <- b.Err
		}
	})
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("not read in 5 minutes")
	}
	if records != gib+3 {
		t.Errorf("%d records", records)
	}
	want := []string{`0 max.headers 10000000 key "k"`, fmt.Sprintf(`1 max.record.bytes %d key "k"`, 1<<30-1000+11)}
	if strings.Join(over, ", ") != strings.Join(want, ", ") {
		t.Errorf("over a limit: %s, want %s", over, want)
	}
	t.Logf("at most %d MiB of heap", peak>>20)
	if peak > 400<<20 {
		t.Errorf("%d MiB of heap", peak>>20)
	}
}

// Mutations: damaged fails every partition of the reader; after gives the offset of the damaged batch; the checksum is not
// compared.
func TestABatchDamagedOnDiskEndsItsPartitionOnly(t *testing.T) {
	cluster := oneBroker(t)
	if cluster.External() {
		t.Skip("damages the files of a broker")
	}
	c := dial(t, Config{Brokers: cluster.Addrs(), RetryBackoff: 10 * time.Millisecond, RetryBackoffMax: 100 * time.Millisecond})
	if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: "in", Partitions: 2, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	p := producer(t, cluster.Addrs(), "")
	for _, values := range [][]string{{"good", "good"}, {"damage here", "neighbour"}, {"after"}} {
		b := plain(0, values...)
		b.PartitionLeaderEpoch, b.ProducerEpoch, b.FirstSequence, b.MaxTimestamp = -1, -1, -1, 1000+int64(len(values)-1)
		produceRaw(t, c, TopicPartition{Topic: "in", Partition: 0}, b.wire())
	}
	writeTo(t, p, "in", 1, "other")
	logs, err := filepath.Glob(filepath.Join(cluster.Dir(), "*", "data", "in-0", "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	raw, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(logs[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte{'D'}, int64(bytes.Index(raw, []byte("damage here"))))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	f := c.NewFetcher(1 << 20)
	defer f.Close()
	r, other := newReading(t, "in", 0), newReading(t, "in", 1)
	f.Start(r.tp, At(0), r.deliver)
	f.Start(other.tp, At(0), other.deliver)
	last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	var corrupt *CorruptBatchError
	if !errors.As(last.Err, &corrupt) || corrupt.Offset != 2 || corrupt.Next != 4 || fmt.Sprint(r.values()) != "[good good]" {
		t.Errorf("%v with %s read", last.Err, r.values())
	}
	other.position(1)
	rest := newReading(t, "in", 0)
	f.Start(rest.tp, At(corrupt.Next), rest.deliver)
	rest.position(5)
	writeTo(t, p, "in", 1, "other")
	other.position(2)
}

// A topic that is deleted and created again is another one, also where it has as many records.
//
// Mutations: knows takes any id; the request names no topic id (the new topic's records come, without a word).
func TestARecreatedTopicEndsTheDelivery(t *testing.T) {
	cluster := oneBroker(t)
	c := dial(t, Config{Brokers: cluster.Addrs()})
	create := func() string {
		if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: "again", Partitions: 1, ReplicationFactor: 1}}); err != nil {
			t.Fatal(err)
		}
		infos, err := c.Topics(t.Context(), []string{"again"})
		if err != nil {
			t.Fatal(err)
		}
		return infos["again"].ID
	}
	was := create()
	p := producer(t, cluster.Addrs(), "")
	writeTo(t, p, "again", 0, "a", "b")
	f := c.NewFetcher(1 << 20)
	defer f.Close()
	r := newReading(t, "again", 0)
	f.Start(r.tp, At(0), r.deliver)
	if got := r.position(2); got.TopicID != was {
		t.Errorf("read from topic %s, it is %s", got.TopicID, was)
	}
	admin := kmsg.NewPtrDeleteTopicsRequest()
	dt := kmsg.NewDeleteTopicsRequestTopic()
	dt.Topic = kmsg.StringPtr("again")
	admin.Topics, admin.TopicNames, admin.TimeoutMillis = append(admin.Topics, dt), []string{"again"}, 30_000
	if _, err := c.admin.request(t.Context(), cluster.Addrs()[0], admin, 6); err != nil {
		t.Fatal(err)
	}
	for {
		infos, err := c.Topics(t.Context(), []string{"again"})
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) == 0 {
			break
		}
	}
	is := create()
	writeTo(t, producer(t, cluster.Addrs(), ""), "again", 0, "x", "y", "z")
	last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	var recreated *TopicRecreatedError
	if !errors.As(last.Err, &recreated) || recreated.Was != was || recreated.Is != is || recreated.Offset != 2 {
		t.Errorf("got %v", last.Err)
	}
	old := newReading(t, "again", 0)
	f.Start(old.tp, Position{Offset: 1, LeaderEpoch: -1, TopicID: was}, old.deliver)
	if last := old.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil }); !errors.As(last.Err, &recreated) || len(old.values()) > 0 {
		t.Errorf("from the old position: %v", last.Err)
	}
}
