package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// right is the output of a job that works, in the order of the input.
func right(t *testing.T, j Job, d Data) (keys, values [][]byte) {
	t.Helper()
	totals, seen, counted := map[string]Total{}, map[string]bool{}, map[int]*Counted{}
	for i := range j.Records {
		key, value := d.Record(i)
		switch j.Kind {
		case Totals:
			var o Order
			if err := json.Unmarshal(value, &o); err != nil {
				t.Fatal(err)
			}
			w := totals[string(key)]
			w.LastSeq, w.Count, w.Sum = o.Seq, w.Count+1, w.Sum+o.Amount
			totals[string(key)] = w
			value, _ = json.Marshal(w)
		case Dedup:
			if seen[string(key)] {
				continue
			}
			seen[string(key)] = true
		case Shuffle:
			consumer, ok := Match(value, j.Keys)
			if !ok {
				continue
			}
			if counted[consumer] == nil {
				counted[consumer] = new(Counted)
			}
			if !counted[consumer].Add(value) {
				continue
			}
			key, value = fmt.Appendf(nil, "consumer-%d", consumer), append([]byte(nil), counted[consumer][:]...)
		}
		keys, values = append(keys, key), append(values, value)
	}
	return keys, values
}

func judge(d Data, keys, values [][]byte) error {
	c := d.Check()
	for i := range keys {
		if err := c.Add(keys[i], values[i]); err != nil {
			return err
		}
	}
	return c.Done(true)
}

// TestTheTruthRejectsWhatIsWrong offers each job's right output, and then that with one record lost, doubled, changed, or
// given twice instead of another, or out of order where that counts, at its end and before. Mutations: Done compares counts only; totals
// are compared by Count only, or the last ones only; the checksum leaves the key, or the value, out; a consumer's counts may come in any
// order; its sums are not looked at.
func TestTheTruthRejectsWhatIsWrong(t *testing.T) {
	for _, kind := range []string{Totals, Copy, Dedup, Shuffle} {
		t.Run(kind, func(t *testing.T) {
			j := Job{Kind: kind, Records: 3000, Keys: 10, Size: 100}
			if kind == Shuffle {
				j.Keys, j.Records = 1, 2985 // the last one is told
			}
			d, err := DataOf(j)
			if err != nil {
				t.Fatal(err)
			}
			keys, values := right(t, j, d)
			if err := judge(d, keys, values); err != nil || len(keys) == 0 {
				t.Fatalf("the right output, %d records: %v", len(keys), err)
			}
			last := len(keys) - 1
			swapped := append([][]byte{}, values...)
			swapped[0], swapped[last] = swapped[last], swapped[0]
			twice := append(append([][]byte{}, values[:last]...), values[last-1])
			for what, wrong := range map[string]func() ([][]byte, [][]byte){
				"lost":                         func() ([][]byte, [][]byte) { return keys[:last], values[:last] },
				"doubled":                      func() ([][]byte, [][]byte) { return append(keys, keys[last]), append(values, values[last]) },
				"changed":                      func() ([][]byte, [][]byte) { return keys, changedAt(values, last) },
				"other key":                    func() ([][]byte, [][]byte) { return append(append([][]byte{}, keys[:last]...), keys[last-1]), values },
				"one twice instead of another": func() ([][]byte, [][]byte) { return keys, twice },
				"swapped":                      func() ([][]byte, [][]byte) { return keys, swapped },
				"changed before the end":       func() ([][]byte, [][]byte) { return keys, changedAt(values, last/2) },
				"lost before the end, and the last one doubled": func() ([][]byte, [][]byte) {
					return append(slices.Delete(slices.Clone(keys), last/2, last/2+1), keys[last]), append(slices.Delete(slices.Clone(values), last/2, last/2+1), values[last])
				},
				"doubled before the end": func() ([][]byte, [][]byte) {
					return slices.Insert(slices.Clone(keys), last/2, keys[last/2]), slices.Insert(slices.Clone(values), last/2, values[last/2])
				},
				"nothing": func() ([][]byte, [][]byte) { return nil, nil },
			} {
				if kind == Shuffle && (what == "changed before the end" || what == "other key") {
					continue // sums on the way depend on the order in which partitions are read, and there is one key
				}
				k, v := wrong()
				if judge(d, k, v) == nil {
					t.Errorf("%s: it is taken for right", what)
				}
			}
		})
	}
}

// changedAt is values with a digit of one of them changed, which is one of the sum of Shuffle's.
func changedAt(values [][]byte, i int) [][]byte {
	values = slices.Clone(values)
	values[i] = slices.Clone(values[i])
	digit := 15
	if values[i][0] == '{' {
		digit = bytes.LastIndexAny(values[i], "0123456789")
	}
	values[i][digit] ^= 1
	return values
}

// Mutations: Number leaves the inverse out; it counts the first order as the second.
func TestAnOutputSaysWhichRecordItStemsFrom(t *testing.T) {
	for _, keys := range []int{1, 7, 1000, 100_000} {
		d, err := DataOf(Job{Kind: Totals, Records: 300_000, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 300_000; i += 1237 {
			key, _ := d.Record(i)
			if n, err := Number(key, int64(i/keys+1), keys); err != nil || n != i {
				t.Fatalf("record %d of %d keys is taken for %d (%v)", i, keys, n, err)
			}
		}
	}
}

// Mutation: field takes any text for a number.
func TestTotalsAreReadAsJSON(t *testing.T) {
	want := Total{7, 8, 900}
	for _, text := range []string{`{"last_seq":7,"count":8,"sum_cents":900}`, `{ "count": 8, "sum_cents": 900, "last_seq": 7 }`} {
		if got, err := ParseTotal([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v (%v)", text, got, err)
		}
	}
	for _, text := range []string{``, `{"last_seq":7`, `{"last_seq":,"count":8,"sum_cents":900}`, `{"last_seq":"7","count":8,"sum_cents":900}`} {
		if _, err := ParseTotal([]byte(text)); err == nil {
			t.Errorf("%s is taken for a total", text)
		}
	}
}
