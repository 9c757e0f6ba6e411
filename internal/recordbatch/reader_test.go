package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/record"
)

func clean(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// plainly is a record as text.
func (rec *Record) plainly() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d@%d %s=%s", rec.Offset, rec.Timestamp, text(rec.Key), text(rec.Value))
	rec.Headers(func(key, value []byte) bool {
		fmt.Fprintf(&s, " %s:%s", text(key), text(value))
		return true
	})
	return s.String()
}

func text(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > 20 {
		return fmt.Sprintf("%q..%d", b[:20], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// franz is what franz-go reads.
func franz(raw []byte) (records []string, err error) {
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches, p.HighWatermark, p.LastStableOffset = raw, 1<<62, 1<<62
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: true}, &p, kgo.DefaultDecompressor(), nil)
	for _, r := range got.Records {
		rec := Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, HeaderCount: len(r.Headers)}
		if r.Attrs.TimestampType() < 0 {
			rec.Timestamp = -1
		}
		s := rec
		s.HeaderCount = 0
		line := s.plainly()
		for _, h := range r.Headers {
			line += fmt.Sprintf(" %s:%s", text([]byte(h.Key)), text(h.Value))
		}
		records = append(records, line)
	}
	return records, got.Err
}

func lines(records []Record) (lines []string) {
	for i := range records {
		lines = append(lines, records[i].plainly())
	}
	return lines
}

func someBytes(t *rapid.T, name string, null bool) []byte {
	if null && rapid.IntRange(0, 9).Draw(t, name+" null") == 0 {
		return nil
	}
	if rapid.IntRange(0, 40).Draw(t, name+" large") == 0 {
		return bytes.Repeat([]byte{'z'}, rapid.IntRange(0, 700_000).Draw(t, name+" size"))
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, name)
}

// someBatches draws what a broker may answer: batches of format 2, or an old message set.
func someBatches(t *rapid.T) []byte {
	var raw []byte
	offset := int64(rapid.IntRange(0, 1000).Draw(t, "from"))
	least := 0 // formats follow each other as clusters are upgraded
	for range rapid.IntRange(1, 4).Draw(t, "batches") {
		n := rapid.IntRange(0, 20).Draw(t, "records")
		switch magic := rapid.IntRange(least, 2).Draw(t, "magic"); magic {
		case 2:
			least = 2
			codec := int8(rapid.IntRange(0, 4).Draw(t, "codec"))
			if n == 0 {
				codec = codecNone // so compaction leaves it
			}
			b := batch{base: offset, attributes: int16(codec), first: int64(rapid.IntRange(-1, 1<<40).Draw(t, "first")), max: 1 << 41, producer: -1, epoch: 3}
			if rapid.Bool().Draw(t, "append time") {
				b.attributes |= 8
			}
			var records []byte
			delta := int64(0)
			for range n {
				delta += int64(rapid.IntRange(0, 3).Draw(t, "gap"))
				i := item{delta: delta, stamp: int64(rapid.IntRange(0, 1<<20).Draw(t, "stamp")), key: someBytes(t, "key", true), value: someBytes(t, "value", true)}
				for range rapid.IntRange(0, 3).Draw(t, "headers") {
					i.headers = append(i.headers, kmsg.Header{Key: string(someBytes(t, "header", false)), Value: someBytes(t, "header value", true)})
				}
				records = append(records, i.wire()...)
				delta++
			}
			b.last, b.count = int32(max(delta-1, 0)), int32(n)
			if n > 0 {
				b.records = compress(codec, records)
				if codec == codecSnappy && rapid.Bool().Draw(t, "raw") {
					b.records = snappy.Encode(nil, records)
				}
			}
			raw = append(raw, b.wire()...)
			offset += delta + 1
		default:
			least = magic
			codec := int8(rapid.IntRange(0, 3).Draw(t, "codec"))
			stamp := int64(-1)
			if magic == 1 {
				stamp = int64(rapid.IntRange(0, 1<<40).Draw(t, "stamp"))
			}
			var set []byte
			inner := int64(0)
			first := offset
			for range n {
				if codec == codecNone || magic == 0 {
					set = append(set, oldMessage(int8(magic), offset, 0, stamp, someBytes(t, "key", true), someBytes(t, "value", true))...)
				} else {
					set = append(set, oldMessage(1, inner, 0, stamp, someBytes(t, "key", true), someBytes(t, "value", true))...)
				}
				gap := int64(rapid.IntRange(1, 3).Draw(t, "gap"))
				offset += gap
				inner += gap
			}
			if codec != codecNone && n > 0 {
				// The wrapper has the offset of the last message inside. Work it out from what was written.
				last := int64(0)
				for s := set; len(s) > 0; s = s[12+binary.BigEndian.Uint32(s[8:]):] {
					last = int64(binary.BigEndian.Uint64(s))
				}
				if magic == 1 {
					last += first
				}
				set = oldMessage(int8(magic), last, codec, 7777, nil, compress(codec, set))
			}
			raw = append(raw, set...)
		}
	}
	return raw
}

