package processors

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
)

// damagedWire has a batch of one record in the log of an input that nobody can read.
type damagedWire struct {
	Wire
	tp     kafka.TopicPartition
	offset int64
	mended *atomic.Bool
}

type damagedFetcher struct {
	Fetcher
	w damagedWire
}

func (w damagedWire) NewFetcher() (Fetcher, error) {
	f, err := w.Wire.NewFetcher()
	return damagedFetcher{f, w}, err
}

func (f damagedFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	if tp != f.w.tp || from.Offset > f.w.offset {
		f.Fetcher.Start(tp, from, deliver)
		return
	}
	ended := false
	f.Fetcher.Start(tp, from, func(b kafka.Batch) {
		if ended || b.Position <= f.w.offset || f.w.mended.Load() {
			if !ended {
				deliver(b)
			}
			return
		}
		ended = true
		whole := b
		b.Records, b.Position = nil, f.w.offset
		for _, r := range whole.Records {
			if r.Offset < f.w.offset {
				b.Records = append(b.Records, r)
			}
		}
		deliver(b)
		deliver(kafka.Batch{TopicPartition: tp, Position: f.w.offset, LeaderEpoch: -1,
			Err: &kafka.CorruptBatchError{TopicPartition: tp, Offset: f.w.offset, Next: f.w.offset + 1, Bytes: spoiltBytes, Err: kafka.ErrStaleGeneration}})
	})
}

// spoiltBytes came of the damaged batch.
var spoiltBytes = make([]byte, 5000)

func damagedIn(g *rig) *atomic.Bool {
	mended := new(atomic.Bool)
	g.wrap = func(w Wire) Wire { return damagedWire{w, at(jobIn, 0), 1, mended} }
	return mended
}

// Mutations: recover fails the instance; corrupt stops nothing (the batch is passed over); stands never reads again; undamaged
// does not clear waiting.
func TestADamagedBatchStopsItsPartitionOnlyUntilItIsMended(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		mended := damagedIn(g)
		g.start()
		g.send(0, "a 1", "a 2", "a 3")
		g.send(1, "b 1", "b 2")
		time.Sleep(10 * time.Second)
		g.committed(at(jobIn, 0), 1)
		g.committed(at(jobIn, 1), 2)
		health := g.inst.Health()
		said := false
		for _, p := range health {
			said = said || strings.Contains(p.Cause, "damaged") && strings.Contains(p.Remedy, "on.corrupt.batch=skip")
		}
		if !said {
			t.Errorf("health says %+v", health)
		}
		time.Sleep(5 * time.Minute) // it is tried again, and reported once
		g.committed(at(jobIn, 0), 1)
		if n := g.logged(zap.ErrorLevel, "a batch of an input is damaged"); n != 1 {
			t.Errorf("reported %d times", n)
		}
		mended.Store(true)
		time.Sleep(2 * damagedRetry)
		g.committed(at(jobIn, 0), 3)
		g.counted(5, 0, 0, 0)
		if health := g.inst.Health(); len(health) > 0 {
			t.Errorf("health still says %+v", health)
		}
		if n := g.metric("weir_input_gap_offsets_total"); n != 0 {
			t.Errorf("%v offsets are counted as gone", n)
		}
	})
}

// Mutations: corrupt stops although it is to skip; the gap is not counted; reading continues at the damaged batch.
func TestADamagedBatchIsPassedOverWhereThatIsWanted(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		damagedIn(g)
		g.opts.CorruptBatch = CorruptSkip
		g.start()
		g.send(0, "a 1", "a 2", "a 3")
		time.Sleep(10 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 3")
		g.committed(at(jobIn, 0), 3)
		if n := g.metric("weir_input_gap_offsets_total"); n != 1 {
			t.Errorf("%v offsets are counted as gone", n)
		}
		if n := g.logged(zap.ErrorLevel, "a batch of an input is damaged"); n != 1 {
			t.Errorf("reported %d times", n)
		}
	})
}

// What is passed over leaves a dead letter, once, also when its transaction is done again: where it was, how large, its hash and
// its beginning.
//
// Mutations: corrupt pushes no record; damaged without the hash; the value is the whole batch; told counts a limit.
func TestADamagedBatchThatIsPassedOverLeavesADeadLetter(t *testing.T) {
	for _, aborts := range []int{0, 1, 3} {
		bubble(t, 2, simkafka.Config{}, func(g *rig) {
			damagedIn(g)
			g.opts.CorruptBatch = CorruptSkip
			g.start()
			n := 0
			g.r.step(func(call string) error {
				if call == "flush" && n < aborts {
					n++
					return &kafka.Error{Class: kafka.Abortable, Op: call, Err: kafka.ErrStaleGeneration}
				}
				return nil
			})
			g.send(0, "a 1", "a 2", "a 3")
			time.Sleep(time.Minute)
			g.sees(at(jobOut, 0), "a 1", "a 3")
			g.counted(2, 0, 0, 1)
			letters := slices.Concat(g.cluster.Committed(at(jobDead, 0)), g.cluster.Committed(at(jobDead, 1)))
			if len(letters) != 1 {
				t.Fatalf("%d dead letters", len(letters))
			}
			l := letters[0]
			reason := header(l, deadletter.HeaderMessage)
			if len(l.Value) != damagedPrefix || header(l, deadletter.HeaderOffset) != "1" || header(l, deadletter.HeaderLimitSize) != "5000" ||
				!strings.Contains(reason, fmt.Sprintf("%x", sha256.Sum256(spoiltBytes))) || !strings.Contains(reason, "offsets 1 to 1") {
				t.Errorf("%d bytes, %v", len(l.Value), l.Headers)
			}
			if n := g.metric("weir_limit_refusals_total"); n != 0 {
				t.Errorf("%v records are counted as over a limit", n)
			}
		})
	}
}
