package job

import (
	"encoding/json"
	"fmt"
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
// given twice instead of another, or out of order where that counts. Mutations: Done compares counts only; totals are compared by
// Count only; the checksum leaves the key, or the value, out; a consumer's counts may come in any order.
func TestTheTruthRejectsWhatIsWrong(t *testing.T) {
	for _, kind := range []string{Totals, Copy, Dedup, Shuffle} {
		t.Run(kind, func(t *testing.T) {
			j := Job{Kind: kind, Records: 3000, Keys: 10, Size: 100}
			if kind == Shuffle {
				j.Keys = 1
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
				"lost":    func() ([][]byte, [][]byte) { return keys[:last], values[:last] },
				"doubled": func() ([][]byte, [][]byte) { return append(keys, keys[last]), append(values, values[last]) },
				"changed": func() ([][]byte, [][]byte) {
					changed := append([]byte(nil), values[last]...)
					changed[9] ^= 1
					return keys, append(append([][]byte{}, values[:last]...), changed)
				},
				"other key":                    func() ([][]byte, [][]byte) { return append(append([][]byte{}, keys[:last]...), keys[last-1]), values },
				"one twice instead of another": func() ([][]byte, [][]byte) { return keys, twice },
				"swapped":                      func() ([][]byte, [][]byte) { return keys, swapped },
				"nothing":                      func() ([][]byte, [][]byte) { return nil, nil },
			} {
				if kind == Shuffle && (what == "changed" || what == "other key") {
					continue // its sums depend on the order in which partitions are read, and there is one key
				}
				k, v := wrong()
				if judge(d, k, v) == nil {
					t.Errorf("%s: it is taken for right", what)
				}
			}
		})
	}
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
