package processors

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/topology"
)

var simLaterSeeds = flag.Int("sim.later", defaultLaterSeeds, "how many seeds TestSimulationOfDelays runs")

// In some worlds records are tried again later, keys are parked, and an operator answers the dead letters that others wait for: those of
// records that would pass now are redriven, the others discarded. Then the order of a key is that of its input, whatever fails, and
// what comes out is what would come out if nothing had to wait.
const (
	simRedrive   = simGroup + "-" + simPlaced + "-redrive"
	simParkedLog = simGroup + "-" + simPlaced + "-parked-changelog"
)

var (
	simDelays  = [...]time.Duration{time.Second, 3 * time.Second}
	simRetries = [...]string{simGroup + "-" + simPlaced + "-retry-1s", simGroup + "-" + simPlaced + "-retry-3s"}
)

// simLaterTries is how often a record is tried in all before it is a dead letter.
const simLaterTries = simAttempts * (1 + len(simDelays))

// numberOf is the number of an order, wherever it is read.
func numberOf(r *topology.Record) string {
	for _, h := range r.Headers {
		if h.Key == "n" {
			return string(h.Value)
		}
	}
	return ""
}

func redrivenOnce(r *topology.Record) bool {
	return slices.ContainsFunc(r.Headers, func(h topology.Header) bool { return h.Key == deadletter.HeaderRedrives })
}

// delays makes the world one of these.
func (w *simWorld) delays() {
	w.later, w.guarantee, w.operators, w.inputs = true, ExactlyOnce, nil, []string{simPlaced}
	w.answered = map[kafka.TopicPartition]int{}
	appends := map[string]string{"message.timestamp.type": "LogAppendTime"}
	for _, name := range []string{simRedrive, simRetries[0], simRetries[1]} {
		if err := w.cluster.CreateTopic(kafka.TopicSpec{Name: name, Partitions: w.partitions, Config: appends}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.cluster.CreateTopic(kafka.TopicSpec{Name: simParkedLog, Partitions: w.partitions, Config: map[string]string{"cleanup.policy": "compact"}}); err != nil {
		w.t.Fatal(err)
	}
	for p := range w.models {
		w.models[p] = newSimModel(true, w.inputs)
	}
	clear(w.records)
	rng := rand.New(rand.NewPCG(w.seed, 12))
	w.comes(simPlaced, simInputOf(rng, 40+rng.IntN(120), 3+rng.IntN(10), simLaterTries+2, false))
}

// runDelays is a run in such a world.
func (w *simWorld) runDelays() {
	w.delays()
	w.run()
}

// asideOf are the partitions where records wait.
func (w *simWorld) asideOf() (all []kafka.TopicPartition) {
	if !w.later {
		return nil
	}
	for _, name := range []string{simRedrive, simRetries[0], simRetries[1]} {
		for p := range w.partitions {
			all = append(all, kafka.TopicPartition{Topic: name, Partition: p})
		}
	}
	return all
}

// answer has the operator look at new dead letters.
func (w *simWorld) answer() {
	if !w.later {
		return
	}
	for p := range w.partitions {
		tp := kafka.TopicPartition{Topic: simDead, Partition: p}
		letters := w.cluster.Committed(tp)
		for _, l := range letters[w.answered[tp]:] {
			w.answered[tp]++
			var o simOrder
			if header(l, deadletter.HeaderParks) == "none" || json.Unmarshal(l.Value, &o) != nil {
				continue // nothing waits for it
			}
			back := kafka.Record{Key: l.Key, Value: l.Value, Timestamp: time.Now().UnixMilli(), Headers: deadletter.Redriven(l.Headers)}
			if o.Panics || o.Exits {
				back.Value, back.Headers = nil, deadletter.Released(l.Headers)
				w.seen.discarded++
			} else {
				w.seen.redriven++
			}
			w.cluster.Produce(kafka.TopicPartition{Topic: simRedrive, Partition: p}, back)
		}
	}
}

// leftAside says what is still to be answered, or parked, "" where nothing is.
func (w *simWorld) leftAside() string {
	if !w.later {
		return ""
	}
	for p := range w.partitions {
		if tp := (kafka.TopicPartition{Topic: simDead, Partition: p}); len(w.cluster.Committed(tp)) > w.answered[tp] {
			return tp.String() + " has letters that nobody has answered"
		}
		tp := kafka.TopicPartition{Topic: simParkedLog, Partition: p}
		for _, key := range replayedKeys(w.cluster.Committed(tp)) {
			if key != totalsName {
				return fmt.Sprintf("%s still holds %q", tp, key)
			}
		}
	}
	return ""
}

// TestSimulationOfDelays runs worlds of delayed records and parked keys as TestSimulation runs the others, with the same troubles.
//
//	go test ./processors -run TestSimulationOfDelays -sim.later=5000                          seeds 1 to 5000
//	go test ./processors -run TestSimulationOfDelays -sim.later=1 -sim.seeds=1 -sim.seed=42    one seed, with a trace when it fails
func TestSimulationOfDelays(t *testing.T) {
	var seen simEvidence
	eachSeed(t, seedsFrom(*simLaterSeeds), (*simWorld).runDelays, func(w *simWorld) { seen.add(w.seen) })
	t.Logf("%+v", seen)
	if *simLaterSeeds >= 30 && slices.Contains([]int{seen.delayed, seen.redriven, seen.discarded, seen.crashes, seen.aborts, seen.rebalances, seen.blocked, seen.deleted}, 0) {
		t.Errorf("a run without every kind of trouble proves nothing: %+v", seen)
	}
}
