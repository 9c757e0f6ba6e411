package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/kafka"
)

// model says what the contract of customer-totals makes of an input. It is folded over the input topic itself, so that
// it holds for whatever was fed, in this run and those before, and shares no code with the job.
type model struct {
	totals   map[string]orders.Total
	accepted int64
	dead     map[deadletter.Position]letter // what must be in the dead letter topic
	redriven map[deadletter.Position]redriven
	highest  map[string]int64 // number of each customer's last order, rejected ones included
	counts   counts           // of the records that this run has to process
}

// counts are how records ended.
type counts struct {
	In           int64 `json:"records_in"`
	Processed    int64 `json:"processed"`
	Filtered     int64 `json:"filtered"`
	Deduplicated int64 `json:"deduplicated"`
	DeadLettered int64 `json:"dead_lettered"`
}

func (c counts) sum() int64 { return c.Processed + c.Filtered + c.Deduplicated + c.DeadLettered }

type letter struct{ key, value []byte }

// redriven is a record of a letter that an operator has sent back.
type redriven struct {
	letter
	bad     bool // nobody can read it: it is a letter again
	counted bool
}

func newModel() *model {
	return &model{totals: map[string]orders.Total{}, dead: map[deadletter.Position]letter{}, redriven: map[deadletter.Position]redriven{}, highest: map[string]int64{}}
}

// input takes the next record of an input partition. counted is false for a record that an earlier run has processed. It says whether the record is one that
// ends as a dead letter, where it is no duplicate.
func (m *model) input(tp kafka.TopicPartition, r *kafka.Record, counted bool) bool {
	customer := string(r.Key)
	order, bad := read(r)
	total, known := m.totals[customer]
	var what *int64
	switch {
	case !bad && known && order.Seq <= total.LastSeq:
		what = &m.counts.Deduplicated
	case bad || order.AmountCents < 0:
		what = &m.counts.DeadLettered
		m.dead[deadletter.Position{TopicPartition: tp, Offset: r.Offset}] = letter{r.Key, r.Value}
	default:
		what = &m.counts.Processed
		m.accepted++
		m.totals[customer] = orders.Total{LastSeq: order.Seq, Count: total.Count + 1, SumCents: total.SumCents + order.AmountCents}
	}
	if !bad {
		m.highest[customer] = max(m.highest[customer], order.Seq)
	}
	if counted {
		m.counts.In++
		*what++
	}
	return bad || order.AmountCents < 0
}

// read is an order; bad where nobody can read it.
func read(r *kafka.Record) (order orders.Order, bad bool) {
	bad = r.Value == nil || json.Unmarshal(r.Value, &order) != nil || order.EventID == "" || order.Customer == ""
	return order, bad
}

// redrive takes the next record of the topic through which letters come back.
func (m *model) redrive(tp kafka.TopicPartition, r *kafka.Record, counted bool) {
	_, bad := read(r)
	m.redriven[deadletter.Position{TopicPartition: tp, Offset: r.Offset}] = redriven{letter{r.Key, r.Value}, bad, counted}
	if counted {
		m.counts.In++
	}
}

// expected are the counts and the dead letters that the input makes. A negative order that comes back is rejected again, or a duplicate where
// another order has its number by then: which came first, only the job knows, and the letter tells.
func (m *model) expected(r *reality) (counts, map[deadletter.Position]letter) {
	c, dead := m.counts, maps.Clone(m.dead)
	for place, back := range m.redriven {
		what := &c.Deduplicated
		if back.bad || len(r.letters[place]) > 0 {
			what, dead[place] = &c.DeadLettered, back.letter
		}
		if back.counted {
			*what++
		}
	}
	return c, dead
}

// reality is what the job has written, as a read-committed reader finds it.
type reality struct {
	totals  map[string]orders.Total // the last of each key
	outputs int64
	dead    int64
	letters map[deadletter.Position][]letter
	strange []string // records that are no total, or no dead letter
}

func newReality() *reality {
	return &reality{totals: map[string]orders.Total{}, letters: map[deadletter.Position][]letter{}}
}

func (r *reality) output(tp kafka.TopicPartition, rec *kafka.Record) {
	var total orders.Total
	if err := json.Unmarshal(rec.Value, &total); err != nil {
		r.strange = append(r.strange, fmt.Sprintf("%s offset %d is no total: %v", tp, rec.Offset, err))
		return
	}
	r.outputs++
	r.totals[string(rec.Key)] = total
}

func (r *reality) deadLetter(tp kafka.TopicPartition, rec *kafka.Record) {
	r.dead++
	envelope, err := deadletter.Read(rec.Headers)
	if err != nil {
		r.strange = append(r.strange, fmt.Sprintf("%s offset %d is no dead letter: %v", tp, rec.Offset, err))
		return
	}
	r.letters[envelope.Position] = append(r.letters[envelope.Position], letter{rec.Key, rec.Value})
}

// differences says in what reality is not what the model wants, the first of each kind by name. job is what the engine
// has counted.
func differences(m *model, r *reality, job counts) []string {
	var list []string
	want, wantDead := m.expected(r)
	differ := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if job.sum() != job.In {
		differ("the four counts add up to %d, but %d records came in", job.sum(), job.In)
	}
	for _, c := range []struct {
		name       string
		have, want int64
	}{
		{"processed", job.Processed, want.Processed},
		{"filtered", job.Filtered, want.Filtered},
		{"deduplicated", job.Deduplicated, want.Deduplicated},
		{"dead-lettered", job.DeadLettered, want.DeadLettered},
	} {
		if c.have != c.want {
			differ("%d records were counted as %s, the input makes %d", c.have, c.name, c.want)
		}
	}
	if r.outputs != m.accepted {
		differ("%s has %d records, the input makes %d", outputTopic, r.outputs, m.accepted)
	}
	if wrong := differingKeys(m.totals, r.totals, func(a, b orders.Total) bool { return a == b }); len(wrong) > 0 {
		key := wrong[0]
		differ("totals of %d customers differ: %s has %+v, the input makes %+v", len(wrong), key, r.totals[key], m.totals[key])
	}
	lost, phantom := 0, 0
	for place, want := range wantDead {
		if !slices.ContainsFunc(r.letters[place], func(l letter) bool { return l.same(want) }) {
			lost++
		}
	}
	for place, found := range r.letters {
		for i, l := range found {
			if want, ok := wantDead[place]; !ok || i > 0 || !l.same(want) {
				phantom++
			}
		}
	}
	if lost > 0 {
		differ("%d of %d bad records are not in %s", lost, len(wantDead), deadLetterTopic)
	}
	if phantom > 0 {
		differ("%d records of %s are no bad record of the input, or are there twice", phantom, deadLetterTopic)
	}
	return append(list, r.strange...)
}

// same compares bytes; nil is not empty.
func (l letter) same(other letter) bool {
	return bytes.Equal(l.key, other.key) && bytes.Equal(l.value, other.value) && (l.value == nil) == (other.value == nil)
}

// differingKeys lists the keys, in order, whose values are not the same in both maps.
func differingKeys[V any](a, b map[string]V, same func(V, V) bool) []string {
	keys := map[string]bool{}
	for key, v := range a {
		if w, ok := b[key]; !ok || !same(v, w) {
			keys[key] = true
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
