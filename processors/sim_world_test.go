package processors

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/internal/system"
)

// simWorld is one simulated run: a cluster, and slots in which instances live and die.
type simWorld struct {
	t       testing.TB
	seed    uint64
	rng     *rand.Rand
	cluster *simkafka.Cluster
	faulty  bool // under the cluster's lock
	root    string
	slots   []*simSlot

	guarantee  Guarantee
	partitions int32
	auditParts int32
	workers    int
	interval   time.Duration
	bytes      int
	cache      int64
	static     bool
	standby    int       // copies of state
	defect     simDefect // of the job
	rate       float64
	later      bool                                    // records are delayed, and keys parked: see sim_later_test.go
	answered   map[kafka.TopicPartition]int            // dead letters that the operator has looked at
	database   *simDatabase                            // nil: no database; see sim_outside_test.go
	pausing    bool                                    // operators pause the topology, and resume it: see sim_paused_test.go
	troubled   bool                                    // topics and the group have troubles
	inputs     []string                                // topics
	records    map[kafka.TopicPartition][]kafka.Record // of each input partition, to come
	calls      *simCalls                               // of the node, by record
	operators  []simOperator                           // meddle at the end, one after the other
	models     []*simModel                             // of each task
	resume     map[kafka.TopicPartition]int64          // up to where the models have processed the inputs

	mu       sync.Mutex
	seen     simEvidence
	problems []string
	log      []string
}

// simEvidence is what a run has gone through: a run without trouble proves nothing.
type simEvidence struct {
	crashes, crashedInTransaction, pauses, aborts, rebalances, commits, torn, older, deleted, retried, blocked, promoted int
	refusals, accepted, two                                                                                              int
	meddled                                                                                                              [simOperators]int
	delayed, redriven, discarded                                                                                         int
	held, stoodStill                                                                                                     int
	counts                                                                                                               [outcomes]int64
}

func newSimWorld(t testing.TB, seed uint64, root string) *simWorld {
	w := &simWorld{t: t, seed: seed, root: root, calls: newSimCalls(), resume: map[kafka.TopicPartition]int64{}, rng: rand.New(rand.NewPCG(seed, 7))}
	pick := func(n int) int { return w.rng.IntN(n) }
	w.guarantee = ExactlyOnce
	if seed%4 == 3 {
		w.guarantee = AtLeastOnce
	}
	w.partitions = int32(1 + pick(4))
	w.auditParts = int32(1 + pick(3))
	w.workers = 1 + pick(3)
	w.interval = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 700 * time.Millisecond}[pick(4)]
	w.bytes = []int{16 << 20, 16 << 20, 700}[pick(3)]
	w.cache = []int64{1, 128 << 20}[pick(2)]
	w.static = pick(4) == 0
	w.standby = []int{0, 1, 0, 2}[seed%4]
	w.rate = []float64{0, 0.005, 0.03, 0.12}[pick(4)]
	w.troubled = seed%3 == 1
	w.operators = operatorsOf(seed, w.guarantee)
	w.inputs = []string{simPlaced}
	if seed%5 == 1 {
		w.inputs = append(w.inputs, simPhoned)
		w.seen.two++
	}
	faults := simkafka.Random(w.rate)
	w.cluster = simkafka.New(simkafka.Config{
		Seed:         seed,
		FetchRecords: []int{1, 7, 100}[pick(3)],
		ReadAhead:    []int{1, 2000, 4 << 20}[pick(3)],
		Markers:      []time.Duration{5 * time.Millisecond, 300 * time.Millisecond}[pick(2)],
		Refuse:       simRefuse,
		Faults: func(c simkafka.Call, r *rand.Rand) simkafka.Fault {
			if !w.faulty {
				return simkafka.Fault{}
			}
			f := faults(c, r)
			if w.guarantee == AtLeastOnce && f.Mode == simkafka.Late {
				// Without transactions nothing keeps what is late from being written after what is newer.
				f.Mode = simkafka.After
			}
			return f
		},
		Trace: func(line string) {
			if simTrace() {
				w.note("%s", line)
			}
		},
	})
	createSimTopics(t, w.cluster, w.partitions, w.auditParts)
	if pausesIn(seed) {
		w.letPause()
	}
	w.records = map[kafka.TopicPartition][]kafka.Record{}
	for range w.partitions {
		w.models = append(w.models, newSimModel(false, w.inputs))
	}
	w.comes(simPlaced, simInput(w.rng, 10+pick(150), 1+pick(10), w.guarantee == AtLeastOnce))
	if len(w.inputs) > 1 {
		rng := rand.New(rand.NewPCG(seed, 8))
		w.comes(simPhoned, simInput(rng, rng.IntN(80), 1+rng.IntN(10), w.guarantee == AtLeastOnce))
	}
	for n := range 1 + pick(3) {
		w.slots = append(w.slots, &simSlot{w: w, n: n, dir: filepath.Join(root, fmt.Sprintf("disk%d", n)), rng: rand.New(rand.NewPCG(seed, uint64(100+n)))})
	}
	w.note("seed %d: %s, %d partitions, %d workers, interval %s, bytes %d, cache %d, static %v, copies %d, fault rate %g, %d slots",
		seed, w.guarantee, w.partitions, w.workers, w.interval, w.bytes, w.cache, w.static, w.standby, w.rate, len(w.slots))
	return w
}

