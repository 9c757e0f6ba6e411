package kafka

import (
	"strings"
	"testing"
)

// BenchmarkUnpack is what the fetcher itself adds to sarama's decoding, for a full answer of 230 B records.
func BenchmarkUnpack(b *testing.B) {
	values := make([]string, 4000)
	for i := range values {
		values[i] = strings.Repeat("x", 215)
	}
	answer := block(plain(0, values...))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := unpack(TopicPartition{"in", 0}, 0, answer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/record")
}
