//go:build !race

// Under the race detector sync.Pool forgets things on purpose, and what uses one allocates.

package codecs

import (
	"runtime"
	"testing"
)

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
	const runs = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := testing.AllocsPerRun(runs, func() { _, _ = c.Parse(data) })
	runtime.ReadMemStats(&after)
	// AllocsPerRun itself allocates a little.
	if size := (after.TotalAlloc - before.TotalAlloc) / runs; n > 2 || size > 64+8 {
		t.Errorf("%v allocations, %d bytes", n, size)
	}
}

// A document that ends in a newline, as json.Encoder writes them, is decoded by the pooled decoder too: else it would be decoded twice, the
// second time by a new one. Mutation seen to fail: decode is given the newline.
func TestANewlineAtTheEndCostsNothing(t *testing.T) {
	c := JSON[map[string]any]()
	allocations := func(document string) float64 {
		data := []byte(document)
		return testing.AllocsPerRun(1000, func() {
			if _, err := c.Parse(data); err != nil {
				t.Fatal(err)
			}
		})
	}
	if without, with := allocations(`{"a":"b"}`), allocations("{\"a\":\"b\"} \r\n"); with > without {
		t.Errorf("%v allocations, %v without the newline", with, without)
	}
}
