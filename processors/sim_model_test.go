package processors

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// The simulated job: orders are deduplicated by their sequence number and added up, and what was accepted is counted
// after an edge, once for each pair of sequence numbers: that node knows them by Dedup. An order says itself what else is to go wrong
// with it.
const (
	simGroup    = "sim"
	simPlaced   = "order.placed.v1"
	simPhoned   = "order.phoned.v1" // a second input of the same sub-graph, in some worlds; its customers are others
	simTotals   = "customer.total.v1"
	simAudits   = "order.audited.v1"
	simDead     = "order.placed.v1.dlq"
	simTotalLog = "sim-totals-changelog"
	simCountLog = "sim-counts-changelog"
	simIDLog    = "sim-audit-ids-changelog"
	simAttempts = 3
)

type simOrder struct {
	Seq    int64  `json:"seq"`
	Amount int64  `json:"amount"`           // below 0: rejected; 0: filtered
	Fails  int    `json:"fails,omitempty"`  // so many tries fail
	Panics bool   `json:"panics,omitempty"` // after having changed everything
	Exits  bool   `json:"exits,omitempty"`  // the same, and ends the worker's goroutine
	Late   bool   `json:"late,omitempty"`   // its Context is used by the node after the edge
	Closes bool   `json:"closes,omitempty"` // the customer's state is deleted
	Refuse string `json:"refuse,omitempty"` // which output is refused, and when: see simRefuse
	Pad    string `json:"pad,omitempty"`
}

// simAccepted goes along the edge. A Context should not.
type simAccepted struct {
	simOrder
	ctx topology.Context
}

type simTotal struct {
	LastSeq int64  `json:"last_seq"`
	Count   int64  `json:"count"`
	Sum     int64  `json:"sum"`
	Note    string `json:"note,omitempty"`
}

// simDefect is what is wrong with the job on purpose: see TestMutations.
type simDefect int

const (
	sound      simDefect = iota
	forgetful            // of the orders that it has seen
	keepsExit            // what a call has changed that ended its goroutine, as if that were not undone
	overtakes            // records of a key do not wait for one that is delayed, as if it were not parked
	sparesLate           // a Context that is used late, as if that were not refused
	forgetsIDs           // of what Dedup has seen

	// What a database does, as if the sink asked it for no more.
	ignoresEpochs  // writes for whoever has lost the partition
	forgetsOffsets // of the records that were written for
	splitsCommits  // keeps the offsets of a transaction that failed
)

// simWindow is for how long ids are known: not for long where the order of the records is the model's.
func simWindow(later bool, inputs []string) time.Duration {
	if later || len(inputs) > 1 {
		return time.Hour
	}
	return 40 * time.Millisecond
}

// simID is the id of an accepted order, of one that follows it, and of those that have their numbers after the customer's state was deleted.
func simID(key string, o simOrder) string { return fmt.Sprint(key, "/", o.Seq/2) }

// The node counts its calls itself: see simTries.
func simTopology(tries *simTries, inputs ...string) *topology.Topology {
	totals := topology.Stream(simTotals, codecs.JSON[simTotal]())
	audits := topology.Stream(simAudits, codecs.JSON[simTotal]())
	accepted := topology.Edge[simAccepted]("accepted")
	store := topology.Store("totals", codecs.JSON[simTotal]())
	counts := topology.Store("counts", codecs.Int64())
	defect := tries.w.defect
	accumulate := func(ctx topology.Context, key string, o simOrder) error {
		total, err := store.Get(ctx, key)
		if err != nil {
			return err
		}
		if defect == keepsExit {
			total = tries.kept(key, total)
		}
		if o.Seq <= total.LastSeq && defect != forgetful {
			return ctx.Drop(topology.Duplicate)
		}
		if o.Amount == 0 {
			store.Set(ctx, key, simTotal{LastSeq: 1 << 40}) // a drop takes it back
			return ctx.Drop(topology.Filtered)
		}
		total.LastSeq, total.Count, total.Sum = o.Seq, total.Count+1, total.Sum+o.Amount
		if o.Closes {
			store.Delete(ctx, key)
			totals.Tombstone(ctx, key)
			tries.enter(ctx, key, "-")
		} else {
			store.Set(ctx, key, total)
			tries.enter(ctx, key, asJSON(total))
			noted := total
			if strings.HasPrefix(o.Refuse, "total") {
				noted.Note = o.Refuse
			}
			totals.Emit(ctx, key, noted)
		}
		accepted.Emit(ctx, key, simAccepted{o, ctx})
		call := tries.call(ctx.Record())
		switch {
		case o.Amount < 0:
			return topology.Reject(errors.New("negative"))
		case o.Panics:
			panic("told to")
		case o.Exits:
			if defect == keepsExit {
				tries.keep(key, total)
			}
			runtime.Goexit()
		case tries.w.later && o.Fails >= simLaterTries:
			if !redrivenOnce(ctx.Record()) {
				return errors.New("not before it was redriven")
			}
		case !tries.w.later && o.Fails >= simAttempts, call <= o.Fails:
			return errors.New("not yet")
		}
		return nil
	}
	parts := []topology.Part{
		topology.Uses(store), topology.Emits(totals, accepted), topology.DeadLetter(simDead),
		topology.Retry(topology.Backoff{Attempts: simAttempts, First: 20 * time.Millisecond, Max: 50 * time.Millisecond}),
	}
	if tries.sink != nil {
		parts = append(parts, topology.Uses(tries.sink.Sink))
	}
	if tries.w.later {
		parts = append(parts, topology.RetryLater(simDelays[:]...))
	}
	for _, name := range inputs {
		parts = append(parts, topology.On(topology.Stream(name, codecs.JSON[simOrder]()), accumulate))
	}
	whole := []topology.Part{
		topology.Node("accumulate", parts...),
		topology.Node("audit",
			topology.On(accepted, func(ctx topology.Context, key string, o simAccepted) error {
				n, err := counts.Get(ctx, key)
				if err != nil {
					return err
				}
				counts.Set(ctx, key, n+1)
				audit := simTotal{Count: n + 1}
				if strings.HasPrefix(o.Refuse, "audit") {
					audit.Note = o.Refuse
				}
				audits.Emit(ctx, key, audit)
				if o.Late {
					used := o.ctx
					if defect == sparesLate {
						used = ctx
					}
					audits.Emit(used, key, simTotal{Note: "late"})
				}
				return nil
			}),
			topology.Dedup(func(_ topology.Context, key string, o simAccepted) (string, error) {
				if defect == forgetsIDs {
					return fmt.Sprint(key, "/", o.Seq), nil
				}
				return simID(key, o.simOrder), nil
			}, simWindow(tries.w.later, inputs)),
			topology.Uses(counts), topology.Emits(audits), topology.DeadLetter(simDead)),
	}
	if defect == overtakes {
		whole = append(whole, topology.Parking(false))
	}
	return topology.Define(simGroup, whole...)
}

