package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/recordbatch"
)

// rawBatch is a batch that a broker may send; wire makes its bytes.
type rawBatch struct {
	kmsg.RecordBatch
	items []kmsg.Record
}

func (b *rawBatch) wire() []byte {
	rb := b.RecordBatch
	rb.NumRecords = int32(len(b.items))
	rb.Records = nil
	for _, r := range b.items {
		body := r.AppendTo(nil)[1:] // without its length
		rb.Records = append(binary.AppendVarint(rb.Records, int64(len(body))), body...)
	}
	raw := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// plain, txn, marker and the like make the batches that a broker may send.
func plain(first int64, values ...string) *rawBatch {
	b := &rawBatch{RecordBatch: kmsg.RecordBatch{Magic: 2, FirstOffset: first, LastOffsetDelta: int32(len(values) - 1), ProducerID: -1, FirstTimestamp: 1000, MaxTimestamp: 9000}}
	for i, v := range values {
		if v != "" { // "" is a record that compaction has removed
			b.items = append(b.items, kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: int64(i), Value: []byte(v)})
		}
	}
	return b
}

func txn(producer, first int64, values ...string) *rawBatch {
	b := plain(first, values...)
	b.ProducerID = producer
	b.Attributes |= 16
	return b
}

func marker(producer, offset int64, kind byte) *rawBatch {
	b := txn(producer, offset, "v")
	b.Attributes |= 32
	b.items[0].Key = []byte{0, 0, 0, kind}
	return b
}

func abort(producer, offset int64) *rawBatch  { return marker(producer, offset, 0) }
func commit(producer, offset int64) *rawBatch { return marker(producer, offset, 1) }

func ofEpoch(epoch int32, b *rawBatch) *rawBatch {
	b.PartitionLeaderEpoch = epoch
	return b
}

func block(batches ...*rawBatch) *kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.HighWatermark, p.LastStableOffset = 100, 90
	for _, b := range batches {
		p.RecordBatches = append(p.RecordBatches, b.wire()...)
	}
	return &p
}

// cut leaves out the end of the last batch.
func cutOff(p *kmsg.FetchResponseTopicPartition) *kmsg.FetchResponseTopicPartition {
	p.RecordBatches = p.RecordBatches[:len(p.RecordBatches)-3]
	return p
}

func abortedFrom(p *kmsg.FetchResponseTopicPartition, at ...int64) *kmsg.FetchResponseTopicPartition {
	for i := 0; i < len(at); i += 2 {
		a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		a.ProducerID, a.FirstOffset = at[i], at[i+1]
		p.AbortedTransactions = append(p.AbortedTransactions, a)
	}
	return p
}

