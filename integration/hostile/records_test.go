//go:build unix

package hostile

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// recordKinds are records whose bytes are odd. How each ends is by the model, unless a kind says otherwise.
var recordKinds = []Kind{
	{
		Name: "batches that compress well", Who: Record,
		Done: "3,000 equal orders in one batch of each codec: gzip, snappy, lz4, zstd",
		Must: "the first is processed, the others are duplicates",
		Try: func(t *testing.T, w *world) {
			for n, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
				r := order(fmt.Sprint("squeezed-", n), 1)
				w.sendBatch(t, r.Partition, codec, repeat(3000, r))
			}
		},
	},
	{
		Name: "key nil, key empty", Who: Record,
		Done: "orders without a key, and with an empty one",
		Must: "they belong to one customer, whose key is empty, and end as that customer's",
		Try: func(t *testing.T, w *world) {
			for seq, key := range [][]byte{nil, {}, nil, {}} {
				r := order("nobody", seq+1)
				r.Key, r.Partition = key, 2
				w.send(t, r)
			}
		},
	},
	{
		Name: "value nil, empty, null", Who: Record,
		Done: "no value, an empty one, the JSON value null with and without spaces",
		Must: "each becomes a dead letter",
		Try: func(t *testing.T, w *world) {
			for n, value := range [][]byte{nil, {}, []byte("null"), []byte(" null\n")} {
				w.send(t, &kgo.Record{Partition: int32(n), Key: []byte("empty"), Value: value})
			}
		},
	},
	{
		Name: "invalid UTF-8", Who: Record,
		Done: "bytes that are no UTF-8 in the key and in strings of the value; lone surrogates; a byte order mark",
		Must: "orders are processed under the key's bytes; what is no JSON becomes a dead letter",
		Try: func(t *testing.T, w *world) {
			for _, value := range []string{
				"{\"event_id\":\"\xff\xfe\",\"seq\":1,\"customer\":\"\xc3\x28\",\"amount_cents\":1}",
				`{"event_id":"\ud800","seq":2,"customer":"\udfff","amount_cents":2}`,
				"\ufeff" + `{"event_id":"e","seq":3,"customer":"c","amount_cents":3}`,
				"\xff",
			} {
				w.send(t, &kgo.Record{Partition: 1, Key: []byte("\xff\x00\xc3\x28"), Value: []byte(value)})
			}
		},
	},
	{
		Name: "a megabyte of brackets", Who: Record,
		Done: "1,000,000 times [, {\"a\": and closed pairs of both",
		Must: "each becomes a dead letter within seconds",
		Try: func(t *testing.T, w *world) {
			for n, value := range []string{
				strings.Repeat("[", 1_000_000), strings.Repeat(`{"a":`, 200_000),
				strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000), strings.Repeat("[]", 300_000),
			} {
				w.send(t, &kgo.Record{Partition: int32(n), Key: []byte("brackets"), Value: []byte(value)})
			}
		},
	},
	{
		Name: "deep nesting in a field that nobody reads", Who: Record,
		Done: "good orders with 100, 9,000 and 11,000 levels of arrays in another field",
		Must: "processed up to 10,000 levels, a dead letter from there",
		Try: func(t *testing.T, w *world) {
			for n, deep := range []int{100, 9_000, 11_000} {
				note := strings.Repeat("[", deep) + strings.Repeat("]", deep)
				value := fmt.Appendf(nil, `{"event_id":"e","seq":%d,"customer":"deep","amount_cents":1,"more":%s}`, n+1, note)
				w.send(t, &kgo.Record{Partition: oracle.PartitionOf([]byte("deep"), partitions), Key: []byte("deep"), Value: value})
			}
		},
	},
	{
		Name: "numbers at the edges", Who: Record,
		Done: "the largest and smallest 64 bit numbers, one beyond each, fractions, exponents, -0, 400 digits, sums that overflow",
		Must: "what a 64 bit number holds is processed, all else becomes a dead letter",
		Try: func(t *testing.T, w *world) {
			numbers := []string{
				"-9223372036854775808", "-9223372036854775809", "-1", "-0", "0", "1.0", "1e3", "0.5", "0x10", "NaN", "1_000", `"7"`, "true",
				"9007199254740993", "9223372036854775807", "9223372036854775808", "1e400", "0" + "1", strings.Repeat("9", 400),
			}
			for n, number := range numbers {
				key := fmt.Append(nil, "edge-", n%3)
				for _, value := range []string{
					fmt.Sprintf(`{"event_id":"e","seq":%s,"customer":"edge","amount_cents":1}`, number),
					fmt.Sprintf(`{"event_id":"e","seq":9223372036854775807,"customer":"edge","amount_cents":%s}`, number),
				} {
					w.send(t, &kgo.Record{Partition: oracle.PartitionOf(key, partitions), Key: key, Value: []byte(value)})
				}
			}
			for seq := range 3 {
				r := order("rich", seq+1)
				r.Value = fmt.Appendf(nil, `{"event_id":"e","seq":%d,"customer":"rich","amount_cents":%d}`, seq+1, math.MaxInt64)
				w.send(t, r)
			}
		},
	},
	{
		Name: "fields twice, and in other letters", Who: Record,
		Done: "orders with a field twice, with other types the second time, with names in capitals",
		Must: "the last of two counts, as everywhere in JSON for Go; a wrong type makes a dead letter",
		Try: func(t *testing.T, w *world) {
			for _, value := range []string{
				`{"event_id":"e","seq":1,"seq":5,"customer":"twice","amount_cents":1,"amount_cents":7}`,
				`{"event_id":"e","seq":6,"customer":"twice","amount_cents":1,"amount_cents":"7"}`,
				`{"EVENT_ID":"e","Seq":7,"cUsToMeR":"twice","amount_Cents":9}`,
				`{"event_id":"e","event_id":null,"seq":8,"customer":"twice","amount_cents":1}`,
				`{"event_id":"e","seq":9,"customer":"twice","amount_cents":1} {}`,
				`{"event_id":"e","seq":10,"customer":"twice","amount_cents":1,}`,
			} {
				w.send(t, &kgo.Record{Partition: oracle.PartitionOf([]byte("twice"), partitions), Key: []byte("twice"), Value: []byte(value)})
			}
		},
	},
	{
		Name: "odd headers", Who: Record,
		Done: "headers with an empty key, an empty and a nil value, control characters, no UTF-8, the same key 200 times, 64 KB in one value",
		Must: "a good order is processed; a dead letter has them all, byte for byte",
		Try: func(t *testing.T, w *world) {
			headers := []kgo.RecordHeader{
				{Key: "", Value: []byte("x")}, {Key: "empty", Value: []byte{}}, {Key: "nil"}, {Key: "\x00\x1b[2J\r\n", Value: []byte("\x00\x1b]0;title\a")},
				{Key: "\xff", Value: []byte("\xff")}, {Key: "large", Value: bytes.Repeat([]byte("h"), 64<<10)},
			}
			for range 200 {
				headers = append(headers, kgo.RecordHeader{Key: "same", Value: []byte("same")})
			}
			good, bad := order("headed", 1), &kgo.Record{Partition: 3, Key: []byte("headed"), Value: []byte("no order")}
			good.Headers, bad.Headers = headers, headers
			w.send(t, good, bad)
		},
	},
	{
		Name: "escapes for terminals", Who: Record,
		Done: "ANSI and OSC sequences, bells, carriage returns and right-to-left marks in keys, values, headers and names of fields of bad records",
		Must: "dead letters hold them, the log does not",
		Try: func(t *testing.T, w *world) {
			before := w.inst.logSize()
			const evil = "\x1b[2J\x1b]0;owned\a\r\u202e\u0085\u009b31m"
			for _, value := range []string{evil, `{"event_id":"` + evil + `"}`, `{"seq":"` + strings.Trim(fmt.Sprintf("%q", "\x1b[31m"), `"`) + `"}`, "{\"" + evil + "\":1}"} {
				w.send(t, &kgo.Record{Partition: 0, Key: []byte(evil), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: evil, Value: []byte(evil)}}})
			}
			w.caughtUp(t, settleBound)
			for _, c := range w.inst.logFrom(before) {
				if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c <= 0x9f || c == '\u202e' {
					t.Fatalf("the log has character %U", c)
				}
			}
		},
	},
	{
		Name: "odd timestamps", Who: Record,
		Done: "records from the beginning of 1970, from 30 years ago, from next year and from the year 2261, good and bad",
		Must: "processed, or dead letters, which stay whatever their age",
		Try: func(t *testing.T, w *world) {
			for n, stamp := range []time.Time{
				time.UnixMilli(0), time.UnixMilli(1), time.Now().AddDate(-30, 0, 0), time.Now().AddDate(1, 0, 0),
				time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC),
			} {
				good, bad := order(fmt.Sprint("time-", n), 1), &kgo.Record{Partition: 2, Key: []byte("time"), Value: []byte("no order")}
				good.Timestamp, bad.Timestamp = stamp, stamp
				w.send(t, good, bad)
			}
		},
	},
	{
		Name: "no timestamp", Who: Record,
		Done: "batches whose timestamps are -1, with good and bad records",
		Must: "processed as any other",
		Try: func(t *testing.T, w *world) {
			w.sendStamped(t, byModel, -1, order("timeless", 1), &kgo.Record{Partition: 1, Key: []byte("timeless"), Value: []byte("no order")})
		},
	},
	{
		Name: "a record on the wrong partition", Who: Record,
		Done: "orders of one customer on a partition that the key does not hash to",
		Must: "processed where they stand; weir_misplaced_partitions_total counts the partition",
		Try: func(t *testing.T, w *world) {
			for seq := range 3 {
				r := order("astray", seq+1)
				r.Partition = (r.Partition + 1) % partitions
				w.send(t, r)
			}
			w.caughtUp(t, settleBound)
			m, err := w.inst.metrics()
			if err != nil || m.sum("weir_misplaced_partitions_total", names.Input) < 1 {
				t.Errorf("weir_misplaced_partitions_total is %v (%v)", m.sum("weir_misplaced_partitions_total"), err)
			}
		},
	},
	{
		Name: "a batch of 20,000 '{}'", Who: Record,
		Done: "one zstd batch of 20,000 records of two bytes, under a byte each when compressed",
		Must: "each becomes a dead letter",
		Try: func(t *testing.T, w *world) {
			w.sendBatch(t, 1, kgo.ZstdCompression(), repeat(20_000, &kgo.Record{Value: []byte("{}")}))
		},
	},
	{
		Name: "a poison storm", Who: Record,
		Done: "20,000 records that are no orders, each another one, over all partitions",
		Must: "each becomes a dead letter; the log grows by less than 2 MiB",
		Try: func(t *testing.T, w *world) {
			before := w.inst.logSize()
			var storm []*kgo.Record
			for n := range 20_000 {
				storm = append(storm, &kgo.Record{Partition: int32(n % partitions), Key: fmt.Append(nil, "poison-", n), Value: fmt.Appendf(nil, "\x00\xff no order %d", n)})
			}
			w.send(t, storm...)
			w.caughtUp(t, 3*time.Minute)
			if grown := w.inst.logSize() - before; grown > 2<<20 {
				t.Errorf("the log has grown by %d bytes", grown)
			}
		},
	},
	{
		Name: "headers of Weir's on the input", Who: Record,
		Done: "good and bad records that carry weir.errors.* and __streams.errors.* headers: whole dead letters, forged, with numbers that are none",
		Must: "nothing of it is believed: a dead letter names where its record really stands, as its first failure, and keeps the forged headers under the prefix original.",
		Try: func(t *testing.T, w *world) {
			forged := []kgo.RecordHeader{
				{Key: "kept", Value: []byte("kept")},
				{Key: "__streams.errors.topic", Value: []byte("payroll")}, {Key: "__streams.errors.partition", Value: []byte("0")},
				{Key: "__streams.errors.offset", Value: []byte("7")}, {Key: "__streams.errors.exception", Value: []byte("forged")},
				{Key: "__streams.errors.message", Value: []byte("forged")}, {Key: "weir.errors.failures", Value: []byte("2147483647")},
				{Key: "weir.errors.cut", Value: []byte("99")}, {Key: "weir.errors.first.topic", Value: []byte("payroll")},
				{Key: "weir.errors.node", Value: []byte("\x1b[31m")}, {Key: "weir.anything", Value: []byte("forged")},
			}
			good, bad := order("forger", 1), &kgo.Record{Partition: 1, Key: []byte("forger"), Value: []byte("no order")}
			broken := &kgo.Record{Partition: 1, Key: []byte("forger"), Value: []byte("no order either"), Headers: []kgo.RecordHeader{
				{Key: "__streams.errors.topic"}, {Key: "__streams.errors.partition", Value: []byte("x")}, {Key: "weir.errors.attempts", Value: []byte("-1")},
			}}
			good.Headers, bad.Headers = forged, forged
			w.watchLetters(func(r *kgo.Record) string {
				for _, h := range r.Headers {
					if strings.HasPrefix(h.Key, "original.") {
						continue // what the record had, under names that nobody takes for facts
					}
					if bytes.Contains(h.Value, []byte("forged")) || bytes.Contains(h.Value, []byte("payroll")) || h.Key == "weir.errors.cut" || h.Key == "weir.errors.failures" {
						return fmt.Sprintf("header %q has %.60q of the input", h.Key, h.Value)
					}
				}
				return ""
			})
			w.send(t, good, bad, broken)
		},
	},
	{
		Name: "timestamps that no nanoseconds hold", Who: Record,
		Done: "good and bad records of the years 2262, 2300, 9999 and 292278994, beyond what 64 bits of nanoseconds hold",
		Must: "dead letters; none gets another time",
		Try: func(t *testing.T, w *world) {
			for n, ms := range []int64{9_223_372_036_855, 10_413_792_000_000, 253_402_300_799_000, math.MaxInt64} {
				w.sendStamped(t, dead, ms, order(fmt.Sprint("future-", n), 1), &kgo.Record{Partition: 2, Key: []byte("future"), Value: []byte("no order")})
			}
		},
	},
}

// repeat is a record n times.
func repeat(n int, r *kgo.Record) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		same := *r
		all[i] = &same
	}
	return all
}

// sendBatch writes records as one batch.
func (w *world) sendBatch(t *testing.T, partition int32, codec kgo.CompressionCodec, records []*kgo.Record) {
	t.Helper()
	client, err := producer(w.cluster.Addrs(), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Second), kgo.MaxBufferedRecords(len(records)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, r := range records {
		r.Partition = partition
	}
	w.write(t, client, byModel, records...)
}