// simRefuse refuses the outputs, and the values of dead letters, that say so: at once, or only when they are written.
func simRefuse(r *kafka.Outgoing) simkafka.Refusal {
	v := string(r.Value)
	switch {
	case r.Topic == simDead:
		switch large := len(r.Value) > 0; {
		case large && strings.Contains(v, "too large at once"):
			return simkafka.TooLargeAtOnce
		case large && strings.Contains(v, "too large"):
			return simkafka.TooLarge
		}
	case r.Topic != simTotals && r.Topic != simAudits:
	case strings.Contains(v, "-refused-at-once"):
		return simkafka.InvalidAtOnce
	case strings.Contains(v, "-refused"):
		return simkafka.Invalid
	}
	return simkafka.Taken
}

// simInput makes n records of some customers.
func simInput(rng *rand.Rand, n, keys int, mild bool) []kafka.Record {
	return simInputOf(rng, n, keys, simAttempts, mild)
}

// simInputOf makes such records, of which some fail up to so many times.
func simInputOf(rng *rand.Rand, n, keys, fails int, mild bool) []kafka.Record {
	seqs := map[string]int64{}
	records := make([]kafka.Record, 0, n)
	for i := range n {
		key := fmt.Sprintf("customer-%d", rng.IntN(keys))
		o := simOrder{Amount: 1 + rng.Int64N(100)}
		switch p := rng.IntN(100); {
		case p < 75 || mild:
			if rng.IntN(10) == 0 {
				o.Pad = strings.Repeat("x", rng.IntN(400))
			}
		case p < 78:
			o.Amount = -o.Amount
		case p < 81:
			o.Amount = 0
		case p < 85:
			o.Fails = 1 + rng.IntN(fails)
		case p < 86:
			o.Panics = true
		case p < 88:
			o.Closes = true
		case p < 92:
			o.Refuse = []string{"total-refused-at-once", "total-refused", "audit-refused-at-once", "audit-refused"}[rng.IntN(4)]
		case p < 94:
			records = append(records, kafka.Record{Key: []byte(key), Value: []byte("{not json" + []string{"", ", too large", ", too large at once"}[i%3]), Timestamp: int64(i)})
			continue
		case p < 95:
			records = append(records, kafka.Record{Key: []byte(key), Timestamp: int64(i)}) // a tombstone
			continue
		case p < 96:
			o.Exits = true
		case p < 97:
			o.Late = true
		case p < 98: // over a limit, alone or as a range
			n := 1 + i%2*i%5
			records = append(records, kafka.Record{Key: []byte(key), Value: []byte("{")[:i%2], Timestamp: int64(i),
				Excess: &kafka.Excess{Limit: "max.record.bytes", Size: int64(i), Max: 1, Records: n}})
			continue
		}
		if rng.IntN(6) == 0 && seqs[key] > 0 {
			o.Seq = 1 + rng.Int64N(seqs[key]) // again
		} else {
			seqs[key]++
			o.Seq = seqs[key]
		}
		value, _ := json.Marshal(o)
		records = append(records, kafka.Record{Key: []byte(key), Value: value, Timestamp: int64(i), Headers: []kafka.Header{{Key: "n", Value: []byte(fmt.Sprint(i))}}})
	}
	return records
}

