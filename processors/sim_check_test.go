package processors

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/state"
)

// check compares everything that a run left behind with the model.
func (w *simWorld) check() {
	for _, v := range w.cluster.Violations() {
		w.problem("contract of the wire: %s", v)
	}
	for _, o := range w.cluster.OpenTransactions() {
		w.problem("left open: %s", o)
	}
	if len(w.problems) > 0 {
		return // the rest would only say so again
	}
	w.rest()
	var audits []simWritten
	var counts [outcomes]int64
	for p, m := range w.models {
		at := func(topic string) kafka.TopicPartition {
			return kafka.TopicPartition{Topic: topic, Partition: int32(p)}
		}
		audits = append(audits, m.audits...)
		for o, n := range m.counts {
			counts[o] += n
		}
		totals, counted := m.stores()
		written := w.written(at(simTotals))
		if w.guarantee == ExactlyOnce {
			if len(w.inputs) > 1 || w.later { // their records arrive as they like, and each input has its own customers
				slices.SortStableFunc(written, byKey)
				slices.SortStableFunc(m.totals, byKey)
			}
			w.same(fmt.Sprintf("%s/%d", simTotals, p), written, m.totals)
			w.same(fmt.Sprintf("%s/%d", simDead, p), w.letters(at(simDead)), sorted(m.dead))
			w.sameState(at(simCountLog), counted)
			w.sameIDs(at(simIDLog), m.ids.keys())
		} else {
			w.atLeast(fmt.Sprintf("%s/%d", simTotals, p), written, m.totals)
		}
		w.sameState(at(simTotalLog), totals)
	}
	if w.guarantee == ExactlyOnce {
		var got []simWritten
		for p := range w.auditParts {
			got = append(got, w.written(kafka.TopicPartition{Topic: simAudits, Partition: p})...)
		}
		// Their partitions are not those of the input, so the order is a key's only.
		slices.SortStableFunc(got, byKey)
		slices.SortStableFunc(audits, byKey)
		w.same(simAudits, got, audits)
		w.conserved(counts)
	}
	w.sameLines()
	w.sameStores()
}

func byKey(a, b simWritten) int { return cmp.Compare(a.Key, b.Key) }

// sorted has the dead letters of one input after those of the other, in the order of their records.
func sorted(letters []simLetter) []simLetter {
	slices.SortStableFunc(letters, func(a, b simLetter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Offset, b.Offset))
	})
	return letters
}

// conserved compares what instances counted with the input. A life that was ended by force did not count what it had
// committed last, nor does one that was never told that its transaction is committed.
func (w *simWorld) conserved(want [outcomes]int64) {
	exact := w.seen.crashes == 0 && w.cluster.Unanswered() == 0
	for o := range want {
		if got := w.seen.counts[o]; got > want[o] || exact && got != want[o] {
			w.problem("%d records counted as %s, want %d", got, outcomeNames[o], want[o])
		}
	}
}

func (w *simWorld) written(tp kafka.TopicPartition) []simWritten {
	var out []simWritten
	for _, r := range w.cluster.Committed(tp) {
		value := string(r.Value)
		if r.Value == nil {
			value = "-"
		}
		out = append(out, simWritten{string(r.Key), value})
	}
	return out
}

func (w *simWorld) letters(tp kafka.TopicPartition) []simLetter {
	var out []simLetter
	for _, r := range w.cluster.Committed(tp) {
		letter, err := deadletter.Read(r.Headers)
		if err != nil || !slices.Contains(w.inputs, letter.Position.Topic) || letter.Position.Partition != tp.Partition {
			w.problem("%s offset %d: %+v, %v", tp, r.Offset, letter, err)
		}
		l := simLetter{letter.Position.Topic, string(r.Key), string(r.Value), letter.Position.Offset, letter.ValueSize, letter.Attempts, letter.Node, 0}
		if letter.Excess != nil {
			l.Records = letter.Excess.Records
		}
		out = append(out, l)
	}
	return sorted(out)
}

// same says which record is the first that is lost, written twice, misplaced or unknown.
func (w *simWorld) same(what string, got, want any) {
	g, n := anys(got), anys(want)
	for i := range max(len(g), len(n)) {
		switch {
		case i >= len(g):
			w.problem("%s: %d records, want %d; the first that is missing: %v", what, len(g), len(n), n[i])
			return
		case i >= len(n):
			w.problem("%s: %d records, want %d; the first too many: %v", what, len(g), len(n), g[i])
			return
		case g[i] != n[i]:
			w.problem("%s: record %d of %d (want %d) is %v, want %v", what, i, len(g), len(n), g[i], n[i])
			return
		}
	}
}

func anys(list any) (out []any) {
	switch l := list.(type) {
	case []simWritten:
		for _, v := range l {
			out = append(out, v)
		}
	case []simLetter:
		for _, v := range l {
			out = append(out, v)
		}
	}
	return out
}

