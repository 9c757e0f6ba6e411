package processors

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// Dead letters are told of in the log when their transaction is committed, each once: what is aborted may end in another
// way. A stream of bad records must not become a stream of lines, so the first few of each interval are told one by one,
// and the rest as counts at its end.
const (
	toldLetters   = 5
	letterSummary = 30 * time.Second
	toldKinds     = 8 // kinds of failures in a summary
)

// letterKind is what dead letters are counted by.
type letterKind struct {
	topic, node string
	reason      nodes.Reason
	limit       string // of a record over a limit
}

// letterNote is a dead letter to be told of.
type letterNote struct {
	letterKind
	input   kafka.TopicPartition
	offset  int64
	records int64
	text    string // short
	form    form
	size    int // bytes of the value of the record, and of the letter
	kept    int
	limits  []string // the settings that the whole record is over
}

// told is what there is to tell of a dead letter.
func (w *worker) told(c *cause, f *nodes.Failure, l letter) letterNote {
	r := c.record
	n := letterNote{
		letterKind: letterKind{topic: w.out.Topic, node: f.Name, reason: f.Reason},
		input:      c.in.tp, offset: r.Offset, records: records(r), text: nodes.Short(f.Text),
		form: l.form, size: len(r.Value), kept: len(l.value), limits: c.refusal().limits,
	}
	if r.Excess != nil && r.Excess.Limit != kafka.OnCorruptBatch {
		n.limit = r.Excess.Limit
	}
	return n
}

// letterNotes are the dead letters of a transaction: the first ones, and how many of each kind.
type letterNotes struct {
	first  []letterNote
	counts map[letterKind]int64
}

func (n *letterNotes) add(note letterNote) {
	if len(n.first) < toldLetters {
		n.first = append(n.first, note)
	}
	if n.counts == nil {
		n.counts = map[letterKind]int64{}
	}
	n.counts[note.letterKind] += note.records
}

func (n *letterNotes) clear() {
	n.first = n.first[:0]
	clear(n.counts)
}

// letterLog tells of the dead letters of an instance.
type letterLog struct {
	log *zap.Logger

	mu   sync.Mutex
	told int // in this interval
	rest map[letterKind]int64
}

// tell is called with what a committed transaction holds.
func (l *letterLog) tell(n *letterNotes) {
	if len(n.first) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest == nil {
		l.rest = map[letterKind]int64{}
	}
	for k, count := range n.counts {
		l.rest[k] += count
	}
	for _, note := range n.first {
		if l.told == toldLetters {
			break
		}
		l.told++
		if l.rest[note.letterKind] -= note.records; l.rest[note.letterKind] == 0 {
			delete(l.rest, note.letterKind)
		}
		fields := []zap.Field{zap.Stringer("input", note.input), zap.Int64("offset", note.offset), zap.String("topic", note.topic),
			zap.String("node", note.node), zap.String("kind", string(note.reason)), zap.String("reason", note.text)}
		if note.records > 1 {
			fields = append(fields, zap.Int64("records", note.records))
		}
		if note.form < cutShort {
			l.log.Warn("dead letter", fields...)
			continue
		}
		advice := ""
		if len(note.limits) > 0 {
			advice = ": raise " + settings(note.limits, note.topic)
		}
		l.log.Warn("dead letter, which was cut: the whole record is only in the input, until its retention"+advice,
			append(fields, zap.Int("value_bytes", note.size), zap.Int("kept_bytes", note.kept), zap.Bool("without_key", note.form == last))...)
	}
}

// summarize tells of the rest, and begins the next interval.
func (l *letterLog) summarize() {
	l.mu.Lock()
	rest := l.rest
	l.told, l.rest = 0, nil
	l.mu.Unlock()
	total := int64(0)
	for _, n := range rest {
		total += n
	}
	if total == 0 {
		return
	}
	kinds := slices.SortedFunc(maps.Keys(rest), func(a, b letterKind) int {
		return cmp.Or(cmp.Compare(rest[b], rest[a]), cmp.Compare(a.topic, b.topic), cmp.Compare(a.node, b.node), cmp.Compare(a.reason, b.reason), cmp.Compare(a.limit, b.limit))
	})
	var parts []string
	for i, k := range kinds {
		if i == toldKinds {
			parts = append(parts, fmt.Sprintf("and %d more kinds", len(kinds)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%d of node %s to %s (%s)", rest[k], k.node, k.topic, strings.TrimSpace(string(k.reason)+" "+k.limit)))
	}
	l.log.Warn("dead letters that were not told one by one", zap.Int64("records", total), zap.Strings("kinds", parts))
}

// run tells of the rest at intervals, until ctx ends.
func (l *letterLog) run(ctx context.Context) {
	tick := time.NewTicker(letterSummary)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.summarize()
		}
	}
}