func createSimTopics(t testing.TB, c *simkafka.Cluster, partitions, auditParts int32) {
	compacted := map[string]string{"cleanup.policy": "compact"}
	for _, topic := range []kafka.TopicSpec{
		{Name: simPlaced, Partitions: partitions},
		{Name: simPhoned, Partitions: partitions},
		{Name: simTotals, Partitions: partitions},
		{Name: simAudits, Partitions: auditParts},
		{Name: simDead, Partitions: partitions},
		{Name: simTotalLog, Partitions: partitions, Config: compacted},
		{Name: simCountLog, Partitions: partitions, Config: compacted},
		{Name: simIDLog, Partitions: partitions, Config: compacted},
		{Name: system.Jobs.Name, Partitions: 1, Config: compacted},
	} {
		if err := c.CreateTopic(topic); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *simWorld) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *simWorld) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

func (w *simWorld) setFaulty(on bool) {
	// Faults are drawn under the cluster's lock, and so is every call that takes it.
	w.cluster.Do(func() { w.faulty = on })
}

// tps are the input partitions, in order.
func (w *simWorld) tps() (all []kafka.TopicPartition) {
	for _, name := range w.inputs {
		for p := range w.partitions {
			all = append(all, kafka.TopicPartition{Topic: name, Partition: p})
		}
	}
	return all
}

// comes has records ready for an input.
func (w *simWorld) comes(topic string, records []kafka.Record) {
	for _, r := range records {
		if topic == simPhoned {
			r.Key = append([]byte("phoned-"), r.Key...)
		}
		tp := kafka.TopicPartition{Topic: topic, Partition: partitioner.Murmur2.Partition(r.Key, w.partitions)}
		w.records[tp] = append(w.records[tp], r)
	}
}

// feed writes n more of the records of each partition, now and then in a transaction, with markers and aborted records
// between them.
func (w *simWorld) feed(rng *rand.Rand, n int) {
	for _, tp := range w.tps() {
		some := w.records[tp][:min(n, len(w.records[tp]))]
		w.records[tp] = w.records[tp][len(some):]
		switch rng.IntN(4) {
		case 0:
			w.cluster.ProduceTransaction(tp, true, some...)
		case 1:
			w.cluster.ProduceTransaction(tp, false, kafka.Record{Key: []byte("nobody"), Value: []byte(`{"seq":1,"amount":1}`)})
			w.cluster.Produce(tp, some...)
		default:
			w.cluster.Produce(tp, some...)
		}
	}
}

// run is the whole of it.
func (w *simWorld) run() {
	began := time.Now()
	w.feed(w.rng, 5)
	w.setFaulty(true)
	until := time.Now().Add(time.Duration(5+w.rng.IntN(40)) * time.Second)
	var lives sync.WaitGroup
	for _, s := range w.slots {
		lives.Go(func() { s.live(until) })
	}
	feeder, holder := rand.New(rand.NewPCG(w.seed, 9)), rand.New(rand.NewPCG(w.seed, 13))
	lives.Go(func() {
		for time.Now().Before(until) {
			time.Sleep(time.Duration(feeder.Int64N(int64(2 * time.Second))))
			w.feed(feeder, feeder.IntN(5))
			if feeder.IntN(8) == 0 {
				w.cluster.Compact(simTotalLog)
				w.cluster.Compact(simCountLog)
				w.cluster.Compact(simIDLog)
				if w.later {
					w.cluster.Compact(simParkedLog)
				}
			}
			w.answer()
			w.interrupt(holder)
			if feeder.IntN(12) == 0 {
				w.cluster.Rebalance(simGroup)
			}
			if w.troubled {
				w.trouble(feeder)
			}
		}
	})
	lives.Wait()
	w.setFaulty(false)
	if w.database != nil {
		w.database.setFaulty(false)
	}
	w.cluster.MendAll()
	w.release()
	w.seen.blocked += w.cluster.Blocked()
	w.note("--- faults stop after %s", time.Since(began))
	w.settle()
}

