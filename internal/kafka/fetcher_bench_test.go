package kafka

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/recordbatch"
)

// BenchmarkDecode is the way from a broker's bytes to a Batch, for an answer of 230 B records.
func BenchmarkDecode(b *testing.B) {
	values := make([]string, 4000)
	for i := range values {
		values[i] = strings.Repeat("x", 215)
	}
	answer := block(plain(0, values...))
	answer.HighWatermark = int64(len(values))
	b.ReportAllocs()
	for b.Loop() {
		a := newFetched(answer, recordbatch.DefaultLimits())
		for position := int64(0); ; {
			got := Batch{Position: position}
			done, err := a.next(&got, chunkBytes, func(int64) bool { return true })
			if err != nil {
				b.Fatal(err)
			}
			if position = got.Position; done {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/record")
}
