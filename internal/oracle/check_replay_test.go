package oracle

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// replayOf makes the evidence after ranges of the input were read again by a job that deduplicates.
func replayOf(e *Evidence, ranges []Range) *Evidence {
	after := *e
	after.Outputs = cloneLogs(e.Outputs)
	after.DeadLetters = cloneLogs(e.DeadLetters)
	after.Changelog = cloneLogs(e.Changelog)
	for p := range e.DeadLetters {
		for r := range e.DeadLetters[p].Committed {
			_, at, _ := origin(r)
			var order Order
			rejected := json.Unmarshal(r.Value, &order) == nil && order.EventID != ""
			used := rejected && order.Seq <= Fold(e.Inputs[at.partition].Records, e.Committed[at.partition]).State[r.Key].LastSeq
			if !used && slices.ContainsFunc(ranges, func(r Range) bool { return r.has(at) }) {
				push(&after.DeadLetters[p], *r)
			}
		}
	}
	return &after
}

func cloneLogs(logs []Log) []Log {
	clones := slices.Clone(logs)
	for p := range clones {
		clones[p].Records = slices.Clone(clones[p].Records)
	}
	return clones
}

// Each case is the mutation test of its rule: without the rule, it finds nothing.
func TestReplayMayOnlyRepeatDeadLettersOfItsRanges(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(e *Evidence, rng *rand.Rand) bool
		want  Kind
	}{
		{"nothing", func(*Evidence, *rand.Rand) bool { return true }, ""},
		{"an output", func(e *Evidence, rng *rand.Rand) bool {
			p, r, ok := pick(e.Outputs, rng)
			push(&e.Outputs[p], r)
			return ok
		}, ReplayOutput},
		{"an aborted output", func(e *Evidence, rng *rand.Rand) bool {
			p, r, ok := pick(e.Outputs, rng)
			at := push(&e.Outputs[p], r)
			e.Outputs[p].find(at).Fate = Aborted
			return ok
		}, ""},
		{"a changed total", func(e *Evidence, rng *rand.Rand) bool {
			p, r, ok := pick(e.Changelog, rng)
			push(&e.Changelog[p], Record{Key: r.Key, Value: encodeTotal(Total{LastSeq: 1 << 40})})
			return ok
		}, ReplayState},
		{"a deleted total", func(e *Evidence, rng *rand.Rand) bool {
			p, r, ok := pick(e.Changelog, rng)
			push(&e.Changelog[p], Record{Key: r.Key})
			return ok
		}, ReplayState},
		{"a dead letter too many", func(e *Evidence, rng *rand.Rand) bool {
			p, r, ok := pick(e.DeadLetters, rng)
			push(&e.DeadLetters[p], r)
			push(&e.DeadLetters[p], r)
			return ok
		}, ReplayDeadLetter},
		{"a dead letter too few", func(e *Evidence, rng *rand.Rand) bool {
			for p := range e.DeadLetters {
				if log := &e.DeadLetters[p]; len(log.Records) > 0 && log.Records[len(log.Records)-1].Producer == -1 {
					log.Records = log.Records[:len(log.Records)-1]
					return true
				}
			}
			return false
		}, ReplayDeadLetter},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(honestSeeds / 4) {
				before, rng := honestOf(seed)
				var ranges []Range
				for p := range before.Inputs {
					to := rng.Int64N(before.Committed[p] + 1)
					ranges = append(ranges, Range{int32(p), rng.Int64N(to + 1), to})
				}
				after := replayOf(before, ranges)
				if !c.plant(after, rng) {
					continue
				}
				r := CheckReplay(before, after, ranges)
				if c.want == "" && !r.OK() || c.want != "" && r.Counts[c.want] == 0 {
					t.Fatalf("seed %d: ranges %v, wanted %q:\n%s", seed, ranges, c.want, r)
				}
			}
		})
	}
}

// Mutation: keep every violation.
func TestAReportCountsEverythingAndTellsTheFirst(t *testing.T) {
	r := newReport()
	for i := range 1000 {
		r.add(Violation{LostOutput, "customer.total.v1", 3, -1, "c-000007", strings.Repeat("x", i%3)})
	}
	if r.OK() || r.Counts[LostOutput] != 1000 || len(r.Violations) != keptPerKind {
		t.Fatalf("%d counted, %d kept", r.Counts[LostOutput], len(r.Violations))
	}
	for _, want := range []string{`lost output: customer.total.v1/3 key "c-000007"`, "1000 lost output"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("%q is not in\n%s", want, r)
		}
	}
	var back Report
	if err := json.Unmarshal(r.JSON(), &back); err != nil || back.Counts[LostOutput] != 1000 {
		t.Errorf("%v: %s", err, r.JSON())
	}
}

// Mutation: leave the sorting out: what is found last is told last.
func TestTheGravestIsToldFirst(t *testing.T) {
	r := newReport()
	for _, kind := range slices.Backward(gravity) {
		r.add(Violation{Kind: kind})
	}
	r.sort()
	for i, v := range r.Violations {
		if v.Kind != gravity[i] {
			t.Fatalf("%d: %s, wanted %s", i, v.Kind, gravity[i])
		}
	}
}
