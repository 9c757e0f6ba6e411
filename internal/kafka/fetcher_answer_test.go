package kafka

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// drawAnswer makes an answer to a Fetch of any version that Weir speaks, as it is on the wire after its size.
func drawAnswer(t *rapid.T) (res *kmsg.FetchResponse, raw []byte) {
	res = kmsg.NewPtrFetchResponse()
	res.Version = rapid.Int16Range(4, fetchVersion).Draw(t, "version")
	flexible := res.Version >= 12
	res.ThrottleMillis = rapid.Int32().Draw(t, "throttle")
	for range rapid.IntRange(0, 3).Draw(t, "topics") {
		st := kmsg.NewFetchResponseTopic()
		if res.Version >= fetchByID {
			copy(st.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		} else {
			st.Topic = rapid.StringN(0, 300, 300).Draw(t, "topic")
		}
		for range rapid.IntRange(0, 3).Draw(t, "partitions") {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode = rapid.Int32().Draw(t, "partition"), rapid.Int16().Draw(t, "code")
			p.HighWatermark, p.LastStableOffset = rapid.Int64().Draw(t, "high"), rapid.Int64().Draw(t, "stable")
			for range rapid.IntRange(0, 3).Draw(t, "aborted") {
				x := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				x.ProducerID, x.FirstOffset = rapid.Int64().Draw(t, "producer"), rapid.Int64().Draw(t, "first")
				if flexible && rapid.Bool().Draw(t, "tagged") {
					x.UnknownTags.Set(7, []byte("later"))
				}
				p.AbortedTransactions = append(p.AbortedTransactions, x)
			}
			if rapid.Bool().Draw(t, "holds records") {
				p.RecordBatches = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "batches")
			}
			if flexible && rapid.Bool().Draw(t, "diverging") {
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 3, 17
			}
			st.Partitions = append(st.Partitions, p)
		}
		if flexible && rapid.Bool().Draw(t, "tagged topic") {
			st.UnknownTags.Set(9, []byte("later"))
		}
		res.Topics = append(res.Topics, st)
	}
	raw = binary.BigEndian.AppendUint32(nil, rapid.Uint32().Draw(t, "correlation"))
	if flexible {
		raw = append(raw, 1, 5, 2, 'h', 'i') // a tag of the header
	}
	return res, res.AppendTo(raw)
}

// readPieces reads what there is of an answer as one of that size, and never more than that.
func readPieces(t *rapid.T, version int16, raw []byte, size int) (*fetchAnswer, error) {
	there := bytes.NewReader(raw)
	a := &fetchAnswer{in: bufio.NewReader(there), left: int64(size), version: version}
	err := a.read()
	if read := len(raw) - there.Len() - a.in.Buffered(); read > size {
		t.Fatalf("%d bytes are read of an answer of %d", read, size)
	}
	return a, err
}

// An answer that is read batch by batch is the answer that is read whole, in every version; batches have memory of their own; one
// that is cut off, or says a wrong size, is an error; and any bytes at all can be read.
//
// Mutations tried: no start of the log is read in version 5; the replica from version 12 on only; no tags of a partition, of a
// topic, of the header; into skips a partition without batches; take reads past the answer.
func TestAnAnswerReadBatchByBatchIsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		res, raw := drawAnswer(t)
		body := raw[4:]
		if res.Version >= 12 {
			body = raw[9:]
		}
		want, got := kmsg.NewPtrFetchResponse(), kmsg.NewPtrFetchResponse()
		want.Version, got.Version = res.Version, res.Version
		if err := want.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		a, err := readPieces(t, res.Version, raw, len(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := got.ReadFrom(a.rest[len(raw)-len(body):]); err != nil {
			t.Fatal(err)
		}
		a.into(got)
		for i := range want.Topics {
			for j := range want.Topics[i].Partitions {
				p, q := &want.Topics[i].Partitions[j], &got.Topics[i].Partitions[j]
				if !bytes.Equal(p.RecordBatches, q.RecordBatches) {
					t.Fatalf("%x, want %x", q.RecordBatches, p.RecordBatches)
				}
				if cap(q.RecordBatches) != len(q.RecordBatches) {
					t.Fatalf("%d bytes are kept for %d", cap(q.RecordBatches), len(q.RecordBatches))
				}
				p.RecordBatches, q.RecordBatches = nil, nil
			}
		}
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%+v, want %+v", got, want)
		}
		if _, err := readPieces(t, res.Version, raw[:rapid.IntRange(0, len(raw)-1).Draw(t, "arrives")], len(raw)); err == nil {
			t.Fatal("an answer that does not come whole is read")
		}
		short := rapid.IntRange(0, len(raw)-1).Draw(t, "short")
		a, err = readPieces(t, res.Version, raw, short)
		if err == nil {
			err = got.ReadFrom(a.rest[len(raw)-len(body):]) // its own tags come last
		}
		if err == nil {
			t.Fatalf("an answer of %d bytes is read as one of %d", len(raw), short)
		}
		noise := rapid.SliceOf(rapid.Byte()).Draw(t, "noise")
		_, _ = readPieces(t, res.Version, noise, len(noise))
	})
}