// Mutations: offsets of format 1 are taken as absolute; a null value becomes empty; the append time is ignored; a record
// that crosses two pieces loses its beginning (fill does not copy); a piece is written to again (begin sets at to 0).
func TestWhatIsReadIsWhatFranzGoAndSaramaRead(t *testing.T) {
	p := newPeer(t)
	rapid.Check(t, func(t *rapid.T) {
		raw := someBatches(t)
		got, err := read(raw, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		want, err := franz(raw)
		if err != nil {
			t.Fatal("franz-go: ", err)
		}
		if diff := difference(lines(got), want); diff != "" {
			t.Fatal("franz-go: ", diff)
		}
		if saramasFault(raw) != "" {
			return
		}
		if want, err = p.read(raw); err != nil {
			t.Fatal("sarama: ", err)
		}
		if diff := difference(lines(got), want); diff != "" {
			t.Fatal("sarama: ", diff)
		}
	})
}

// difference is where two lists of records differ first, or nothing.
func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("%d records, want %d; at %d: %.300q, want %.300q", len(got), len(want), i,
				got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
	return ""
}

// franz-go leaves the time of the append in a wrapper unread; Java gives it to every message inside.
//
// Mutations: the wrapper's time is ignored; mendLZ4 is not called.
func TestOldMessagesAreReadAsJavaDoes(t *testing.T) {
	for codec := codecGzip; codec <= codecLZ4; codec++ {
		inner := append(oldMessage(1, 3, 0, 5, nil, []byte("a")), oldMessage(1, 6, 0, 6, []byte("k"), nil)...)
		raw := oldMessage(1, 100, codec|8, 7777, nil, compress(codec, inner))
		absolute := append(oldMessage(0, 200, 0, 0, nil, []byte("b")), oldMessage(0, 203, 0, 0, []byte("k"), nil)...)
		payload := compress(codec, absolute)
		if codec == codecLZ4 {
			payload[6] ^= 0xff // the wrong checksum of old writers (KAFKA-3160)
		}
		raw = append(raw, oldMessage(0, 203, codec, 0, nil, payload)...)
		got := strings.Join(lines(mustRead(t, raw, DefaultLimits())), ", ")
		if want := `97@7777 null="a", 100@7777 "k"=null, 200@-1 null="b", 203@-1 "k"=null`; got != want {
			t.Errorf("codec %d: %s, want %s", codec, got, want)
		}
	}
	// Limits hold in them, too.
	inner := append(oldMessage(1, 0, 0, 5, []byte("k"), make([]byte, 3000)), oldMessage(1, 1, 0, 6, []byte("k"), make([]byte, 300))...)
	raw := oldMessage(1, 100, codecGzip, 7, nil, compress(codecGzip, append(inner, oldMessage(1, 2, 0, 6, nil, []byte("c"))...)))
	limits := DefaultLimits()
	limits.Record, limits.Value = 2000, 200
	got := mustRead(t, raw, limits)
	if len(got) != 3 || *got[0].Excess != (record.Excess{Limit: LimitRecord, Size: 3023, Max: 2000, Last: 98, Records: 1}) || string(got[0].Key) != "k" || got[0].Timestamp != 5 ||
		*got[1].Excess != (record.Excess{Limit: LimitValue, Size: 300, Max: 200, Last: 99, Records: 1}) || got[2].Excess != nil || got[2].Offset != 100 {
		t.Errorf("%+v", got)
	}
	limits.Records = 2
	if got := mustRead(t, raw, limits); len(got) != 1 || got[0].Offset != 98 || *got[0].Excess != (record.Excess{Limit: LimitRecords, Size: 3, Max: 2, Last: 100, Records: 1}) {
		t.Errorf("%+v %+v", got, got[0].Excess)
	}
}

// Every byte that is changed is noticed, but in those that the checksum does not cover: the first offset, the size and the
// leader epoch.
//
// Mutation: the checksum is not compared.
func TestDamageIsNoticed(t *testing.T) {
	for _, raw := range [][]byte{
		batchOf(codecNone, 5, item{key: []byte("k"), value: []byte("value")}),
		batchOf(codecZstd, 5, item{key: []byte("k"), value: []byte("value")}),
		oldMessage(1, 5, 0, 1, []byte("k"), []byte("value")),
	} {
		for i := 12; i < len(raw); i++ {
			if raw[magicAt] == 2 && i < 16 {
				continue
			}
			bad := bytes.Clone(raw)
			bad[i] ^= 0x10
			var corrupt *CorruptError
			if _, err := read(bad, DefaultLimits()); !errors.As(err, &corrupt) {
				t.Errorf("byte %d changed: %v", i, err)
			}
		}
		for n := range raw[1:] {
			if _, err := read(raw[:n+1], DefaultLimits()); !errors.Is(err, ErrCut) {
				t.Errorf("cut at %d: %v", n+1, err)
			}
		}
	}
}

// What has a right checksum may be nonsense all the same.
//
// Mutations: a check in parse or record removed.
func TestNonsenseIsRefused(t *testing.T) {
	one := item{value: []byte("v")}.wire()
	fits := batch{last: 0, count: 1, records: one, producer: -1}
	for name, change := range map[string]func(*batch){
		"more records than declared":  func(b *batch) { b.records = append(bytes.Clone(one), one...) },
		"fewer records than declared": func(b *batch) { b.count = 2; b.last = 1 },
		"a negative count":            func(b *batch) { b.count = -1 },
		"a negative end":              func(b *batch) { b.last = -1 },
		"a negative offset":           func(b *batch) { b.base = -5 },
		"an end past all offsets":     func(b *batch) { b.base = 1<<63 - 1; b.last = 1 },
		"an unknown codec":            func(b *batch) { b.attributes = 5 },
		"a record past the end":       func(b *batch) { b.records = item{delta: 3}.wire() },
		"a record that goes back": func(b *batch) {
			b.count, b.last = 2, 1
			b.records = append(item{delta: 1}.wire(), item{delta: 0}.wire()...)
		},
		"a record of negative size":    func(b *batch) { b.records = []byte{1} },
		"a record of endless size":     func(b *batch) { b.records = bytes.Repeat([]byte{0xff}, 20) },
		"a size that is not there":     func(b *batch) { b.records = []byte{0x80, 0x80, 0x40} },
		"a key longer than its record": func(b *batch) { b.records = []byte{12, 0, 0, 0, 100, 1, 0} },
		"headers that are not there":   func(b *batch) { b.records = []byte{14, 0, 0, 0, 1, 1, 0x7e, 0} },
		"a header's key that is null":  func(b *batch) { b.records = []byte{16, 0, 0, 0, 1, 1, 2, 1, 1} },
		"bytes after the headers":      func(b *batch) { b.records = []byte{14, 0, 0, 0, 1, 1, 0, 9} },
		"gzip that is none":            func(b *batch) { b.attributes = 1; b.records = []byte("no gzip at all") },
		"zstd that is none":            func(b *batch) { b.attributes = 4; b.records = []byte("no zstd at all") },
		"lz4 that is none":             func(b *batch) { b.attributes = 3; b.records = []byte("no lz4 at all") },
		"snappy that is none":          func(b *batch) { b.attributes = 2; b.records = []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1} },
		"snappy with a lying size":     func(b *batch) { b.attributes = 2; b.records = []byte{0xff, 0xff, 0xff, 0x7f, 1, 1} },
		"xerial cut off": func(b *batch) {
			b.attributes = 2
			b.records = append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
		},
		"compressed and cut off": func(b *batch) { b.attributes = 4; c := compress(codecZstd, one); b.records = c[:len(c)-3] },
	} {
		b := fits
		change(&b)
		var corrupt *CorruptError
		if got, err := read(b.wire(), DefaultLimits()); !errors.As(err, &corrupt) {
			t.Errorf("%s: %q, %v", name, lines(got), err)
		}
	}
	if _, err := read(fits.wire(), DefaultLimits()); err != nil {
		t.Error("what fits is refused: ", err)
	}
}