// trouble begins or ends what is wrong with a topic or with the group, and is nobody's fault.
func (w *simWorld) trouble(rng *rand.Rand) {
	switch rng.IntN(8) {
	case 0:
		topics := []string{simTotals, simAudits, simDead, simTotalLog, simCountLog, simIDLog, simPlaced}
		if w.later {
			topics = append(topics, simParkedLog, simRetries[0], simRetries[1])
		}
		w.cluster.SetTrouble(topics[rng.IntN(len(topics))], simkafka.Trouble(1+rng.IntN(3)))
	case 1:
		w.cluster.DenyGroup(true)
	case 2, 3:
		w.cluster.MendAll()
	}
}

// settle has the rest of the input worked off without trouble, lets operators do something, and checks everything.
func (w *simWorld) settle() {
	w.workOff()
	for i, o := range w.operators {
		if len(w.problems) == 0 && o != nobody {
			w.meddle(o, i == len(w.operators)-1)
		}
	}
	if w.pausing && len(w.problems) == 0 {
		w.standStill()
	}
	time.Sleep(30 * time.Second) // what was left open, or is still begun by a request that comes late
	w.check()
}

// workOff feeds the rest of the input, waits until it is processed, and stops all instances.
func (w *simWorld) workOff() {
	w.feed(w.rng, 1<<20)
	if w.slots[0].inst == nil {
		w.slots[0].start()
	}
	bound := 2 * time.Minute
	if w.later {
		bound = 10 * time.Minute // records of a key that fail wait for one another
	}
	calm := time.Now()
	for !w.finished() {
		w.answer()
		if time.Since(calm) > bound {
			w.problem("not at the end of the input %s after the last fault: %s", bound, w.lagging())
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.note("--- finished %s after the last fault", time.Since(calm))
	for _, s := range w.slots {
		if s.inst != nil {
			if s.running() {
				s.stop()
			} else {
				s.end(false)
			}
		}
	}
}

// finished says whether everything is committed, and every task restored by whoever has it now.
func (w *simWorld) finished() bool {
	running := int32(0)
	for _, s := range w.slots {
		if s.inst == nil {
			continue
		}
		for _, task := range s.instance().Stats().Tasks {
			if task.State == taskRunning.String() {
				running++
			}
		}
	}
	return running == w.partitions && w.lagging() == ""
}

func (w *simWorld) lagging() string {
	for _, tp := range append(w.tps(), w.asideOf()...) {
		_, _, end := w.cluster.Bounds(tp)
		o := w.cluster.OffsetOf(simGroup, tp)
		at := o.Offset
		if mark, ok := offsets.ParseMark(o.Metadata); ok && mark.TopicID != w.cluster.TopicID(tp.Topic) {
			at = -1 // of a topic that is gone
		}
		if at != end && (at >= 0 || end > 0) {
			var health []string
			for _, s := range w.slots {
				if s.inst != nil {
					health = append(health, fmt.Sprintf("i%d: %v", s.n, s.instance().Health()))
				}
			}
			return fmt.Sprintf("%s at %d of %d; %v", tp, at, end, health)
		}
	}
	return w.leftAside()
}

// simulate runs a seed in a folder of its own, in a world with a defect, and returns what is left of it.
func simulate(t *testing.T, seed uint64, dir string, defect simDefect, run func(*simWorld)) *simWorld {
	defer os.RemoveAll(dir)
	var w *simWorld
	synctest.Test(t, func(t *testing.T) {
		w = newSimWorld(t, seed, dir)
		w.defect = defect
		run(w)
		time.Sleep(2 * time.Second) // LevelDB's buffers are drained for a second after a database was closed
	})
	if len(w.problems) > 0 && simTrace() {
		for _, line := range w.log {
			t.Log(line)
		}
	}
	return w
}