// atLeast allows repetitions, and nothing else: every record is there, none is unknown, and the first ones of each are in
// order.
func (w *simWorld) atLeast(what string, got, want []simWritten) {
	seen := map[simWritten]bool{}
	var first []simWritten
	for _, r := range got {
		if !seen[r] {
			seen[r] = true
			first = append(first, r)
		}
	}
	want = slices.Clone(want)
	slices.SortStableFunc(first, byKey)
	slices.SortStableFunc(want, byKey)
	w.same(what, first, want)
}

// sameState replays a changelog.
func (w *simWorld) sameState(tp kafka.TopicPartition, want map[string]string) {
	if got := replayed(w.cluster.Committed(tp)); !maps.Equal(got, want) {
		w.problem("%s replayed is %v, want %v", tp, got, want)
	}
}

// sameIDs replays the changelog of the ids that Dedup knows, and leaves out those that are too old and not deleted yet, which must be
// listed as such.
func (w *simWorld) sameIDs(tp kafka.TopicPartition, want map[string]bool) {
	type slice struct{ Start int64 }
	var clock struct{ Live, Expired []slice }
	content := replayed(w.cluster.Committed(tp))
	if err := json.Unmarshal([]byte(cmp.Or(content["clock"], "{}")), &clock); err != nil {
		w.problem("%s: %v", tp, err)
	}
	delete(content, "clock")
	got := map[string]bool{}
	for k := range content {
		key := fmt.Sprintf("%x", k)
		of := func(s slice) bool { return strings.HasPrefix(key, fmt.Sprintf("%014x", s.Start)) }
		switch {
		case slices.ContainsFunc(clock.Live, of):
			got[key] = true
		case !slices.ContainsFunc(clock.Expired, of):
			w.problem("%s: id %s is neither known nor to be deleted", tp, key)
		}
	}
	if !maps.Equal(got, want) {
		w.problem("%s replayed has ids %v, want %v", tp, got, want)
	}
}

func replayed(records []kafka.Record) map[string]string {
	got := map[string]string{}
	for _, r := range records {
		if r.Value == nil {
			delete(got, string(r.Key))
		} else {
			got[string(r.Key)] = string(r.Value)
		}
	}
	return got
}

// sameStores opens every database on every disk: each holds what its changelog holds up to the checkpoint.
func (w *simWorld) sameStores() {
	current := map[string]bool{}
	for _, s := range w.slots {
		for store, log := range map[string]string{"totals": simTotalLog, "counts": simCountLog, "audit-ids": simIDLog} {
			dirs, _ := filepath.Glob(filepath.Join(state.TopologyDir(s.dir, simGroup), store, "*"))
			for _, dir := range dirs {
				p, err := strconv.Atoi(filepath.Base(dir))
				if err != nil {
					continue // one that was set aside
				}
				tp := kafka.TopicPartition{Topic: log, Partition: int32(p)}
				w.sameStore(dir, tp, current)
			}
		}
	}
	if w.guarantee == ExactlyOnce {
		for p := range w.partitions {
			for _, log := range []string{simTotalLog, simCountLog, simIDLog} {
				tp := kafka.TopicPartition{Topic: log, Partition: p}
				if len(w.cluster.History(tp, 1<<40)) > 0 && !current[tp.String()] {
					w.problem("no disk has a database of %s as it is now", tp)
				}
			}
		}
	}
}

func (w *simWorld) sameStore(dir string, tp kafka.TopicPartition, current map[string]bool) {
	copied := filepath.Join(w.root, "look")
	_ = os.RemoveAll(copied)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		w.problem("copy %s: %v", dir, err)
		return
	}
	// The engine's codecs do not matter: dumps are bytes.
	db, err := state.Open(state.Options{Dir: copied})
	if err != nil {
		w.problem("open %s: %v", dir, err)
		return
	}
	t := keyed.Over(db, codecs.Bytes())
	defer t.Close()
	got := map[string]string{}
	_ = t.Dump(func(k, v []byte) bool { got[string(k)] = string(v); return true })
	checkpoint, ok := t.Checkpoint()
	_, _, end := w.cluster.Bounds(tp)
	if !ok && len(got) == 0 {
		current[tp.String()] = current[tp.String()] || len(replayed(w.cluster.History(tp, end))) == 0
		return
	}
	if checkpoint > end {
		w.problem("%s has checkpoint %d, and %s ends at %d", dir, checkpoint, tp, end)
	}
	want := replayed(w.cluster.History(tp, checkpoint))
	if w.guarantee == ExactlyOnce && !maps.Equal(got, want) {
		w.problem("%s holds %v at checkpoint %d, and %s says %v", dir, got, checkpoint, tp, want)
	}
	if maps.Equal(got, replayed(w.cluster.History(tp, end))) {
		current[tp.String()] = true
	}
}