// Mutations: a limit is not compared (each); large keeps no key; what follows a large record is lost; the range of what is
// left of a batch begins at its first record.
func TestWhatIsOverALimitIsOneExcess(t *testing.T) {
	small := func(delta int64) item { return item{delta: delta, key: []byte("k"), value: []byte("small")} }
	large := func(size int) item { return item{delta: 1, key: []byte("key"), value: make([]byte, size)} }
	headers := func(n, size int) item {
		i := item{delta: 1, key: []byte("key"), value: []byte("v")}
		for range n {
			i.headers = append(i.headers, kmsg.Header{Key: strings.Repeat("h", size)})
		}
		return i
	}
	limits := Limits{Batch: 60_000, Records: 4, Block: 80_000, Record: 20_000, Key: 500, Value: 10_000, Headers: 50, HeaderBytes: 1000}
	for _, tc := range []struct {
		name string
		in   []item
		want string
	}{
		{"nothing", []item{small(0), large(10_000), small(2)}, "0 1 2"},
		{"value", []item{small(0), large(10_001), small(2)}, `0 1!max.value.bytes 10001>10000..1(1)"key" 2`},
		{"record", []item{small(0), large(20_001), small(2)}, `0 1!max.record.bytes 20012>20000..1(1)"key" 2`},
		{"key", []item{small(0), {delta: 1, key: make([]byte, 501), value: []byte("v")}, small(2)}, `0 1!max.key.bytes 501>500..1(1)null 2`},
		{"record by its key", []item{small(0), {delta: 1, key: make([]byte, 30_000)}, small(2)}, `0 1!max.record.bytes 30008>20000..1(1)null 2`},
		{"headers", []item{small(0), headers(51, 1), small(2)}, `0 1!max.headers 51>50..1(1)"key" 2`},
		{"bytes of headers", []item{small(0), headers(2, 501), small(2)}, `0 1!max.headers.bytes 1002>1000..1(1)"key" 2`},
		{"records", []item{small(0), small(1), small(2), small(3), small(7)}, `0!max.batch.records 5>4..7(5)null`},
		{"batch", []item{small(0), {delta: 1, key: []byte("key"), value: make([]byte, 59_000)}, {delta: 5, value: make([]byte, 9000)}, small(8)},
			`0 1!max.record.bytes 59011>20000..1(1)"key" 2!max.batch.bytes 60001>60000..8(2)null`},
	} {
		for codec := codecNone; codec <= codecZstd; codec++ {
			raw := append(batchOf(codec, 100, tc.in...), batchOf(codecNone, 200, small(0))...)
			var got []string
			for _, rec := range mustRead(t, raw, limits) {
				s := fmt.Sprint(rec.Offset - 100)
				if e := rec.Excess; e != nil {
					s += fmt.Sprintf("!%s %d>%d..%d(%d)%s", e.Limit, e.Size, e.Max, e.Last-100, e.Records, text(rec.Key))
				}
				got = append(got, s)
			}
			if g, want := strings.Join(got, " "), tc.want+" 100"; g != want {
				t.Errorf("%s, codec %d:\n%s, want\n%s", tc.name, codec, g, want)
			}
		}
	}
	block := batch{base: 100, last: 9, count: 10, attributes: 2, producer: -1, records: snappy.Encode(nil, make([]byte, 80_001))}.wire()
	limits.Records = 100
	if got := mustRead(t, block, limits); len(got) != 1 || *got[0].Excess != (record.Excess{Limit: LimitBlock, Size: 80_001, Max: 80_000, Last: 109, Records: 10}) || got[0].Offset != 100 {
		t.Errorf("block: %+v", got)
	}
}

