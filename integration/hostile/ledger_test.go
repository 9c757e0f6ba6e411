//go:build unix

package hostile

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// fate is how a record of the input must end.
type fate int8

const (
	byModel fate = iota // as the oracle's model of the job says
	dead                // as a dead letter, whatever it holds
	gone                // in no way: an aborted transaction, or deleted before it was read
)

// entry is a record that was written to the input.
type entry struct {
	oracle.Record // without what is large: then the fate is not by the model
	fate          fate
	cut           bool // the dead letter need not hold all of the record
}

// ledger knows every record of the input and how it must end. It is safe for concurrent use.
type ledger struct {
	mu    sync.Mutex
	parts []*ledgerPart
}

type ledgerPart struct {
	pending []entry          // not verified yet
	end     int64            // offset after the last one
	model   *oracle.Expected // of everything verified
}

func newLedger(partitions int) *ledger {
	l := &ledger{}
	for range partitions {
		l.parts = append(l.parts, &ledgerPart{model: oracle.NewExpected()})
	}
	return l
}

// add notes records that the broker has acknowledged.
func (l *ledger) add(partition int32, entries ...entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.parts[partition]
	for _, e := range entries {
		p.pending = append(p.pending, e)
		p.end = max(p.end, e.Offset+1)
	}
}

// amend changes what is expected of records that are not verified yet.
func (l *ledger) amend(change func(partition int32, e *entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, p := range l.parts {
		for i := range p.pending {
			change(int32(n), &p.pending[i])
		}
	}
}

// recreated is called when the input was deleted and made again: offsets begin again, state stays.
func (l *ledger) recreated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		p.pending, p.end = nil, 0
	}
}

// ends are the offsets after the last records.
func (l *ledger) ends() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ends []int64
	for _, p := range l.parts {
		ends = append(ends, p.end)
	}
	return ends
}

// place is a record of the input.
type place struct {
	partition int32
	offset    int64
}

// due is what must have come of the records that are pending.
type due struct {
	outputs map[string][]oracle.Total // by key, in order
	letters map[place]entry
	counts  oracle.Counts
}

// settle takes the pending records into the model, and says what must have come of them.
func (l *ledger) settle() due {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := due{outputs: map[string][]oracle.Total{}, letters: map[place]entry{}}
	for n, p := range l.parts {
		slices.SortFunc(p.pending, func(a, b entry) int { return int(a.Offset - b.Offset) })
		for i := range p.pending {
			e := &p.pending[i]
			outcome := oracle.DeadLettered
			switch e.fate {
			case gone:
				continue
			case byModel:
				outcome = p.model.Apply(&e.Record)
			}
			switch outcome {
			case oracle.DeadLettered:
				d.letters[place{int32(n), e.Offset}] = *e
				d.counts.DeadLettered++
			case oracle.Deduplicated:
				d.counts.Deduplicated++
			case oracle.Processed:
				d.counts.Processed++
			}
		}
		for _, out := range p.model.Outputs {
			d.outputs[out.Key] = append(d.outputs[out.Key], out.Total)
		}
		p.pending, p.model.Outputs = nil, nil
		clear(p.model.Dead)
	}
	return d
}

// state is what the stores must hold, by partition.
func (l *ledger) state(partition int) map[string]oracle.Total {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts[partition].model.State
}

// seen marks outputs that have appeared: a total with a count of 0 is none of the job's.
const seen = math.MinInt64

