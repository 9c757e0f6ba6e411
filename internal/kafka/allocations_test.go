package kafka

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/recordbatch"
)

// took is what the cheapest of some runs has allocated, since others may allocate beside.
func took(run func()) (allocs, bytes uint64) {
	allocs, bytes = 1<<62, 1<<62
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		allocs, bytes = min(allocs, after.Mallocs-before.Mallocs), min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return allocs, bytes
}

// A record that is read costs its struct and nothing else, whatever the sizes of batches and values are.
//
// Mutations: expect forgets what is left of the answer, the batches that follow, the overhead.
func TestARecordThatIsReadCostsItsStructAlone(t *testing.T) {
	for _, tc := range []struct{ batches, records, size int }{{1, 4000, 215}, {8, 500, 215}, {1, 9000, 20}, {3, 100, 10_000}} {
		var all []*rawBatch
		for i := range tc.batches {
			values := make([]string, tc.records)
			for j := range values {
				values[j] = strings.Repeat("x", tc.size)
			}
			all = append(all, plain(int64(i*tc.records), values...))
		}
		answer := block(all...)
		n := tc.batches * tc.records
		answer.HighWatermark = int64(n)
		allocs, bytes := took(func() {
			a := newFetched(answer, recordbatch.DefaultLimits())
			for position, done := int64(0), false; !done; {
				got := Batch{Position: position}
				var err error
				if done, err = a.next(&got, chunkBytes, func(int64) bool { return true }); err != nil {
					t.Fatal(err)
				}
				position = got.Position
			}
		})
		if most := uint64(n*recordStruct*5/4 + 16<<10); bytes > most {
			t.Errorf("%+v: %d bytes for %d records, at most %d", tc, bytes, n, most)
		}
		if allocs > uint64(4+3*tc.batches) {
			t.Errorf("%+v: %d allocations", tc, allocs)
		}
	}
}

// A record that is written costs no memory once the sink has batches to use again.
//
// Mutations: reset forgets the records, the origins.
func TestARecordThatIsWrittenCostsNoMemory(t *testing.T) {
	b := &outBatch{seq: -1}
	value, key := make([]byte, 100), []byte("customer-1")
	allocs, bytes := took(func() {
		b.begin(nil, 1)
		for i := range 4000 {
			r := Outgoing{Timestamp: int64(i), Key: key, Value: value, Origin: int64(i)}
			b.add(&r, b.bodyOf(&r))
		}
		if _, err := b.onWire(encoding{}, producerID{}); err != nil {
			t.Fatal(err)
		}
		b.reset()
	})
	if allocs > 4 || bytes > 4000 {
		t.Errorf("%d allocations of %d bytes for 4000 records", allocs, bytes)
	}
}

// A full request is written from the memory of the one before; that of a larger one is let go.
//
// Mutations: the buffer is never kept, kept up to fullRequest, always kept.
func TestAFullRequestIsWrittenFromTheMemoryOfTheOneBefore(t *testing.T) {
	r, l, there := pipe(t)
	l.tasks.Go(func() { _, _ = io.Copy(io.Discard, there) })
	send := func(batches, size int) {
		req := kmsg.NewPtrProduceRequest()
		req.Version = produceVersion
		topic := kmsg.NewProduceRequestTopic()
		for range batches {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Records = make([]byte, size)
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		if err := r.send(req, time.Now().Add(time.Minute), func(kmsg.Response, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	send(2, fullRequest/2)
	first := unsafe.SliceData(r.buf)
	send(2, fullRequest/2)
	if first == nil || unsafe.SliceData(r.buf) != first {
		t.Error("a second full request has other memory")
	}
	send(1, 3*fullRequest)
	if r.buf != nil {
		t.Errorf("%d bytes are kept", cap(r.buf))
	}
	_ = there.Close()
	l.tasks.Wait()
}
