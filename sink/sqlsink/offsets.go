package sqlsink

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// span is offsets from first up to next, which is not part of it.
type span struct {
	first, next int64
	row         bool // it is a row of the database
}

// offsets is a set of offsets of a partition, as spans in order that do not touch, and how it lies in the database: spans from the floor on
// are one text, those before it are rows. So what changes with every transaction is one text, however the offsets are scattered, and a row is
// written once for each gap that stays.
type offsets struct {
	spans []span
	floor int64
	fresh []int64 // where spans begin that may lack a row
	stale []int64 // where spans began that have a row and are part of another one now
}

// has says whether an offset is in the set.
func (o *offsets) has(offset int64) bool {
	i := o.after(offset)
	return i > 0 && offset < o.spans[i-1].next
}

// after is the index of the first span that begins after an offset.
func (o *offsets) after(offset int64) int {
	return sort.Search(len(o.spans), func(i int) bool { return o.spans[i].first > offset })
}

// add puts offsets in.
func (o *offsets) add(first, next int64) {
	if first >= next {
		return
	}
	from := sort.Search(len(o.spans), func(i int) bool { return o.spans[i].next >= first }) // the first that it touches, if any
	to := o.after(next)                                                                     // and the one after the last
	if from == to {
		o.spans = slices.Insert(o.spans, from, span{first: first, next: next})
		o.fresh = append(o.fresh, first)
		return
	}
	if at := o.spans[from]; to == from+1 && at.first <= first && at.next >= next {
		return
	}
	for _, s := range o.spans[from:to] {
		if s.row {
			o.stale = append(o.stale, s.first)
		}
	}
	first, next = min(first, o.spans[from].first), max(next, o.spans[to-1].next)
	o.spans = slices.Replace(o.spans, from, to, span{first: first, next: next})
	o.fresh = append(o.fresh, first)
	if first < o.floor && o.floor < next { // the gap below the floor is no more
		o.floor = first
	}
}

// rise raises the floor to the last span: those before it become rows when the set is written the next time.
func (o *offsets) rise() {
	if n := len(o.spans); n > 0 && o.spans[n-1].first > o.floor {
		for _, s := range o.spans[o.after(o.floor-1) : n-1] {
			if !s.row {
				o.fresh = append(o.fresh, s.first)
			}
		}
		o.floor = o.spans[n-1].first
	}
}

// rows are the changes of the rows since written: where rows begin that are to go, and what is to come then.
func (o *offsets) rows() (gone []int64, come []span) {
	gone = slices.Clone(o.stale)
	slices.Sort(gone)
	fresh := slices.Clone(o.fresh)
	slices.Sort(fresh)
	for _, first := range slices.Compact(fresh) {
		if i := o.after(first); i > 0 && o.spans[i-1].first == first && first < o.floor && !o.spans[i-1].row {
			come = append(come, o.spans[i-1])
		}
	}
	return slices.Compact(gone), come
}

// written says that the rows are as they should be.
func (o *offsets) written() {
	_, come := o.rows()
	for _, s := range come {
		o.spans[o.after(s.first)-1].row = true
	}
	o.fresh, o.stale = o.fresh[:0], o.stale[:0]
}

// text is the spans from the floor on: "first-last" or "first" for each, with commas between.
func (o *offsets) text() string {
	var b []byte
	for _, s := range o.spans[o.after(o.floor-1):] {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, s.first, 10)
		if s.next > s.first+1 {
			b = strconv.AppendInt(append(b, '-'), s.next-1, 10)
		}
	}
	return string(b)
}

// read puts in what text has made.
func (o *offsets) read(text string) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, several := strings.Cut(part, "-")
		first, err := strconv.ParseInt(from, 10, 64)
		last := first
		if err == nil && several {
			last, err = strconv.ParseInt(to, 10, 64)
		}
		if err != nil || first < 0 || last < first {
			return fmt.Errorf("there is %q among the offsets", part)
		}
		o.add(first, last+1)
	}
	return nil
}

// load puts rows and a text in as they lie in the database.
func (o *offsets) load(rows []span, text string) error {
	for _, s := range rows {
		o.spans = append(o.spans, span{s.first, s.next, true})
	}
	slices.SortFunc(o.spans, func(a, b span) int { return int(min(1, max(-1, a.first-b.first))) })
	for i := 1; i < len(o.spans); i++ {
		if o.spans[i].first <= o.spans[i-1].next {
			return fmt.Errorf("the spans of offsets at %d and %d meet", o.spans[i-1].first, o.spans[i].first)
		}
	}
	if n := len(o.spans); n > 0 {
		o.floor = o.spans[n-1].next
	}
	return o.read(text)
}
