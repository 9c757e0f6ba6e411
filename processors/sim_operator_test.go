package processors

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/system"
)

// simOperator does something to topics or offsets behind the back of a topology that is at rest. The model knows what
// must happen: what was processed stays, what is new is processed once, and where offsets and state do not belong together
// any more nothing happens until somebody says so.
type simOperator int

const (
	nobody        simOperator = iota
	recreates                 // an input is deleted and created again, with other records at the same offsets
	losesInput                // an input loses its end in an unclean election and grows again
	resetsOffsets             // offsets are set, as with kafka-consumer-groups --reset-offsets
	losesOffsets              // offsets expire, or are deleted
	losesState                // a changelog is emptied, or deleted and created again, and the disks are gone too
	simOperators
)

// operatorsOf draws up to three. What is not exact without transactions is left out there.
func operatorsOf(seed uint64, g Guarantee) []simOperator {
	rng := rand.New(rand.NewPCG(seed, 11))
	drawn := []simOperator{simOperator(seed / 4 % uint64(simOperators))}
	for range rng.IntN(3) {
		drawn = append(drawn, simOperator(rng.IntN(int(simOperators))))
	}
	if g == AtLeastOnce {
		drawn = slices.DeleteFunc(drawn, func(o simOperator) bool { return o != resetsOffsets && o != losesOffsets })
	}
	return drawn
}

// meddle is an operator's deed, the last one or not, and the proof that the topology goes on as it must.
func (w *simWorld) meddle(o simOperator, last bool) {
	time.Sleep(30 * time.Second) // see settle
	w.rest()
	w.note("--- operator %d", o)
	did := true
	switch o {
	case recreates:
		w.recreate(w.inputs[w.rng.IntN(len(w.inputs))])
	case losesInput:
		w.loseEnds(w.inputs[w.rng.IntN(len(w.inputs))])
	case resetsOffsets, losesOffsets:
		did = w.disagree(o)
	case losesState:
		did = w.loseState(last)
	}
	if !did {
		return
	}
	w.seen.meddled[o]++
	w.calls = newSimCalls()
	w.workOff()
}

// rest has the models process what the instances have processed since the last time.
func (w *simWorld) rest() {
	for _, tp := range w.tps() {
		_, _, end := w.cluster.Bounds(tp)
		left := slices.DeleteFunc(w.cluster.Committed(tp), func(r kafka.Record) bool { return r.Offset < w.resume[tp] })
		w.models[tp.Partition].take(tp, left)
		w.resume[tp] = end
	}
}

// gone has a model forget what it knows of a log from an offset on.
func (w *simWorld) gone(tp kafka.TopicPartition, from int64) {
	w.resume[tp] = from
	maps.DeleteFunc(w.models[tp.Partition].changed, func(at simPlace, _ bool) bool { return at.tp == tp && at.offset >= from })
}

func (w *simWorld) recreate(topic string) {
	partitions := slices.DeleteFunc(w.tps(), func(tp kafka.TopicPartition) bool { return tp.Topic != topic })
	w.cluster.DeleteTopic(topic)
	if w.rng.IntN(2) == 0 {
		w.cluster.ExpireOffsets(simGroup, partitions...) // as Kafka does when a topic is deleted
	}
	if err := w.cluster.CreateTopic(kafka.TopicSpec{Name: topic, Partitions: w.partitions}); err != nil {
		w.problem("create again: %v", err)
	}
	for _, tp := range partitions {
		w.gone(tp, 0)
	}
	w.comes(topic, simInput(w.rng, 60, 12, false)) // of customers that there were and of new ones
}

func (w *simWorld) loseEnds(topic string) {
	for _, tp := range w.tps() {
		if tp.Topic != topic {
			continue
		}
		_, _, end := w.cluster.Bounds(tp)
		cut := end - min(end, 1+w.rng.Int64N(5))
		for _, r := range w.cluster.Committed(tp) {
			if r.Offset < cut && r.Next() > cut {
				cut = r.Offset // a log ends between batches
			}
		}
		w.gone(tp, cut)
		w.cluster.Replace(tp, cut, w.recordsOf(tp, "grown-"+topic, 30)...)
		if _, _, now := w.cluster.Bounds(tp); now == end { // what is committed must not look finished
			w.cluster.Produce(tp, w.recordsOf(tp, "longer-"+topic, 30)...)
		}
	}
}

// recordsOf are those of n new ones that belong to a partition.
func (w *simWorld) recordsOf(tp kafka.TopicPartition, prefix string, n int) (some []kafka.Record) {
	for _, r := range simInput(w.rng, n, 8, w.guarantee == AtLeastOnce) {
		r.Key = append([]byte(prefix+"-"), r.Key...)
		if partitioner.Murmur2.Partition(r.Key, w.partitions) == tp.Partition {
			some = append(some, r)
		}
	}
	return some
}

