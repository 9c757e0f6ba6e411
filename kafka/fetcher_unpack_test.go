package kafka

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// plain, txn, marker and the like make the batches that a broker may send.
func plain(first int64, values ...string) *sarama.RecordBatch {
	rb := &sarama.RecordBatch{Version: 2, FirstOffset: first, LastOffsetDelta: int32(len(values) - 1), ProducerID: -1, FirstTimestamp: time.UnixMilli(1000), MaxTimestamp: time.UnixMilli(9000)}
	for i, v := range values {
		if v != "" { // "" is a record that compaction has removed
			rb.Records = append(rb.Records, &sarama.Record{OffsetDelta: int64(i), TimestampDelta: time.Duration(i) * time.Millisecond, Value: []byte(v)})
		}
	}
	return rb
}

func txn(producer, first int64, values ...string) *sarama.RecordBatch {
	rb := plain(first, values...)
	rb.ProducerID, rb.IsTransactional = producer, true
	return rb
}

func marker(producer, offset int64, kind byte) *sarama.RecordBatch {
	rb := txn(producer, offset, "v")
	rb.Control = true
	rb.Records[0].Key = []byte{0, 0, 0, kind}
	return rb
}

func abort(producer, offset int64) *sarama.RecordBatch  { return marker(producer, offset, 0) }
func commit(producer, offset int64) *sarama.RecordBatch { return marker(producer, offset, 1) }

func cutOff(first int64) *sarama.RecordBatch {
	return &sarama.RecordBatch{Version: 2, FirstOffset: first, LastOffsetDelta: 10, PartialTrailingRecord: true}
}

func block(batches ...*sarama.RecordBatch) *sarama.FetchResponseBlock {
	b := &sarama.FetchResponseBlock{HighWaterMarkOffset: 100, LastStableOffset: 90}
	for _, rb := range batches {
		b.RecordsSet = append(b.RecordsSet, &sarama.Records{RecordBatch: rb})
	}
	return b
}

func abortedFrom(b *sarama.FetchResponseBlock, at ...int64) *sarama.FetchResponseBlock {
	for i := 0; i < len(at); i += 2 {
		b.AbortedTransactions = append(b.AbortedTransactions, &sarama.AbortedTransaction{ProducerID: at[i], FirstOffset: at[i+1]})
	}
	return b
}

// Mutations: skip never deletes (committed after aborted is lost); skip ignores the order of AbortedTransactions; the
// position counts records only; offsets below the wanted one are kept; emptiedTo is always 0 (also when sarama renames what it
// reads).
func TestWhatABrokerAnswersIsUnpackedLikeJavaDoes(t *testing.T) {
	for _, c := range []struct {
		name   string
		wanted int64
		block  *sarama.FetchResponseBlock
		want   string // offset=value ..., position, cut
	}{
		{"nothing", 5, block(), "@5"},
		{"records", 5, block(plain(5, "a", "b"), plain(7, "c")), "5=a 6=b 7=c @8"},
		{"wanted inside a batch", 6, block(plain(5, "a", "b", "c")), "6=b 7=c @8"},
		{"compacted", 5, block(plain(3, "a", "", "", "d", "")), "6=d @8"},
		{"wanted behind the last record left", 7, block(plain(3, "a", "", "", "d", "")), "@8"},
		{"gap between batches", 5, block(plain(5, "a"), plain(20, "b")), "5=a 20=b @21"},
		{"committed", 0, block(txn(1, 0, "a"), commit(1, 1)), "0=a @2"},
		{"aborted", 0, abortedFrom(block(txn(1, 0, "a"), abort(1, 1)), 1, 0), "@2"},
		{"aborted, then committed", 0, abortedFrom(block(txn(1, 0, "a"), abort(1, 1), txn(1, 2, "b"), commit(1, 3)), 1, 0), "2=b @4"},
		{"committed, then aborted", 0, abortedFrom(block(txn(1, 0, "a"), commit(1, 1), txn(1, 2, "b"), abort(1, 3)), 1, 2), "0=a @4"},
		{"aborted twice", 0, abortedFrom(block(txn(1, 0, "a"), abort(1, 1), txn(1, 2, "b"), abort(1, 3)), 1, 2, 1, 0), "@4"},
		{"began before what was wanted", 7, abortedFrom(block(txn(1, 7, "a"), abort(1, 8), plain(9, "b")), 1, 3), "9=b @10"},
		{"interleaved", 0, abortedFrom(block(txn(1, 0, "a"), txn(2, 1, "b"), abort(1, 2), txn(2, 3, "c"), commit(2, 4)), 1, 0), "1=b 3=c @5"},
		{"both aborted, listed out of order", 0, abortedFrom(block(txn(2, 0, "x"), txn(1, 1, "y"), abort(1, 2), abort(2, 3), txn(1, 4, "z"), commit(1, 5)), 1, 1, 2, 0), "4=z @6"},
		{"an aborted producer's plain records", 0, abortedFrom(block(txn(1, 0, "a"), func() *sarama.RecordBatch {
			rb := plain(1, "b")
			rb.ProducerID = 1
			return rb
		}(), abort(1, 2)), 1, 0), "1=b @3"},
		{"aborted, its marker in the next answer", 0, abortedFrom(block(txn(1, 0, "a"), plain(1, "b")), 1, 0), "1=b @2"},
		{"marker of another kind", 0, block(txn(1, 0, "a"), marker(1, 1, 7)), "0=a @2"},
		{"cut within the first batch", 5, block(cutOff(5)), "@5 cut"},
		{"cut behind emptied batches", 5, block(cutOff(9)), "@9 cut"},
		{"emptied batches only", 5, emptied(1_000_000), "@1000000"},
		{"wanted behind emptied batches", 5, emptied(5), "@5"},
	} {
		b, cut, err := unpack(TopicPartition{"in", 0}, c.wanted, c.block)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, r := range b.Records {
			got = append(got, fmt.Sprintf("%d=%s", r.Offset, r.Value))
		}
		got = append(got, fmt.Sprintf("@%d", b.Position))
		if cut {
			got = append(got, "cut")
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: %s, want %s", c.name, g, c.want)
		}
		if b.HighWatermark != 100 || b.LastStableOffset != 90 {
			t.Errorf("%s: ends %d and %d", c.name, b.HighWatermark, b.LastStableOffset)
		}
	}
}