// simWritten is an output record: key and value, "-" for a tombstone.
type simWritten struct{ Key, Value string }

// simModel is the job without a framework: what must come out of the input partitions of one task.
type simModel struct {
	later          bool // see sim_later_test.go
	totals, audits []simWritten
	dead           []simLetter
	counts         [outcomes]int64
	sums           map[string]simTotal
	counted        map[string]int64
	changed        map[simPlace]bool // records that have changed state
	ids            simIDs
}

func newSimModel(later bool, inputs []string) *simModel {
	return &simModel{later: later, ids: simIDs{window: simWindow(later, inputs).Milliseconds()}, sums: map[string]simTotal{}, counted: map[string]int64{}, changed: map[simPlace]bool{}}
}

type simLetter struct {
	Topic      string
	Key, Value string
	Offset     int64
	Cut        int64 // size of the value that was cut off
	Attempts   int
	Node       string // that is to blame
	Records    int    // over a limit
}

// take processes records of a partition.
func (m *simModel) take(tp kafka.TopicPartition, records []kafka.Record) {
	for _, r := range records {
		key := string(r.Key)
		var o simOrder
		dead := func(attempts int) {
			m.counts[deadLettered]++
			l := simLetter{Topic: tp.Topic, Key: key, Value: string(r.Value), Offset: r.Offset, Attempts: attempts, Node: "accumulate"}
			if strings.HasPrefix(o.Refuse, "audit") {
				l.Node = "audit"
			}
			if strings.Contains(l.Value, "too large") {
				l.Value, l.Cut, l.Attempts = "", int64(len(r.Value)), 0
			}
			m.dead = append(m.dead, l)
		}
		if x := r.Excess; x != nil {
			dead(1)
			m.counts[deadLettered] += int64(x.Records - 1)
			m.dead[len(m.dead)-1].Records = x.Records
			continue
		}
		if json.Unmarshal(r.Value, &o) != nil {
			dead(1)
			continue
		}
		total := m.sums[key]
		switch {
		case o.Seq <= total.LastSeq:
			m.counts[deduplicated]++
			continue
		case o.Amount == 0:
			m.counts[filtered]++
			continue
		case o.Amount < 0, strings.HasPrefix(o.Refuse, "total"), (o.Refuse != "" || o.Late) && !m.ids.has(simID(key, o)):
			dead(1)
			continue
		case m.later && (o.Panics || o.Exits): // discarded
			dead(simLaterTries)
			continue
		case m.later && o.Fails >= simLaterTries: // and redriven, before anything else of its key
			dead(simLaterTries)
		case m.later:
		// it passes in one of its tries
		case o.Panics, o.Exits, o.Fails >= simAttempts:
			dead(simAttempts)
			continue
		}
		m.counts[processed]++
		if o.Closes {
			delete(m.sums, key)
			m.totals = append(m.totals, simWritten{key, "-"})
		} else {
			total = simTotal{LastSeq: o.Seq, Count: total.Count + 1, Sum: total.Sum + o.Amount}
			m.sums[key] = total
			m.totals = append(m.totals, simWritten{key, asJSON(total)})
		}
		m.changed[simPlace{tp, r.Offset}] = true
		if m.ids.has(simID(key, o)) {
			continue
		}
		m.ids.add(simID(key, o), r.Timestamp)
		m.counted[key]++
		m.audits = append(m.audits, simWritten{key, asJSON(simTotal{Count: m.counted[key]})})
	}
}

// simIDs are the ids of a task that are known, by the slice of time in which they came to be known.
type simIDs struct {
	window int64 // in milliseconds
	slices []simSlice
}

type simSlice struct {
	start int64
	ids   map[string]bool
}

func (s *simIDs) has(id string) bool {
	return slices.ContainsFunc(s.slices, func(l simSlice) bool { return l.ids[id] })
}

func (s *simIDs) add(id string, at int64) {
	quarter := s.window / 4
	if n := len(s.slices); n == 0 || at >= s.slices[n-1].start+quarter {
		s.slices = slices.DeleteFunc(s.slices, func(l simSlice) bool { return l.start+quarter+s.window <= at })
		s.slices = append(s.slices, simSlice{at / quarter * quarter, map[string]bool{}})
	}
	s.slices[len(s.slices)-1].ids[id] = true
}

// keys are those of a store that has these ids and no others.
func (s *simIDs) keys() map[string]bool {
	keys := map[string]bool{}
	for _, l := range s.slices {
		for id := range l.ids {
			sum := sha256.Sum256([]byte(id))
			keys[fmt.Sprintf("%014x%x", l.start, sum[:16])] = true
		}
	}
	return keys
}

// stores are the two stores as their changelogs hold them.
func (m *simModel) stores() (totals, counts map[string]string) {
	totals, counts = map[string]string{}, map[string]string{}
	for k, v := range m.sums {
		totals[k] = asJSON(v)
	}
	for k, v := range m.counted {
		encoded, _ := codecs.Int64().Append(nil, v)
		counts[k] = string(encoded)
	}
	return totals, counts
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
