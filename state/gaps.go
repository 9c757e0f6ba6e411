package state

import (
	"bytes"
	"slices"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/util"
)

// gaps are ranges in which the database has no key, as loops have found. LevelDB keeps a deleted key until its tables are merged, and
// a loop passes each of them: a node that takes the first entry of a queue again and again would pass all that were taken before. A
// loop that begins within a gap begins at its end instead.
//
// They are in memory only. The first loop after a start passes what is deleted, once.
type gaps struct {
	mu      sync.Mutex
	list    []gap // in order; no two have a key in common
	bytes   int
	writes  uint64 // that have begun
	writing int    // that have not ended
}

// gap has no key from from (included) to to (excluded), in the form that keys have in the database.
type gap struct{ from, to []byte }

// mostGaps and mostGapBytes bound a list. One that is larger is forgotten, since each gap can be found again.
const (
	mostGaps     = 1000
	mostGapBytes = 256 << 10
)

func (g *gap) size() int { return len(g.from) + len(g.to) }

// view is what a loop knows of the database that it reads: which write was the last one. The zero view learns nothing.
type view struct {
	of    *gaps
	from  []byte // where the loop was to begin
	limit []byte
	write uint64
}

// enter has a loop over a range begin after the gap that it would begin in. It is called before the loop's iterator is made.
func (g *gaps) enter(r *util.Range) view {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := view{g, r.Start, r.Limit, g.writes}
	if g.writing > 0 {
		v.of = nil
	}
	if i := g.after(r.Start); i < len(g.list) && bytes.Compare(g.list[i].from, r.Start) <= 0 {
		r.Start = g.list[i].to
		if bytes.Compare(r.Start, r.Limit) > 0 {
			r.Start = r.Limit
		}
	}
	return v
}

// after is the first gap that ends after a key.
func (g *gaps) after(key []byte) int {
	i, _ := slices.BinarySearchFunc(g.list, key, func(gap gap, key []byte) int {
		if bytes.Compare(gap.to, key) <= 0 {
			return -1
		}
		return 1
	})
	return i
}

// found notes the first key of a loop, or its limit where it has none. When something was written since the loop began, the key
// may not be the first one any more.
func (v view) found(key []byte) {
	g := v.of
	if g == nil || bytes.Compare(key, v.from) <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writes != v.write {
		return
	}
	all := gap{v.from, key}
	at := g.after(v.from)
	end := at
	for ; end < len(g.list) && bytes.Compare(g.list[end].from, key) <= 0; end++ {
		g.bytes -= g.list[end].size()
	}
	if end > at {
		if bytes.Compare(g.list[at].from, all.from) < 0 {
			all.from = g.list[at].from
		}
		if bytes.Compare(g.list[end-1].to, all.to) > 0 {
			all.to = g.list[end-1].to
		}
	}
	all.to = bytes.Clone(all.to)
	g.list = slices.Replace(g.list, at, end, all)
	if g.bytes += all.size(); len(g.list) > mostGaps || g.bytes > mostGapBytes {
		g.list, g.bytes = nil, 0
	}
}

// begin and end are around a write, from before the keys that it puts are filled in.
func (g *gaps) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	g.writing++
}

func (g *gaps) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing--
}

// fill notes a key that is put: its gap ends there.
func (g *gaps) fill(key []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.after(key)
	if i == len(g.list) {
		return
	}
	switch in := &g.list[i]; bytes.Compare(in.from, key) {
	case -1:
		g.bytes -= in.size()
		in.to = bytes.Clone(key)
		g.bytes += in.size()
	case 0:
		g.bytes -= in.size()
		g.list = slices.Delete(g.list, i, i+1)
	}
}

// forget forgets all.
func (g *gaps) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list, g.bytes = nil, 0
}
