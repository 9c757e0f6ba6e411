package avro_test

import (
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/weirstream/weir/codecs/avro"
)

// spent is what a call allocates.
func spent(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const (
	listSchema    = `{"type":"array","items":"long"}`
	nullsSchema   = `{"type":"array","items":"null"}`
	emptySchema   = `{"type":"array","items":{"type":"record","name":"E","fields":[]}}`
	chainSchema   = `{"type":"record","name":"Chain","fields":[{"name":"next","type":["null","Chain"],"default":null}]}`
	nestedSchema  = `{"type":"record","name":"Nested","fields":[{"name":"list","type":{"type":"array","items":"Nested"}}]}`
	decimalSchema = `{"type":"bytes","logicalType":"decimal","precision":2147483647,"scale":2147483647}`
)

func hostile() map[string]struct{ schema, data string } {
	varint := func(n int64) string { return string(binary.AppendVarint(nil, n)) }
	return map[string]struct{ schema, data string }{
		"a list of 2^60":             {listSchema, varint(1<<60) + varint(7)},
		"a list of -2^63":            {listSchema, varint(math.MinInt64) + varint(7)},
		"a list of 2^60 nulls":       {nullsSchema, varint(1 << 60)},
		"a list of 2^40 in blocks":   {nullsSchema, strings.Repeat(varint(1<<40), 100) + varint(0)},
		"a list of empty records":    {emptySchema, varint(1 << 60)},
		"a string of 2^60":           {`"string"`, varint(1<<60) + "x"},
		"a string of -1":             {`"string"`, varint(-1)},
		"bytes of 2^60":              {`"bytes"`, varint(1<<60) + "x"},
		"a map of 2^60":              {`{"type":"map","values":"null"}`, varint(1<<60) + varint(1) + "a"},
		"a chain of a million":       {chainSchema, strings.Repeat("\x02", 1_000_000)},
		"a million lists in a list":  {nestedSchema, strings.Repeat("\x02", 1_000_000)},
		"a decimal of a megabyte":    {`{"type":"bytes","logicalType":"decimal","precision":100,"scale":2}`, varint(1<<20) + strings.Repeat("\x7f", 1<<20)},
		"a scale of 2^31":            {decimalSchema, varint(1) + "\x05"},
		"a number that has no end":   {`"long"`, strings.Repeat("\xff", 100)},
		"a branch that there is not": {`["null","string"]`, varint(1 << 40)},
		"a symbol that there is not": {`{"type":"enum","name":"S","symbols":["A"]}`, varint(1 << 40)},
	}
}

// bounded says whether reading took no more memory than the bytes that are there may want.
func bounded(spent uint64, data int) bool { return spent < 256<<10+64*uint64(data) }

// Bytes that promise more than they hold are an error, and cost what they hold: lengths, depths, numbers and scales of any size.
//
// Not seen to fail by a change of ours: the bounds are the library's, and this keeps a newer one to them.
func TestHostileBytesAreAnErrorAndCostNothing(t *testing.T) {
	for name, h := range hostile() {
		codec := avro.Of[any](avro.Schema(h.schema))
		_, _ = codec.Parse(nil) // what is made once is no cost of the bytes
		var err error
		cost := spent(func() { _, err = codec.Parse([]byte(h.data)) })
		if err == nil {
			t.Errorf("%s: it is read", name)
		}
		if !bounded(cost, len(h.data)) {
			t.Errorf("%s: %d bytes cost %d", name, len(h.data), cost)
		}
	}
}

const fuzzSchema = `{"type":"record","name":"F","fields":[{"name":"u","type":["null","long","string",{"type":"array","items":"F"},{"type":"map","values":"bytes"}]},
{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":40,"scale":10}},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"x","type":{"type":"fixed","name":"X","size":3}}]}`

// Any bytes are read or are an error; what is read is written, and read again as the same bytes.
func FuzzParse(f *testing.F) {
	codec := avro.Of[any](avro.Schema(fuzzSchema))
	_, _ = codec.Parse(nil)
	for _, h := range hostile() {
		if len(h.data) < 1000 {
			f.Add([]byte(h.data))
		}
	}
	f.Add([]byte("\x02\x0e\x02\x05\x00\x00abc"))
	f.Add([]byte("\x06\x02\x00\x02\x01\x00\x00abc\x00\x02\x05\x02\x02xyz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		var err error
		if cost := spent(func() { v, err = codec.Parse(data) }); !bounded(cost, len(data)) {
			t.Errorf("%d bytes cost %d", len(data), cost)
		}
		if err != nil {
			return
		}
		once, err := codec.Append(nil, v)
		if err != nil {
			t.Fatalf("%v was read, and is not written: %v", v, err)
		}
		again, err := codec.Parse(once)
		if err != nil {
			t.Fatalf("%x was written, and is not read: %v", once, err)
		}
		if twice, err := codec.Append(nil, again); err != nil || len(twice) != len(once) {
			t.Fatalf("%x, then %x, %v", once, twice, err)
		}
	})
}
