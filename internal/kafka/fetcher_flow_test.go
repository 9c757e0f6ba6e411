package kafka

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Mutation: end does not set ended.
func TestNothingOfTheOldPositionIsDeliveredAfterASeek(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	p := producer(t, cluster.ListenAddrs(), "")
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	tp := TopicPartition{Topic: "in", Partition: 0}
	polls := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	for i := range int64(20) {
		var over atomic.Bool
		r := newReading(t, "in", 0)
		f.Start(tp, At(i), func(b Batch) {
			if over.Load() {
				t.Errorf("seek %d: %d records delivered after the next", i, len(b.Records))
			}
			r.deliver(b)
		})
		r.position(i)
		// The next poll, which waits for records, is under way when the partition is stopped or sought.
		if err := polls.Wait(t.Context(), polls.Hits()+1); err != nil {
			t.Fatal(err)
		}
		next := newReading(t, "in", 0)
		if i%2 > 0 {
			f.Stop(tp)
			over.Store(true)
			writeTo(t, p, "in", 0, "a")
		} else {
			f.Start(tp, At(i/2), next.deliver)
			over.Store(true)
			writeTo(t, p, "in", 0, "a")
			next.position(i + 1)
			if first := next.records[0].Offset; first != i/2 {
				t.Errorf("seek to %d: first record at %d", i/2, first)
			}
		}
	}
}

// Mutation: end does not take the gate.
func TestStopWaitsForTheDeliveryUnderWay(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	tp := TopicPartition{Topic: "in", Partition: 0}
	entered, leave := make(chan struct{}), make(chan struct{})
	var left atomic.Bool
	f.Start(tp, At(0), func(Batch) {
		close(entered)
		<-leave
		left.Store(true)
	})
	<-entered
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.Stop(tp)
		if !left.Load() {
			t.Error("stopped while a delivery was running")
		}
	}()
	select {
	case <-stopped:
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	<-stopped
}

// Mutations: readable ignores unreleased; change does not wake the reader.
func TestAPartitionWithTooMuchUnreleasedIsNotRead(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 2)
	p := producer(t, cluster.ListenAddrs(), "")
	large := strings.Repeat("x", 10_000)
	for range 20 {
		writeTo(t, p, "in", 0, large)
	}
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), Fetch: FetchTuning{MaxWait: 50 * time.Millisecond, MaxPartitionBytes: 1000}})
	f := c.NewFetcher(25_000) // two and a half of them
	defer func() { _ = f.Close() }()
	r, other := newReading(t, "in", 0), newReading(t, "in", 1)
	f.Start(r.tp, At(0), r.deliver)
	r.position(3)
	// Whatever else the fetcher would still read is read before the other partition's records.
	f.Start(other.tp, At(0), other.deliver)
	for i := range 3 {
		writeTo(t, p, "in", 1, "small")
		other.position(int64(i + 1))
	}
	f.Stop(other.tp) // now nothing but a release can wake the reader
	for released := range 17 {
		if n := len(r.values()); n != released+3 {
			t.Fatalf("%d read with %d released", n, released)
		}
		f.Release(r.tp, r.batches[released].Bytes)
		r.position(int64(released + 4))
	}
}

// Mutation: calmAfter is 0 (the second start waits for 20s).
func TestAPartitionThatIsStartedBesideAnIdleOneIsReadSoon(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 4)
	p := producer(t, cluster.ListenAddrs(), "")
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), Fetch: FetchTuning{MaxWait: 20 * time.Second}})
	f := c.NewFetcher(1 << 20)
	defer func() { _ = f.Close() }()
	for i := range int32(4) {
		writeTo(t, p, "in", i, "a")
		r := newReading(t, "in", i)
		f.Start(r.tp, At(0), r.deliver)
		r.position(1)
	}
}

// Mutation: Close does not close the links before it waits.
func TestCloseDoesNotWaitForABrokerThatIsSilent(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	asked, _ := silence(t, cluster, kmsg.Fetch)
	f := dial(t, Config{Brokers: cluster.ListenAddrs(), RequestTimeout: never, Sink: SinkTuning{DeliveryTimeout: 2 * never}}).NewFetcher(1 << 20)
	f.Start(TopicPartition{Topic: "in", Partition: 0}, At(0), func(Batch) {})
	<-asked
	began := time.Now()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	promptly(t, began)
}

// Who is delivered a batch may release in that very call: that batch, what others are still owed, or the same in pieces. It is
// all given back, so reading goes on, and what the fetcher holds is always what its partitions hold.
//
// Mutations: deliver counts a batch after it is handed over; it hands it over with the fetcher locked; Release gives nothing back.
func TestWhatIsReleasedInItsDeliveryIsGivenBack(t *testing.T) {
	for name, release := range map[string]func(f *Fetcher, b Batch, owed map[TopicPartition][]int){
		"itself": func(f *Fetcher, b Batch, owed map[TopicPartition][]int) {
			f.Release(b.TopicPartition, b.Bytes)
			owed[b.TopicPartition] = nil
		},
		"in pieces": func(f *Fetcher, b Batch, owed map[TopicPartition][]int) {
			f.Release(b.TopicPartition, b.Bytes/3)
			f.Release(b.TopicPartition, b.Bytes-b.Bytes/3)
			owed[b.TopicPartition] = nil
		},
		"everything, every second time": func(f *Fetcher, b Batch, owed map[TopicPartition][]int) {
			if n := len(owed[b.TopicPartition]); n%2 == 1 && b.Position < 30 {
				return
			}
			for tp, sizes := range owed {
				for _, size := range sizes {
					f.Release(tp, size)
				}
				owed[tp] = nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fake(t)
			topic(t, cluster, "in", 2)
			p := producer(t, cluster.ListenAddrs(), "")
			const each = 30
			for range each {
				writeTo(t, p, "in", 0, strings.Repeat("x", 10_000))
				writeTo(t, p, "in", 1, strings.Repeat("y", 10_000))
			}
			c := dial(t, Config{Brokers: cluster.ListenAddrs(), Fetch: FetchTuning{MaxWait: 50 * time.Millisecond, MaxPartitionBytes: 1000}})
			f := c.NewFetcher(25_000) // two and a half of them
			defer func() { _ = f.Close() }()
			// One broker, one goroutine that delivers.
			owed := map[TopicPartition][]int{}
			holds := func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				var sum int64
				for tp, c := range f.cursors {
					unreleased := 0
					for _, size := range owed[tp] {
						unreleased += size
					}
					if c.unreleased != unreleased {
						t.Errorf("%d bytes of %s are unreleased, want %d", c.unreleased, tp, unreleased)
					}
					sum += int64(c.unreleased) + c.kept
				}
				if f.held != sum {
					t.Errorf("%d bytes are held, of the partitions %d", f.held, sum)
				}
			}
			var rs []*reading
			for i := range int32(2) {
				r := newReading(t, "in", i)
				r.hook = func(b Batch) {
					owed[b.TopicPartition] = append(owed[b.TopicPartition], b.Bytes)
					holds()
					release(f, b, owed)
					holds()
				}
				rs = append(rs, r)
				f.Start(r.tp, At(0), r.deliver)
			}
			for _, r := range rs {
				r.position(each)
				if n := len(r.values()); n != each {
					t.Errorf("%d records of %s, want %d", n, r.tp, each)
				}
			}
		})
	}
}