// Mutations: the batch is decompressed whole; buf grows to the size that a record claims.
func TestMemoryFollowsWhatIsReadNotWhatIsClaimed(t *testing.T) {
	record := item{key: make([]byte, 8), value: make([]byte, 1000)}
	var records []byte
	const n = 64 << 10
	for i := range n {
		record.delta = int64(i)
		records = append(records, record.wire()...)
	}
	huge := batch{last: n - 1, count: n, attributes: int16(codecZstd), producer: -1, records: compress(codecZstd, records)}.wire()
	claim := binary.AppendVarint(nil, 30<<20)
	lying := batch{count: 1, producer: -1, attributes: int16(codecZstd), records: compress(codecZstd, append(claim, 0, 0, 0, 1, 1, 0))}.wire()
	// A pool may be empty, so what a decoder itself takes (8 MiB at most here) is left out by warming it up.
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		f()
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	r := NewReader(DefaultLimits())
	b, _, err := Next(huge)
	if err != nil {
		t.Fatal(err)
	}
	if got := allocated(func() {
		r.Reset(b)
		var rec Record
		for range 100 {
			if err := r.Next(&rec); err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
	}); got > 20<<20 {
		t.Errorf("100 records of %d took %d bytes", n, got)
	}
	if got := allocated(func() {
		if _, err := read(lying, DefaultLimits()); err == nil {
			t.Error("a record that is not there is read")
		}
	}); got > 20<<20 {
		t.Errorf("a claim of 30 MiB took %d bytes", got)
	}
}

// Mutation: NextSize takes the size away from Next.
func TestTheSizeOfTheNextRecordIsKnownBeforeItIsRead(t *testing.T) {
	items := []item{{value: []byte("v")}, {delta: 1, value: make([]byte, 300_000)}, {delta: 2, value: make([]byte, 900_000)}, {delta: 3}}
	for codec := codecNone; codec <= codecZstd; codec++ {
		b, _, err := Next(batchOf(codec, 0, items...))
		if err != nil {
			t.Fatal(err)
		}
		limits := DefaultLimits()
		limits.Record = 500_000
		r := NewReader(limits)
		r.Reset(b)
		var got []int64
		var rec Record
		for {
			got = append(got, r.NextSize())
			if err := r.Next(&rec); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, []int64{7, 300_008, 0, 6, 0}) {
			t.Errorf("codec %d: %v", codec, got)
		}
	}
}

// FuzzRead looks for bytes that make the reader panic, hang or disagree with franz-go or sarama.
func FuzzRead(f *testing.F) {
	p := newPeer(f)
	one := item{key: []byte("k"), value: []byte("v"), headers: []kmsg.Header{{Key: "h", Value: nil}}}
	for codec := codecNone; codec <= codecZstd; codec++ {
		f.Add(batchOf(codec, 3, one, item{delta: 4, value: []byte("w")}))
	}
	for codec := codecNone; codec <= codecLZ4; codec++ {
		set := append(oldMessage(1, 0, 0, 5, nil, []byte("v")), oldMessage(1, 1, 0, 5, []byte("k"), nil)...)
		f.Add(oldMessage(1, 8, codec, 5, nil, compress(codec, set)))
		set = append(oldMessage(0, 7, 0, 5, nil, []byte("v")), oldMessage(0, 8, 0, 5, []byte("k"), nil)...)
		f.Add(oldMessage(0, 8, codec, 5, nil, compress(codec, set)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = mend(raw)
		limits := Limits{Batch: 1 << 20, Records: 10_000, Block: 1 << 20, Record: 100_000, Key: 100_000, Value: 100_000, Headers: 100, HeaderBytes: 100_000}
		got, err := read(raw, limits)
		for i := range got {
			if got[i].Excess != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, ErrCut) {
			return // franz-go stops silently at some damage
		}
		fault := saramasFault(raw)
		if fault == farTimes || fault == oddSize {
			return
		}
		want, err := franz(raw)
		if diff := difference(lines(got), want); diff != "" && err == nil { // unknown attributes of old messages it refuses
			t.Fatal("franz-go: ", diff)
		}
		if fault != "" {
			return
		}
		want, err = p.read(whole(raw)) // it believes the header of a batch that is cut off
		if err != nil {
			return // sizes below -1, which Java takes for null, it refuses
		}
		if diff := difference(lines(got), want); diff != "" {
			t.Fatal("sarama: ", diff)
		}
	})
}

// whole is raw without a batch at its end that is cut off.
func whole(raw []byte) []byte {
	for rest := raw; ; {
		_, next, err := Next(rest)
		if err != nil {
			return raw[:len(raw)-len(rest)]
		}
		rest = next
	}
}

// mend sets the checksums right, so that the fuzzer gets past them.
func mend(raw []byte) []byte {
	raw = bytes.Clone(raw)
	for at := raw; len(at) >= prefixSize; {
		size := int64(int32(binary.BigEndian.Uint32(at[lengthAt:])))
		if size < 14 || 12+size > int64(len(at)) {
			break
		}
		whole := at[:12+size]
		if at[magicAt] == 2 && size >= headerSize-12 {
			binary.BigEndian.PutUint32(whole[17:], sumOf(whole[21:], true))
		} else if at[magicAt] < 2 {
			binary.BigEndian.PutUint32(whole[12:], sumOf(whole[16:], false))
		}
		at = at[12+size:]
	}
	return raw
}

// TestHeadSaysWhatTheWholeBatchDoes, also where there is nothing but its header, and refuses what makes no sense.
//
// Mutations tried: Head checks no lengths; it takes other formats; the number of records is not compared.
func TestHeadSaysWhatTheWholeBatchDoes(t *testing.T) {
	for _, codec := range []int8{codecNone, codecGzip, codecZstd} {
		raw := batchOf(codec, 98, item{key: []byte("k"), value: []byte("a")}, item{value: []byte("b"), delta: 1})
		whole, _, err := Next(raw)
		if err != nil {
			t.Fatal(err)
		}
		whole.body = nil
		for _, cut := range []int{headerSize, headerSize + 1, len(raw)} {
			if b, size, err := Head(raw[:cut]); err != nil || size != int64(len(raw)) || !reflect.DeepEqual(b, whole) {
				t.Errorf("codec %d, %d bytes: %+v of %d bytes, %v, want %+v", codec, cut, b, size, err, whole)
			}
		}
		if _, _, err := Head(raw[:headerSize-1]); err == nil {
			t.Error("half a header is read")
		}
	}
	for name, spoil := range map[string]func(b []byte){
		"format 1":                 func(b []byte) { b[magicAt] = 1 },
		"shorter than its header":  func(b []byte) { binary.BigEndian.PutUint32(b[lengthAt:], 48) },
		"ends before it begins":    func(b []byte) { binary.BigEndian.PutUint32(b[23:], 1<<31) },
		"more records than places": func(b []byte) { binary.BigEndian.PutUint32(b[57:], 3) },
		"before the beginning":     func(b []byte) { b[0] = 0x80 },
	} {
		raw := batchOf(codecNone, 98, item{value: []byte("a")}, item{value: []byte("b"), delta: 1})
		spoil(raw)
		var corrupt *CorruptError
		if b, _, err := Head(raw); !errors.As(err, &corrupt) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}
