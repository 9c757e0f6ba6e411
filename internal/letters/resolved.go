package letters

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"sort"
)

// resolver says which letters jobs have resolved. A look-up costs as much as there are different orders that may be for the letter, however
// many jobs there were: a script that discards a million letters one by one leaves a million jobs.
type resolver map[int32]*resolvers

// resolvers are the orders that were carried out in a partition, by the narrowest thing that they choose.
type resolvers struct {
	byOffset      map[int64][]*carried
	byKey         map[string][]*carried
	byFingerprint map[string][]*carried
	others        []*carried
	answered      []offsets // letters whose records are processed again by other means, in order and apart
	answers       []*job    // by which jobs
	reopened      []offsets // letters that were open again afterwards, in order and apart
	reopenings    []*job    // by which jobs
}

// carried is an order, and the ranges of offsets in which it was carried out, in order and apart, and by which jobs.
type carried struct {
	Order
	ranges []offsets
	jobs   []*job
}

// offsets are those from an offset on, up to another one, which is not among them.
type offsets struct{ from, to int64 }

func newResolver(jobs []job) resolver {
	type one struct {
		partition int32
		order     string
	}
	all := map[one]*carried{}
	r := resolver{}
	for i := range jobs {
		j := &jobs[i]
		if j.From >= j.Position {
			continue
		}
		if j.Verb == Answered || j.Verb == Reopened {
			p := r.at(j.Partition)
			jobs, of := &p.answers, &p.answered
			if j.Verb == Reopened {
				jobs, of = &p.reopenings, &p.reopened
			}
			*jobs = append(*jobs, j)
			for _, s := range j.Spans {
				*of = append(*of, offsets{s[0], s[1] + 1})
			}
			continue
		}
		order := j.Order
		order.Why, order.Limit = "", 0 // they do not say what was resolved
		text, _ := json.Marshal(&order)
		c := all[one{j.Partition, string(text)}]
		if c == nil {
			c = &carried{Order: order}
			all[one{j.Partition, string(text)}] = c
			r.add(j.Partition, c)
		}
		c.ranges = append(c.ranges, offsets{j.From, j.Position})
		c.jobs = append(c.jobs, j)
	}
	for _, c := range all {
		c.ranges = apart(c.ranges)
	}
	for _, p := range r {
		for _, of := range []*[]offsets{&p.answered, &p.reopened} {
			if len(*of) > 0 {
				*of = apart(*of)
			}
		}
	}
	return r
}

func (r resolver) at(partition int32) *resolvers {
	p := r[partition]
	if p == nil {
		p = &resolvers{byOffset: map[int64][]*carried{}, byKey: map[string][]*carried{}, byFingerprint: map[string][]*carried{}}
		r[partition] = p
	}
	return p
}

func (r resolver) add(partition int32, c *carried) {
	p := r.at(partition)
	switch s := &c.Selection; {
	case s.Offset != nil:
		p.byOffset[*s.Offset] = append(p.byOffset[*s.Offset], c)
	case s.Key != nil:
		p.byKey[*s.Key] = append(p.byKey[*s.Key], c)
	case s.KeyBytes != nil:
		p.byKey[string(s.KeyBytes)] = append(p.byKey[string(s.KeyBytes)], c)
	case s.Fingerprint != "":
		p.byFingerprint[s.Fingerprint] = append(p.byFingerprint[s.Fingerprint], c)
	default:
		p.others = append(p.others, c)
	}
}

// apart sorts ranges and joins those that touch.
func apart(ranges []offsets) []offsets {
	slices.SortFunc(ranges, func(a, b offsets) int { return cmp.Compare(a.from, b.from) })
	joined := ranges[:1]
	for _, next := range ranges[1:] {
		if last := &joined[len(joined)-1]; next.from <= last.to {
			last.to = max(last.to, next.to)
		} else {
			joined = append(joined, next)
		}
	}
	return joined
}

// resolved says whether a letter was redriven or discarded, or is answered.
func (r resolver) resolved(l *Letter) bool {
	switch p := r[l.Partition]; {
	case p == nil:
	case among(p.reopened, l.Record.Offset): // what came before that does not count
		return r.resolvedBy(l) != nil
	case among(p.answered, l.Record.Offset):
		return true
	}
	for range r.by(l) {
		return true
	}
	return false
}

// by are the orders that were carried out on a letter: the first of them has resolved it, and others that came later were for it too.
func (r resolver) by(l *Letter) iter.Seq[*carried] {
	return func(yield func(*carried) bool) {
		p := r[l.Partition]
		if p == nil {
			return
		}
		for _, list := range [...][]*carried{p.byOffset[l.Record.Offset], p.byKey[string(l.Record.Key)], p.byFingerprint[l.Fingerprint], p.others} {
			for _, c := range list {
				if c.covers(l.Record.Offset) && c.takes(l) && !yield(c) {
					return
				}
			}
		}
	}
}

// reopenedAt is where in the topic of jobs a letter was opened again last, -1 where it was not.
func (p *resolvers) reopenedAt(offset int64) (seq int64) {
	seq = -1
	for _, j := range p.reopenings {
		if j.names(offset) {
			seq = max(seq, j.seq)
		}
	}
	return seq
}

func (c *carried) covers(offset int64) bool { return among(c.ranges, offset) }

// among says whether an offset is in one of ranges that are in order and apart.
func among(ranges []offsets, offset int64) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].to > offset })
	return i < len(ranges) && ranges[i].from <= offset
}

// blind are the ranges, by partition, in which letters cannot be judged without their keys and headers.
func (r resolver) blind() map[int32][]offsets {
	all := map[int32][]offsets{}
	for partition, p := range r {
		lists := append(slices.Collect(maps.Values(p.byOffset)), p.others)
		lists = slices.AppendSeq(slices.AppendSeq(lists, maps.Values(p.byKey)), maps.Values(p.byFingerprint))
		for _, c := range slices.Concat(lists...) {
			if c.Selection.blind() {
				all[partition] = append(all[partition], c.ranges...)
			}
		}
		if len(all[partition]) > 0 {
			all[partition] = apart(all[partition])
		}
	}
	return all
}