// problems compares what is due with what has appeared since the last time.
func (d due) problems(outputs, letters []*kgo.Record) []string {
	var found problems
	type lane struct {
		key       string
		partition int32
	}
	last := map[lane]int{} // how far the outputs of a key are on a partition: an empty key and none are on two
	for _, r := range outputs {
		key := string(r.Key)
		total, err := decodeTotal(r.Value)
		n := slices.Index(d.outputs[key], total)
		switch {
		case err != nil:
			found.add("output %s of key %.40q holds %.60q: %v", at(r), key, r.Value, err)
		case n < 0:
			found.add("output %s of key %.40q is %+v, which is wrong or one too many", at(r), key, total)
		case n < last[lane{key, r.Partition}]:
			found.add("output %s of key %.40q is %+v, out of order", at(r), key, total)
		}
		last[lane{key, r.Partition}] = n
		if n >= 0 {
			d.outputs[key][n] = oracle.Total{LastSeq: seen}
		}
	}
	for key, want := range d.outputs {
		d.outputs[key] = slices.DeleteFunc(want, func(total oracle.Total) bool { return total.LastSeq == seen && total.Count == 0 })
	}
	for key, want := range d.outputs {
		if len(want) > 0 {
			found.add("%d outputs of key %.40q are missing, the first is %+v", len(want), key, want[0])
		}
	}
	had := map[place]string{}
	for _, r := range letters {
		from, last, err := origin(r)
		if err != nil {
			found.add("dead letter %s: %v", at(r), err)
			continue
		}
		for offset := from.offset; offset <= last; offset++ {
			in := place{from.partition, offset}
			e, due := d.letters[in]
			switch {
			case had[in] != "":
				found.add("dead letter %s names input %d/%d, and so does %s", at(r), in.partition, in.offset, had[in])
			case !due:
				found.add("dead letter %s names input %d/%d, which was to be none: %.300s", at(r), in.partition, in.offset, header(r, "__streams.errors.message"))
			case !e.cut:
				if what := altered(&e.Record, r); what != "" {
					found.add("dead letter %s of input %d/%d: %s", at(r), in.partition, in.offset, what)
				}
			}
			had[in] = at(r)
		}
	}
	for in, e := range d.letters {
		if had[in] == "" {
			found.add("input %d/%d with key %.40q has no dead letter", in.partition, in.offset, e.Key)
		}
	}
	return found.list()
}

// origin is the range of input records that a dead letter stands for.
func origin(r *kgo.Record) (from place, last int64, err error) {
	p, err1 := strconv.ParseInt(header(r, "__streams.errors.partition"), 10, 32)
	o, err2 := strconv.ParseInt(header(r, "__streams.errors.offset"), 10, 64)
	if topic := header(r, "__streams.errors.topic"); topic != names.Input || err1 != nil || err2 != nil {
		return from, 0, fmt.Errorf("it names topic %q, partition %q, offset %q", topic,
			header(r, "__streams.errors.partition"), header(r, "__streams.errors.offset"))
	}
	return place{int32(p), o}, o, nil
}

// header is the value of a record's last header with a name.
func header(r *kgo.Record, key string) (value string) {
	for _, h := range r.Headers {
		if h.Key == key {
			value = string(h.Value)
		}
	}
	return value
}

func at(r *kgo.Record) string { return fmt.Sprintf("%d/%d", r.Partition, r.Offset) }

// owned says whether a header is one of those that Weir writes: they are never believed on an input and never passed on.
func owned(key string) bool {
	return strings.HasPrefix(key, "weir.") || strings.HasPrefix(key, "__streams.errors.")
}

// altered says in what a dead letter does not hold the original record.
func altered(in *oracle.Record, letter *kgo.Record) string {
	switch {
	case in.Key != string(letter.Key):
		return fmt.Sprintf("key %.60q instead of %.60q", letter.Key, in.Key)
	case !bytes.Equal(in.Value, letter.Value) || (in.Value == nil) != (letter.Value == nil):
		return fmt.Sprintf("value %.60q (nil: %v) instead of %.60q (nil: %v)", letter.Value, letter.Value == nil, in.Value, in.Value == nil)
	}
	rest := letter.Headers
	for _, h := range in.Headers {
		if owned(h.Key) {
			continue
		}
		for len(rest) > 0 && owned(rest[0].Key) {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].Key != h.Key || !bytes.Equal(rest[0].Value, h.Value) {
			return fmt.Sprintf("header %.60q is missing or changed", h.Key)
		}
		rest = rest[1:]
	}
	return ""
}

// problems are kept to what a person reads.
type problems struct {
	first []string
	more  int
}

func (p *problems) add(format string, args ...any) {
	if len(p.first) == 8 {
		p.more++
		return
	}
	p.first = append(p.first, fmt.Sprintf(format, args...))
}

func (p *problems) list() []string {
	if p.more > 0 {
		return append(p.first, fmt.Sprintf("and %d more", p.more))
	}
	return p.first
}

// emptyState is called when state has begun empty again: customers are new ones.
func (l *ledger) emptyState() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		p.model = oracle.NewExpected()
	}
}
