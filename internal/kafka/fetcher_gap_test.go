package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/recordbatch"
)

// The checksum of a batch does not cover its base offset and its length. Whatever damage these have, no record is given out
// under another offset than its own, none is passed over without an error, and what lies before is given out.
//
// Mutations seen to fail it: each case of misplaced left out; a.end that is not set, or not taken from the cursor.
func TestABatchThatCannotBeWhereItIsIsDamaged(t *testing.T) {
	values := func(from int) (v []string) {
		for i := range 5 {
			v = append(v, fmt.Sprint(from+i))
		}
		return v
	}
	for _, which := range []int{0, 1, 2} {
		for name, damage := range map[string]func(raw []byte, base int64){
			"8 later":     func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, uint64(base+8)) },
			"3 earlier":   func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, uint64(base-3)) },
			"8 earlier":   func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, uint64(base-8)) },
			"at 0":        func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, 0) },
			"far behind":  func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, uint64(base+1<<40)) },
			"below 0":     func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, 1<<63) },
			"at the end":  func(raw []byte, base int64) { binary.BigEndian.PutUint64(raw, uint64(base+11)) },
			"a long one":  func(raw []byte, base int64) { binary.BigEndian.PutUint32(raw[8:], 0x7ffffff0) },
			"a short one": func(raw []byte, base int64) { binary.BigEndian.PutUint32(raw[8:], 60) },
		} {
			for i, room := range []int{1, 1 << 20, 1, 1 << 20} {
				const first = 20
				known := i < 2 // whether the reader has just read up to there
				if !known && which == 0 && name == "3 earlier" {
					continue // a batch that holds the position
				}
				p := block(plain(first, values(20)...), plain(first+5, values(25)...), plain(first+10, values(30)...))
				p.HighWatermark, p.LastStableOffset = first+15, first+15
				size := len(p.RecordBatches) / 3
				damage(p.RecordBatches[which*size:], int64(first+5*which))
				a := newFetched(p, recordbatch.DefaultLimits())
				if known {
					a.end = first
				}
				var got []Record
				var err error
				for position, done := int64(first), false; !done && err == nil; {
					b := Batch{Position: position}
					done, err = a.next(&b, room, func(int64) bool { return true })
					got, position = append(got, b.Records...), b.Position
				}
				if err == nil && !a.cut {
					t.Errorf("batch %d, %s: it is taken", which, name)
				}
				for i, r := range got {
					if string(r.Value) != fmt.Sprint(r.Offset) || r.Offset != first+int64(i) {
						t.Fatalf("batch %d, %s: record %d at offset %d holds %s", which, name, i, r.Offset, r.Value)
					}
				}
				if len(got) > 5*which {
					t.Errorf("batch %d, %s: %d records were given out, of the damaged batch too", which, name, len(got))
				}
			}
		}
	}
}

// A broker looks at the high watermark before it reads a growing log, so an answer may hold batches that end beyond it. They are
// read like others, and nobody is told of an end before the position.
//
// Mutations seen to fail it: what ends beyond the high watermark is damaged; the ends that are told of are those of the answer.
func TestAnAnswerMayGoBeyondItsHighWatermark(t *testing.T) {
	for high := int64(20); high <= 35; high += 5 {
		for _, room := range []int{1, 1 << 20} {
			p := block(plain(20, "a", "b", "c", "d", "e"), abort(7, 25), plain(26, "f", "g", "h", "i"), plain(30, "j", "k", "l", "m", "n"))
			p.HighWatermark, p.LastStableOffset = high, high-1
			a := newFetched(p, recordbatch.DefaultLimits())
			n := 0
			for position, done := int64(20), false; !done; {
				b := Batch{Position: position}
				var err error
				if done, err = a.next(&b, room, func(int64) bool { return true }); err != nil {
					t.Fatalf("high watermark %d: %v", high, err)
				}
				n, position = n+len(b.Records), b.Position
				if b.HighWatermark < position || b.LastStableOffset < position || done && b.HighWatermark != 35 {
					t.Errorf("high watermark %d: at %d the log ends at %d, %d", high, position, b.LastStableOffset, b.HighWatermark)
				}
			}
			if n != 14 {
				t.Errorf("high watermark %d: %d records", high, n)
			}
		}
	}
}

// A broker that sends nothing although the log goes on has a batch with a length that cannot be, unless compaction may have
// left nothing: damage stops the partition, and skips nothing by itself.
//
// Mutations seen to fail it: mayLack that always says yes; compacts that is always true, or never.
func TestALogThatGoesOnWithoutABatchIsDamagedUnlessItIsCompacted(t *testing.T) {
	for policy, damaged := range map[string]bool{"delete": true, "compact": false, "compact,delete": false} {
		t.Run(policy, func(t *testing.T) {
			cluster := fake(t)
			if err := cluster.CreateTopic("in", 1, map[string]string{"cleanup.policy": policy}); err != nil {
				t.Fatal(err)
			}
			p := producer(t, cluster.ListenAddrs(), "")
			for range 3 {
				writeTo(t, p, "in", 0, "a")
			}
			cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				fetch := req.(*kmsg.FetchRequest)
				res := fetch.ResponseKind().(*kmsg.FetchResponse)
				for _, rt := range fetch.Topics {
					st := kmsg.NewFetchResponseTopic()
					st.Topic, st.TopicID = rt.Topic, rt.TopicID
					for _, rp := range rt.Partitions {
						if rp.FetchOffset < 1 || rp.FetchOffset > 2 {
							return nil, nil, false
						}
						sp := kmsg.NewFetchResponseTopicPartition()
						sp.Partition, sp.HighWatermark, sp.LastStableOffset = rp.Partition, 3, 3
						st.Partitions = append(st.Partitions, sp)
					}
					res.Topics = append(res.Topics, st)
				}
				return res, nil, true
			})
			f := fetcher(t, cluster.ListenAddrs(), 1<<20)
			r := newReading(t, "in", 0)
			f.Start(r.tp, At(1), r.deliver)
			last := r.until("the end, or an error", func(last Batch, _ []Record) bool { return last.Err != nil || last.Position == 3 })
			corrupt, ok := errors.AsType[*CorruptBatchError](last.Err)
			switch {
			case ok != damaged:
				t.Errorf("at %d: %v", last.Position, last.Err)
			case ok && (corrupt.Offset != 1 || corrupt.Next != 3):
				t.Errorf("%+v", corrupt)
			case !ok && !last.Vanished:
				t.Error("the gap is not told of")
			}
		})
	}
}