// disagree has offsets of some inputs set or deleted that the state has read, sees that this is refused, and then either puts
// them back or accepts them with a record. It returns false where the state has read none.
func (w *simWorld) disagree(o simOperator) bool {
	last := map[kafka.TopicPartition]int64{} // the record that changed the state last
	for _, m := range w.models {
		for at := range m.changed {
			last[at.tp] = max(last[at.tp], at.offset)
		}
	}
	var chosen []kafka.TopicPartition
	for _, tp := range w.tps() {
		if _, ok := last[tp]; ok && (len(chosen) == 0 || w.rng.IntN(3) == 0) {
			chosen = append(chosen, tp)
		}
	}
	if len(chosen) == 0 {
		return false
	}
	if w.rng.IntN(2) == 0 { // the machine is another one, and its state comes from the changelogs
		_ = os.RemoveAll(w.slots[0].dir)
	}
	was := map[kafka.TopicPartition]kafka.CommittedOffset{}
	for _, tp := range chosen {
		was[tp] = w.cluster.OffsetOf(simGroup, tp)
		if o == losesOffsets {
			w.cluster.ExpireOffsets(simGroup, tp)
			continue
		}
		least, most := int64(0), last[tp]
		if w.rng.IntN(2) == 0 { // over records that nobody has read yet
			// At least one is left to be read: an offset at the end has no leader epoch until then, and if the log lost its
			// end after that, nothing could tell.
			if some := w.recordsOf(tp, "more-"+tp.Topic, 12); len(some) > 1 {
				least, most = was[tp].Offset+1, w.cluster.Produce(tp, some...)-1
			}
		}
		set := least + w.rng.Int64N(most-least+1)
		w.cluster.SetOffset(simGroup, tp, set)
	}
	if !w.mustRefuse(fmt.Sprintf("operator %d on %v", o, chosen), chosen) {
		return true
	}
	accept := w.guarantee == ExactlyOnce && w.rng.IntN(2) == 0
	for _, tp := range chosen {
		if !accept {
			w.cluster.CommitOffset(simGroup, tp, was[tp])
			continue
		}
		w.seen.accepted++
		set := w.cluster.OffsetOf(simGroup, tp).Offset
		w.recordReset(tp, set)
		w.resume[tp] = max(0, set)
	}
	return true
}

// loseState takes a changelog's records away, and all disks. That is refused where there was state, until it is said that the
// state may be empty. It returns false where there was none.
//
// A changelog is emptied by the last operator only: that it is whole without its beginning is written in the marks of the
// offsets, and where one more operator takes these away it is refused again, and rightly.
func (w *simWorld) loseState(last bool) bool {
	log, again := []string{simTotalLog, simCountLog}[w.rng.IntN(2)], !last || w.rng.IntN(2) == 0
	var held []kafka.TopicPartition
	for p, m := range w.models {
		if some := len(m.sums) > 0 && log == simTotalLog || len(m.counted) > 0 && log == simCountLog; some && (again || len(held) == 0) {
			held = append(held, kafka.TopicPartition{Topic: simPlaced, Partition: int32(p)})
		}
	}
	if len(held) == 0 {
		return false
	}
	for _, s := range w.slots {
		_ = os.RemoveAll(s.dir)
	}
	if again {
		w.cluster.DeleteTopic(log)
		if err := w.cluster.CreateTopic(kafka.TopicSpec{Name: log, Partitions: w.partitions, Config: map[string]string{"cleanup.policy": "compact"}}); err != nil {
			w.problem("create again: %v", err)
		}
	} else {
		tp := kafka.TopicPartition{Topic: log, Partition: held[0].Partition}
		_, _, end := w.cluster.Bounds(tp)
		w.cluster.DeleteRecords(tp, end)
	}
	if !w.mustRefuse(fmt.Sprintf("%s lost, made again %v, on %v", log, again, held), held) {
		return true
	}
	for _, tp := range held {
		if m := w.models[tp.Partition]; log == simTotalLog {
			clear(m.sums)
		} else {
			clear(m.counted)
		}
	}
	w.comes(w.inputs[w.rng.IntN(len(w.inputs))], simInput(w.rng, 40, 12, false))
	w.slots[0].acceptEmpty = true
	w.slots[0].start()
	w.slots[0].acceptEmpty = false
	return true
}

// mustRefuse has an instance start, which must write nothing for the partitions named.
func (w *simWorld) mustRefuse(why string, of []kafka.TopicPartition) bool {
	held := func() string {
		all := ""
		for _, tp := range of {
			all += fmt.Sprintf("%s committed %+v", tp, w.cluster.OffsetOf(simGroup, tp))
			for _, topic := range []string{simTotals, simDead, simTotalLog, simCountLog, simIDLog} {
				_, _, end := w.cluster.Bounds(kafka.TopicPartition{Topic: topic, Partition: tp.Partition})
				all += fmt.Sprintf(", %s ends at %d", topic, end)
			}
		}
		return all
	}
	before := held()
	w.slots[0].start()
	if !w.slots[0].refused(why) {
		return false
	}
	w.seen.refusals++
	if after := held(); after != before {
		w.problem("refused, and yet something was written: %s: %s, before: %s", why, after, before)
	}
	return true
}

// stated is how far the changelogs say that the state has read an input; -1 where they do not.
func (w *simWorld) stated(tp kafka.TopicPartition) int64 {
	most := int64(-1)
	for _, log := range []string{simTotalLog, simCountLog, simIDLog} {
		var newest []byte
		for _, r := range w.cluster.Committed(kafka.TopicPartition{Topic: log, Partition: tp.Partition}) {
			if raw := offsets.Raw(r.Headers); raw != nil {
				newest = raw
			}
		}
		if p, err := offsets.ParsePositions(newest); err == nil && p[tp.Topic].TopicID == w.cluster.TopicID(tp.Topic) {
			most = max(most, p[tp.Topic].Offset)
		}
	}
	return most
}

// recordReset records that an input is read on at an offset, -1 for where auto.offset.reset says.
func (w *simWorld) recordReset(tp kafka.TopicPartition, offset int64) {
	null := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	r := offsets.Reset{Version: 1, Topology: simGroup, Topic: tp.Topic, TopicID: w.cluster.TopicID(tp.Topic), Partition: tp.Partition,
		Committed: null(offset), Old: null(w.stated(tp)), New: null(offset), Who: "operator", Why: "drawn", At: time.Now()}
	w.cluster.Produce(kafka.TopicPartition{Topic: system.Jobs.Name}, kafka.Record{Key: []byte(r.Key()), Value: r.Value()})
}
