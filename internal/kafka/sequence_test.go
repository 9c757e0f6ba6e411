package kafka

import (
	"math"
	"slices"
	"testing"

	"github.com/IBM/sarama"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/recordbatch"
)

// outBatchOf is a batch of n records with the origins from, from+1, ...
func outBatchOf(from, n int) *outBatch {
	b := &outBatch{seq: -1}
	b.begin(&outPartition{}, 0)
	for i := range n {
		r := &Outgoing{Origin: int64(from + i)}
		b.add(r, b.bodyOf(r))
	}
	return b
}

// modelLog is a partition as a leader keeps it: it takes a producer's batches in the order of their numbers, and knows
// the last five again.
type modelLog struct {
	origins []int64
	last    []*outBatch // copies, newest last
	next    int32
	empty   bool // takes any number
}

func (l *modelLog) has(b *outBatch) bool {
	return slices.ContainsFunc(l.last, func(old *outBatch) bool { return old.seq == b.seq && old.count() == b.count() })
}

func (l *modelLog) append(b *outBatch) sarama.KError {
	if l.has(b) {
		return sarama.ErrNoError
	}
	if b.seq != l.next && !l.empty {
		return sarama.ErrOutOfOrderSequenceNumber
	}
	l.empty = false
	l.origins = append(l.origins, b.origins...)
	l.next = addSequence(b.seq, b.count())
	l.last = append(l.last, &outBatch{seq: b.seq, origins: slices.Clone(b.origins)})
	if len(l.last) > 5 {
		l.last = l.last[1:]
	}
	return sarama.ErrNoError
}

// Mutations, each fails: fail does not set q.failed; rewind does not wait for flying; rewind puts what failed after the
// queue; take numbers a batch again; head ignores known; head ignores again; split gives the parts no numbers; restart
// goes on counting, or keeps known; drop keeps failed, or forgets the queue only.
func TestWhateverFailsABatchIsWrittenOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]int32{0, math.MaxInt32 - 7, math.MaxInt32}).Draw(t, "start")
		log := &modelLog{next: start, empty: true}
		q := &sequence{next: start}
		var want []int64
		var answers []func() // in the order of the requests
		made := 0
		send := func() {
			b := q.take()
			fate := rapid.SampledFrom([]string{"ok", "ok", "lost before", "lost after", "too large"}).Draw(t, "fate")
			code := sarama.ErrRequestTimedOut
			switch {
			case fate == "too large" && b.count() > 1 && !log.has(b): // a limit lowered meanwhile is not modelled
				answers = append(answers, func() { q.split(b, b.split()) })
				return
			case fate == "ok", fate == "too large":
				code = log.append(b)
			case fate == "lost after":
				_ = log.append(b)
			}
			answers = append(answers, func() {
				if code == sarama.ErrOutOfOrderSequenceNumber && q.first(b) {
					t.Fatalf("the oldest batch, %d, is out of order", b.seq)
				}
				if code == sarama.ErrNoError {
					q.ack(b)
				} else {
					q.fail()
				}
			})
		}
		// renew is what a sink does after a transaction that failed: when every answer is in it forgets its batches and takes a
		// new epoch, which the leader counts from 0, or a new id, of which the leader knows nothing and takes any number.
		renew := func() {
			for len(answers) > 0 {
				answers[0]()
				answers = answers[1:]
			}
			q.drop()
			q.restart()
			log.next, log.last, log.empty = 0, nil, rapid.Bool().Draw(t, "new id")
			want = slices.Clone(log.origins) // what was dropped may be written or not, and comes never again
		}
		step := func(more bool) {
			switch {
			case more && rapid.IntRange(0, 15).Draw(t, "renew") == 0:
				renew()
			case more && rapid.Bool().Draw(t, "make"):
				n := rapid.IntRange(1, 5).Draw(t, "records")
				q.push(outBatchOf(made, n))
				for range n {
					want = append(want, int64(made))
					made++
				}
			case q.head() != nil && q.flying < 5 && rapid.Bool().Draw(t, "send"):
				send()
			case len(answers) > 0:
				answers[0]()
				answers = answers[1:]
			case q.head() != nil:
				send()
			}
		}
		for range rapid.IntRange(20, 200).Draw(t, "steps") {
			step(true)
		}
		for i := 0; !q.idle(); i++ {
			if i > 5000 {
				t.Fatal("never idle")
			}
			step(false)
		}
		if !slices.Equal(log.origins, want) {
			t.Fatalf("written %v, want %v", log.origins, want)
		}
	})
}

// Mutation: & math.MaxInt32 becomes % math.MaxInt32.
func TestSequenceNumbersWrapToZero(t *testing.T) {
	for _, c := range []struct {
		s    int32
		n    int
		want int32
	}{{0, 1, 1}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 1, math.MaxInt32}, {math.MaxInt32 - 2, 5, 2}} {
		if got := addSequence(c.s, c.n); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.s, c.n, got, c.want)
		}
	}
}

// Mutations: split forgets the last record of an odd number; addAgain does not keep latest.
func TestHalvesHoldTheSameRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(outgoing(), 2, 20).Draw(t, "records")
		b := &outBatch{}
		b.begin(&outPartition{}, records[0].Timestamp)
		for i := range records {
			b.add(&records[i], b.bodyOf(&records[i]))
		}
		i := 0
		for _, part := range b.split() {
			if part.count() == 0 || part.count() > (len(records)+1)/2 {
				t.Fatalf("a half of %d has %d records", len(records), part.count())
			}
			wire, err := part.onWire(encoding{}, producerID{})
			if err != nil {
				t.Fatal(err)
			}
			batch, _, err := recordbatch.Next(wire)
			if err != nil {
				t.Fatal(err)
			}
			newest, read := records[i].Timestamp, recordbatch.NewReader(recordbatch.DefaultLimits())
			read.Reset(batch)
			for j := range part.count() {
				var got recordbatch.Record
				if err := read.Next(&got); err != nil {
					t.Fatal(err)
				}
				r := &records[i]
				if want := shapeOf(r); part.origins[j] != r.Origin || got.Offset != int64(j) || lineOfRead(&got) != want {
					t.Fatalf("record %d is\n%s, want\n%s", i, lineOfRead(&got), want)
				}
				newest = max(newest, r.Timestamp)
				i++
			}
			if newest != part.latest {
				t.Fatalf("largest timestamp %d, want %d", part.latest, newest)
			}
		}
		if i != len(records) {
			t.Fatalf("%d of %d records", i, len(records))
		}
	})
}

// lineOfRead is shapeOf of a record as it is read.
func lineOfRead(r *recordbatch.Record) string {
	out := Outgoing{Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	for key, value := range r.Headers {
		out.Headers = append(out.Headers, Header{Key: string(key), Value: value})
	}
	return shapeOf(&out)
}

// outgoing draws records of every shape.
func outgoing() *rapid.Generator[Outgoing] {
	payload := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 300))
	return rapid.Custom(func(t *rapid.T) Outgoing {
		return Outgoing{
			Timestamp: rapid.OneOf(rapid.Int64Range(-1, 1), rapid.Int64Range(1.6e12, 1.8e12), rapid.Just(maxTimestamp)).Draw(t, "timestamp"),
			Key:       payload.Draw(t, "key"),
			Value:     payload.Draw(t, "value"),
			Origin:    rapid.Int64().Draw(t, "origin"),
			Headers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Header {
				return Header{Key: rapid.StringN(0, 5, -1).Draw(t, "header"), Value: payload.Draw(t, "header value")}
			}), 0, 3).Draw(t, "headers"),
		}
	})
}
