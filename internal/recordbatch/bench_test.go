package recordbatch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkRead reads a batch of 4,000 records of 230 B, by codec, as Weir does and as its peers do, which make an object a record.
func BenchmarkRead(b *testing.B) {
	const n = 4000
	random := rand.New(rand.NewPCG(1, 2))
	var records []byte
	for i := range n {
		value := bytes.Repeat(fmt.Appendf(nil, "%016x", random.Uint64()), 16)[:215]
		records = append(records, item{delta: int64(i), stamp: int64(i), key: fmt.Appendf(nil, "key-%06d", i), value: value}.wire()...)
	}
	for codec, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		raw := batch{last: n - 1, count: n, attributes: int16(codec), producer: -1, records: compress(int8(codec), records)}.wire()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := NewReader(DefaultLimits())
			var rec Record
			for b.Loop() {
				batch, _, err := Next(raw)
				if err != nil {
					b.Fatal(err)
				}
				r.Reset(batch)
				for range n {
					if err := r.Next(&rec); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
		b.Run(name+"/sarama", func(b *testing.B) { // with a copy through a pipe, which is a small part
			b.ReportAllocs()
			p := newPeer(b)
			for b.Loop() {
				got, err := p.fetch(raw)
				if err != nil || len(got.RecordsSet) != 1 || len(got.RecordsSet[0].RecordBatch.Records) != n {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
		b.Run(name+"/franz-go", func(b *testing.B) {
			b.ReportAllocs()
			part := kmsg.NewFetchResponseTopicPartition()
			part.RecordBatches, part.HighWatermark, part.LastStableOffset = raw, n, n
			for b.Loop() {
				got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &part, kgo.DefaultDecompressor(), nil)
				if got.Err != nil || len(got.Records) != n {
					b.Fatal(got.Err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}
