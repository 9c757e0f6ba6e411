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

// TestDecodingAllocatesTheValueOnly parses a struct with two strings: these and the struct. Seen to fail: json.Unmarshal
// in Parse, with 7.
func TestDecodingAllocatesTheValueOnly(t *testing.T) {
	c := Codec[order](JSON[order]())
	data, err := c.Append(nil, sample)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Parse(data) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}
