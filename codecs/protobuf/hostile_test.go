package protobuf_test

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/schema/shop"
)

// returned is a parcel in a parcel in a parcel.
func returned(depth int) (data []byte) {
	lengths := make([]int, depth)
	size := 0
	for i := range lengths {
		lengths[i] = size
		size += 1 + len(binary.AppendUvarint(nil, uint64(size)))
	}
	for i := depth - 1; i >= 0; i-- {
		data = binary.AppendUvarint(append(data, 12<<3|2), uint64(lengths[i]))
	}
	return data
}

// cost is the memory that reading takes.
func cost(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Bytes that promise more than they hold, or nest without end, are an error, and cost what they hold.
//
// Mutation seen to fail it: ParseIn with a limit of nesting that nothing reaches.
func TestHostileBytesAreAnErrorAndCostNothing(t *testing.T) {
	codec := protobuf.Of[*shop.Parcel]()
	_, _ = codec.Parse(nil)
	for name, data := range map[string]string{
		"bytes of 2^60":        "\x22" + string(binary.AppendUvarint(nil, 1<<60)),
		"numbers of 2^40":      "\x2a" + string(binary.AppendUvarint(nil, 1<<40)) + "\x01",
		"messages in messages": string(returned(5000)),
		"a number without end": "\x10" + strings.Repeat("\xff", 20),
		"groups in groups":     strings.Repeat("\xa3\x06", 1_000_000),
		"a field 0":            "\x00\x00",
		"no UTF-8":             "\x0a\x01\xff",
	} {
		var err error
		spent := cost(func() { _, err = codec.Parse([]byte(data)) })
		if err == nil {
			t.Errorf("%s: it is read", name)
		}
		if spent > 256<<10+200*uint64(len(data)) {
			t.Errorf("%s: %d bytes cost %d", name, len(data), spent)
		}
	}
}

// Any bytes are read or are an error; what is read is written, and read again as the same message.
func FuzzParse(f *testing.F) {
	codec := protobuf.Of[*shop.Parcel]()
	seed, _ := codec.Append(nil, &shop.Parcel{Id: "a", Stops: []int64{1, -1}, Boxes: map[string]*shop.Box_Size{"b": {Width: 1}}, Destination: &shop.Parcel_Locker{Locker: "l"}, Returned: &shop.Parcel{}})
	f.Add(seed)
	f.Add(returned(50))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m *shop.Parcel
		var err error
		if spent := cost(func() { m, err = codec.Parse(data) }); spent > 256<<10+400*uint64(len(data)) {
			t.Errorf("%d bytes cost %d", len(data), spent)
		}
		if err != nil {
			return
		}
		once, err := codec.Append(nil, m)
		if err != nil {
			t.Fatalf("it was read, and is not written: %v", err)
		}
		if again, err := codec.Parse(once); err != nil || !proto.Equal(again, m) {
			t.Fatalf("%v, then %v, %v", m, again, err)
		}
	})
}