// unpack decodes an answer in pieces of about room bytes.
func unpack(t *testing.T, wanted int64, p *kmsg.FetchResponseTopicPartition, room int) (batches []Batch, cut bool) {
	t.Helper()
	a := newFetched(p, recordbatch.DefaultLimits())
	for position := wanted; ; {
		b := Batch{TopicPartition: TopicPartition{Topic: "in", Partition: 0}, Position: position}
		done, err := a.next(&b, room, func(int64) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		position = b.Position
		batches = append(batches, b)
		if done {
			return batches, a.cut
		}
	}
}

func one(t *testing.T, p *kmsg.FetchResponseTopicPartition) Batch {
	t.Helper()
	batches, _ := unpack(t, 0, p, 1<<20)
	if len(batches) != 1 {
		t.Fatalf("%d batches", len(batches))
	}
	return batches[0]
}

// Mutations: skip never deletes (committed after aborted is lost); skip ignores the order of AbortedTransactions; the
// position counts records only; offsets below the wanted one are kept; an emptied batch does not move the position; the
// position is lost between two pieces.
func TestWhatABrokerAnswersIsUnpackedLikeJavaDoes(t *testing.T) {
	for _, c := range []struct {
		name   string
		wanted int64
		block  *kmsg.FetchResponseTopicPartition
		want   string // offset=value ..., position, cut
	}{
		{"nothing", 5, block(), "@5"},
		{"records", 5, block(plain(5, "a", "b"), plain(7, "c")), "5=a 6=b 7=c @8"},
		{"wanted inside a batch", 6, block(plain(5, "a", "b", "c")), "6=b 7=c @8"},
		{"compacted", 5, block(plain(3, "a", "", "", "d", "")), "6=d @8"},
		{"wanted after the last record left", 7, block(plain(3, "a", "", "", "d", "")), "@8"},
		{"gap between batches", 5, block(plain(5, "a"), plain(20, "b")), "5=a 20=b @21"},
		{"committed", 0, block(txn(1, 0, "a"), commit(1, 1)), "0=a @2"},
		{"aborted", 0, abortedFrom(block(txn(1, 0, "a"), abort(1, 1)), 1, 0), "@2"},
		{"aborted, then committed", 0, abortedFrom(block(txn(1, 0, "a"), abort(1, 1), txn(1, 2, "b"), commit(1, 3)), 1, 0), "2=b @4"},
		{"committed, then aborted", 0, abortedFrom(block(txn(1, 0, "a"), commit(1, 1), txn(1, 2, "b"), abort(1, 3)), 1, 2), "0=a @4"},
		{"aborted twice", 0, abortedFrom(block(txn(1, 0, "a"), abort(1, 1), txn(1, 2, "b"), abort(1, 3)), 1, 2, 1, 0), "@4"},
		{"began before what was wanted", 7, abortedFrom(block(txn(1, 7, "a"), abort(1, 8), plain(9, "b")), 1, 3), "9=b @10"},
		{"interleaved", 0, abortedFrom(block(txn(1, 0, "a"), txn(2, 1, "b"), abort(1, 2), txn(2, 3, "c"), commit(2, 4)), 1, 0), "1=b 3=c @5"},
		{"both aborted, listed out of order", 0, abortedFrom(block(txn(2, 0, "x"), txn(1, 1, "y"), abort(1, 2), abort(2, 3), txn(1, 4, "z"), commit(1, 5)), 1, 1, 2, 0), "4=z @6"},
		{"an aborted producer's plain records", 0, abortedFrom(block(txn(1, 0, "a"), func() *rawBatch {
			rb := plain(1, "b")
			rb.ProducerID = 1
			return rb
		}(), abort(1, 2)), 1, 0), "1=b @3"},
		{"aborted, its marker in the next answer", 0, abortedFrom(block(txn(1, 0, "a"), plain(1, "b")), 1, 0), "1=b @2"},
		{"marker of another kind", 0, block(txn(1, 0, "a"), marker(1, 1, 7)), "0=a @2"},
		{"cut within the first batch", 5, cutOff(block(plain(5, "a", "b"))), "@5 cut"},
		{"cut after emptied batches", 5, cutOff(block(plain(5, "", "", "", ""), plain(12, "a"))), "@9 cut"},
		{"cut after a batch", 5, cutOff(block(plain(5, "a"), plain(6, "b"))), "5=a @6 cut"},
		{"emptied batches only", 5, block(plain(5, ""), plain(89, "")), "@90"},
		{"emptied, then not", 5, block(plain(5, "", ""), plain(8, "a")), "8=a @9"},
	} {
		for _, room := range []int{1, 250, 1 << 20} {
			batches, cut := unpack(t, c.wanted, c.block, room)
			var got []string
			for _, b := range batches {
				for _, r := range b.Records {
					got = append(got, fmt.Sprintf("%d=%s", r.Offset, r.Value))
				}
				if b.HighWatermark != 100 || b.LastStableOffset != 90 {
					t.Errorf("%s: ends %d and %d", c.name, b.HighWatermark, b.LastStableOffset)
				}
				if room == 1 && len(b.Records) > 1 {
					t.Errorf("%s: %d records where there is room for none", c.name, len(b.Records))
				}
			}
			got = append(got, fmt.Sprintf("@%d", batches[len(batches)-1].Position))
			if cut {
				got = append(got, "cut")
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("%s: %s, want %s", c.name, g, c.want)
			}
		}
	}
}

// Mutations: begin does not look at the epoch; a marker's epoch is not taken.
func TestABatchIsOfOneLeaderEpoch(t *testing.T) {
	batches, _ := unpack(t, 0, block(ofEpoch(3, plain(0, "a")), ofEpoch(3, plain(1, "b")), ofEpoch(5, plain(2, "c")), ofEpoch(6, commit(1, 3))), 1<<20)
	var got []string
	for _, b := range batches {
		got = append(got, fmt.Sprintf("%d in epoch %d to %d", len(b.Records), b.LeaderEpoch, b.Position))
	}
	if want := "[2 in epoch 3 to 2 0 in epoch 6 to 4]"; fmt.Sprint(got) == want {
		t.Error("the records of epoch 5 are of epoch 6")
	}
	if want := "[2 in epoch 3 to 2 1 in epoch 5 to 3 0 in epoch 6 to 4]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// Mutations: append ignores Excess; a range that begins before the position is given out from its beginning.
func TestARangeOverALimitIsOneRecord(t *testing.T) {
	limits := recordbatch.DefaultLimits()
	limits.Records = 2
	a := newFetched(block(plain(3, "a", "b", "c"), plain(8, "d")), limits)
	b := Batch{Position: 4}
	if done, err := a.next(&b, 1<<20, func(int64) bool { return true }); err != nil || !done || len(b.Records) != 2 || b.Position != 9 {
		t.Fatalf("%+v, %v", b, err)
	}
	if r := b.Records[0]; r.Offset != 4 || *r.Excess != (Excess{Limit: "max.batch.records", Size: 3, Max: 2, Last: 5, Records: 3}) || r.Next() != 6 {
		t.Errorf("%+v", r)
	}
}

// Mutation: next asks fits for nothing.
func TestARecordWithoutRoomWaits(t *testing.T) {
	a := newFetched(block(plain(0, "small", strings.Repeat("x", 5000), "small")), recordbatch.DefaultLimits())
	room := false
	var got []int64
	for position, tries := int64(0), 0; position < 3 && tries < 5; tries++ {
		b := Batch{Position: position}
		if _, err := a.next(&b, 1<<20, func(size int64) bool { return size < 1000 || room }); err != nil {
			t.Fatal(err)
		}
		got = append(got, b.Position)
		room = tries == 1
		position = b.Position
	}
	if want := "[1 1 3]"; fmt.Sprint(got) != want {
		t.Errorf("positions %v, want %s", got, want)
	}
}

// Mutations: LogAppendTime is ignored.
func TestTimestampsAreThoseOfTheTopicsKind(t *testing.T) {
	create, stamped, missing := plain(0, "a", "b"), plain(2, "c", "d"), plain(4, "e", "f")
	stamped.Attributes |= 8
	// A record without a timestamp beside one that has one: both relate to the first of the batch.
	missing.FirstTimestamp = -1
	missing.items[1].TimestampDelta64 = 1001
	b := one(t, block(create, stamped, missing))
	var got []int64
	for _, r := range b.Records {
		got = append(got, r.Timestamp)
	}
	if want := "[1000 1001 9000 9000 -1 1000]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// Mutation: the slab is not cut at its capacity (appending to one record's headers overwrites the next one's).
func TestKeysHeadersAndTombstonesAreKept(t *testing.T) {
	rb := plain(0, "a", "b", "c")
	rb.items[0].Key, rb.items[0].Value = []byte("k"), nil
	rb.items[1].Headers = []kmsg.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}}
	rb.items[2].Headers = []kmsg.Header{{Key: "i", Value: []byte{}}}
	b := one(t, block(rb))
	if r := b.Records[0]; string(r.Key) != "k" || r.Value != nil || r.Headers != nil {
		t.Errorf("%+v", r)
	}
	_ = append(b.Records[1].Headers, Header{Key: "x"})
	if got := fmt.Sprintf("%q", b.Records[1].Headers); got != `[{"h" "1"} {"h" ""}]` || b.Records[1].Headers[1].Value != nil {
		t.Error(got)
	}
	if got := fmt.Sprintf("%q", b.Records[2].Headers); got != `[{"i" ""}]` || b.Records[2].Headers[0].Value == nil {
		t.Error(got)
	}
	if want := 3*recordStruct + 3*headerStruct + 1 + 0 + 1 + 1 + 1 + 1 + 1 + 1; b.Bytes != want {
		t.Errorf("%d bytes, want %d", b.Bytes, want)
	}
}

// Mutations: the position is stepped on although the partition was not asked for alone (records that did not fit into
// the answer are passed over); it is never stepped on; a repeated answer is delivered again.
func TestEmptiedBatchesArePassedOverOnlyWhenTheAnswerWasForThePartitionAlone(t *testing.T) {
	f := &Fetcher{readAhead: 1 << 20, budget: 1 << 20, limits: recordbatch.DefaultLimits(), cursors: map[TopicPartition]*cursor{}, leading: map[*cursor]bool{},
		cleanups: map[string]cleanup{"in": {compacts: true, until: time.Now().Add(time.Hour)}}}
	r := &reader{fetcher: f, cursors: map[*cursor]bool{}}
	var told []string
	c := &cursor{TopicPartition: TopicPartition{Topic: "in", Partition: 0}, fresh: true, deliver: func(b Batch) {
		told = append(told, fmt.Sprintf("%d@%d", len(b.Records), b.Position))
	}}
	f.cursors[c.TopicPartition] = c
	nothing := &kmsg.FetchResponseTopicPartition{HighWatermark: 3, LastStableOffset: 3}
	for _, step := range []struct {
		block  *kmsg.FetchResponseTopicPartition
		single bool
		alone  bool // what it leads to
		want   string
	}{
		{nothing, false, true, "[0@0]"},
		{nothing, false, true, "[0@0]"},
		{nothing, true, true, "[0@0 0@1]"},
		{nothing, true, true, "[0@0 0@1 0@2]"},
		{block(plain(2, "a")), true, false, "[0@0 0@1 0@2 1@3]"},
		{nothing, false, false, "[0@0 0@1 0@2 1@3 0@3]"}, // ends have changed
		{nothing, false, false, "[0@0 0@1 0@2 1@3 0@3]"},
	} {
		r.accept(c, step.block, step.single)
		if got := fmt.Sprint(told); got != step.want || c.alone != step.alone {
			t.Fatalf("delivered %s, alone %v; want %s, %v", got, c.alone, step.want, step.alone)
		}
	}
}
