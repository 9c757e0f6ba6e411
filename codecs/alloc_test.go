//go:build !race

// Under the race detector sync.Pool forgets things on purpose, and what uses one allocates.

package codecs

import "testing"

// TestEncodingAllocatesNothing appends to a buffer that is large enough. Seen to fail: json.Marshal in Append.
func TestEncodingAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 256)
	orders, texts, numbers := Codec[order](JSON[order]()), Codec[string](String()), Codec[int64](Int64())
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = orders.Append(buf, sample)
		_, _ = texts.Append(buf, sample.Customer)
		_, _ = numbers.Append(buf, sample.Amount)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDecodingAllocatesTheStringsOnly parses a struct with two strings. Mutations tried: Parse that leaves all to
// encoding/json, with 3; a value that is not pooled, with 3.
func TestDecodingAllocatesTheStringsOnly(t *testing.T) {
	c := Codec[order](JSON[order]())
	data, err := c.Append(nil, sample)
	if err != nil {
		t.Fatal(err)
	}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Parse(data)
		}
	})
	if n, size := result.AllocsPerOp(), result.AllocedBytesPerOp(); n > 2 || size > 64 {
		t.Errorf("%d allocations, %d bytes", n, size)
	}
}