// emptied is an answer whose batches sarama has left out, because they hold no record any more.
func emptied(next int64) *sarama.FetchResponseBlock {
	b := block()
	field := reflect.ValueOf(b).Elem().FieldByName("recordsNextOffset")
	*(**int64)(field.Addr().UnsafePointer()) = &next
	return b
}

// Mutations: LogAppendTime is ignored; a missing first timestamp is taken for a time.
func TestTimestampsAreThoseOfTheTopicsKind(t *testing.T) {
	create, stamped, missing := plain(0, "a", "b"), plain(2, "c", "d"), plain(4, "e", "f")
	stamped.LogAppendTime = true
	missing.FirstTimestamp = time.Time{}
	b, _, err := unpack(TopicPartition{"in", 0}, 0, block(create, stamped, missing))
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, r := range b.Records {
		got = append(got, r.Timestamp)
	}
	if want := "[1000 1001 9000 9000 -1 -1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// Mutation: the slab is not cut at its capacity (appending to one record's headers overwrites the next one's).
func TestKeysHeadersAndTombstonesAreKept(t *testing.T) {
	rb := plain(0, "a", "b", "c")
	rb.Records[0].Key, rb.Records[0].Value = []byte("k"), nil
	rb.Records[1].Headers = []*sarama.RecordHeader{{Key: []byte("h"), Value: []byte("1")}, {Key: []byte("h"), Value: nil}}
	rb.Records[2].Headers = []*sarama.RecordHeader{{Key: []byte("i"), Value: []byte{}}}
	b, _, err := unpack(TopicPartition{"in", 0}, 0, block(rb))
	if err != nil {
		t.Fatal(err)
	}
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
	if want := 3*recordStruct + 1 + 0 + 1 + 1 + 1 + 1 + 1 + 1; b.Bytes != want {
		t.Errorf("%d bytes, want %d", b.Bytes, want)
	}
}

func TestTheOldMessageFormatIsRefused(t *testing.T) {
	old := &sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{{MsgSet: &sarama.MessageSet{}}}}
	if _, _, err := unpack(TopicPartition{"in", 0}, 0, old); err == nil {
		t.Error("taken for nothing")
	}
}

// Mutations: the position is stepped on although the partition was not asked for alone (records that did not fit into
// the answer are passed over); it is never stepped on; a repeated answer is delivered again.
func TestEmptiedBatchesArePassedOverOnlyWhenTheAnswerWasForThePartitionAlone(t *testing.T) {
	f := &Fetcher{readAhead: 1, cursors: map[TopicPartition]*cursor{}, leading: map[*cursor]bool{}}
	r := &reader{fetcher: f, cursors: map[*cursor]bool{}}
	var told []string
	c := &cursor{TopicPartition: TopicPartition{"in", 0}, fresh: true, deliver: func(b Batch) {
		told = append(told, fmt.Sprintf("%d@%d", len(b.Records), b.Position))
	}}
	nothing := &sarama.FetchResponseBlock{HighWaterMarkOffset: 3, LastStableOffset: 3}
	for _, step := range []struct {
		block  *sarama.FetchResponseBlock
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
