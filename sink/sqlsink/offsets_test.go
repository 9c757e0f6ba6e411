package sqlsink

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The set has the offsets that were put in, whatever their order, and what a database holds after each write is read as the same set: rows
// before the floor, the rest as text. While nothing is set aside, and after what was has come back, no row is written.
//
// Mutations seen to fail it: add without the span that it touches at its end; a floor that stays when the gap below it is filled; rows that are
// not deleted when they are part of another one.
func TestOffsetsAreWhatWasPutIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set offsets
		model, rows := map[int64]bool{}, map[int64]int64{}
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			for range rapid.IntRange(0, 6).Draw(t, "spans") {
				first := rapid.Int64Range(0, 60).Draw(t, "first")
				next := first + rapid.Int64Range(0, 9).Draw(t, "length")
				set.add(first, next)
				for o := first; o < next; o++ {
					model[o] = true
				}
			}
			if rapid.Bool().Draw(t, "rises") {
				set.rise()
			}
			if rapid.IntRange(0, 3).Draw(t, "written") == 0 {
				continue // the transaction was lost
			}
			gone, come := set.rows()
			for _, first := range gone {
				if _, ok := rows[first]; !ok {
					t.Fatalf("row %d is to be deleted, and there is none", first)
				}
				delete(rows, first)
			}
			for _, s := range come {
				if _, ok := rows[s.first]; ok {
					t.Fatalf("row %d is to be written, and is there", s.first)
				}
				rows[s.first] = s.next
			}
			text := set.text()
			set.written()
			if rapid.Bool().Draw(t, "loaded") {
				set = offsets{}
				var spans []span
				for first, next := range rows {
					spans = append(spans, span{first: first, next: next})
				}
				if err := set.load(spans, text); err != nil {
					t.Fatal(err)
				}
				set.written()
			}
			var got []int64
			for o := range int64(80) {
				if set.has(o) {
					got = append(got, o)
				}
			}
			if want := slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
				t.Fatalf("has %v, want %v; rows %v, text %s", got, want, rows, text)
			}
			for i, s := range set.spans {
				if i > 0 && s.first <= set.spans[i-1].next {
					t.Fatalf("%v meet", set.spans)
				}
			}
		}
	})
}

// What comes in order takes no row, however many offsets are without work, and a gap takes one until it is filled.
//
// Mutations seen to fail it: those above.
func TestARowIsWrittenForEachGapThatStays(t *testing.T) {
	var set offsets
	rows := 0
	write := func(covered span, work ...int64) {
		t.Helper()
		set.add(covered.first, covered.next)
		set.rise()
		for _, o := range work {
			set.add(o, o+1)
		}
		gone, come := set.rows()
		rows += len(come) - len(gone)
		set.written()
	}
	for n := int64(0); n < 1000; n += 10 {
		write(span{first: max(0, n-10), next: n}, n, n+3, n+7)
	}
	if rows != 0 || set.text() != "0-990,993,997" {
		t.Fatalf("%d rows, and %s", rows, set.text())
	}
	write(span{first: 990, next: 1000}, 1010)  // 1000 to 1009 were set aside
	write(span{first: 1010, next: 1020}, 1020) // so it stays a gap
	if rows != 1 || set.text() != "1010-1020" {
		t.Fatalf("%d rows, and %s", rows, set.text())
	}
	write(span{first: 1000, next: 1010}, 1021)
	if rows != 0 || set.text() != "0-1021" {
		t.Fatalf("%d rows, and %s", rows, set.text())
	}
}

func TestATextThatIsNoneIsRefused(t *testing.T) {
	for _, text := range []string{"x", "1-", "5-2", "-3", "1,,2"} {
		var set offsets
		if err := set.load(nil, text); err == nil {
			t.Errorf("%q was read as %v", text, set.spans)
		}
	}
	var set offsets
	if err := set.load([]span{{first: 0, next: 5}, {first: 5, next: 9}}, ""); err == nil {
		t.Error("rows that touch were read")
	}
}
