package keyed

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Sort calls yield with the numbers of keys from 0 to n-1, the greatest key first; of equal keys with the last one. It is the order in which
// changes are written to LevelDB. Its buffer is a skip list, in which a search begins at the least key: one that is less than all others
// is found to belong there by the first comparison of each level, where each of a rising order passes what came before it.
func Sort(n int, key func(i int) []byte, yield func(i int)) {
	s := takeSorter()
	defer s.put()
	s.sort(n, key, yield)
}

// sorter is the memory of a Sort, which is used again.
type sorter struct{ refs, spare []ref }

// sorters are used again by all databases: few of them write at the same time, and one each would be as much memory as what they write.
var sorters = make(chan *sorter, 2)

// mostRefs is how many keys a sorter may have had that is kept, 2 MiB of each list.
const mostRefs = 1 << 17

func takeSorter() *sorter {
	select {
	case s := <-sorters:
		return s
	default:
		return &sorter{}
	}
}

func (s *sorter) put() {
	if cap(s.refs) > mostRefs {
		return
	}
	select {
	case sorters <- s:
	default:
	}
}

// ref is a key by its number. The eight bytes after what all keys begin with decide nearly always, without a look at the key itself,
// which lies anywhere in memory.
type ref struct {
	head uint64
	i    int
}

func (s *sorter) sort(n int, key func(i int) []byte, yield func(i int)) {
	s.refs = slices.Grow(s.refs[:0], n)
	common := commonPrefix(n, key)
	for i := range n {
		s.refs = append(s.refs, ref{head(key(i)[common:]), i})
	}
	s.byHead()
	s.alike(func(x, y ref) int { return bytes.Compare(key(x.i), key(y.i)) })
	for at := n - 1; at >= 0; at-- {
		r := s.refs[at]
		if at < n-1 && r.head == s.refs[at+1].head && bytes.Equal(key(r.i), key(s.refs[at+1].i)) {
			continue // a later one counts
		}
		yield(r.i)
	}
}

// leastDigits is from how many keys on it is faster to sort by digits than to compare.
const leastDigits = 256

// byHead sorts by the heads, and leaves equal ones in their order: byte by byte from the last one, but for those that all have alike. Most keys differ in
// few of them.
func (s *sorter) byHead() {
	if len(s.refs) < leastDigits {
		slices.SortStableFunc(s.refs, func(x, y ref) int {
			switch {
			case x.head < y.head:
				return -1
			case x.head > y.head:
				return 1
			}
			return 0
		})
		return
	}
	var counts [8][256]uint32
	for _, r := range s.refs {
		for digit := range counts {
			counts[digit][byte(r.head>>(8*digit))]++
		}
	}
	s.spare = slices.Grow(s.spare[:0], len(s.refs))[:len(s.refs)]
	for digit := range counts {
		next, shift := &counts[digit], 8*digit
		if int(next[byte(s.refs[0].head>>shift)]) == len(s.refs) {
			continue
		}
		at := uint32(0)
		for b, n := range next {
			next[b], at = at, at+n
		}
		for _, r := range s.refs {
			b := byte(r.head >> shift)
			s.spare[next[b]] = r
			next[b]++
		}
		s.refs, s.spare = s.spare, s.refs
	}
}

// alike sorts those of the same head by their keys.
func (s *sorter) alike(compare func(x, y ref) int) {
	for from, at := 0, 1; at <= len(s.refs); at++ {
		if at < len(s.refs) && s.refs[at].head == s.refs[from].head {
			continue
		}
		if at-from > 1 {
			slices.SortStableFunc(s.refs[from:at], compare)
		}
		from = at
	}
}

// commonPrefix is how many bytes all keys begin with.
func commonPrefix(n int, key func(i int) []byte) int {
	if n == 0 {
		return 0
	}
	first := key(0)
	common := len(first)
	for i := range n {
		k := key(i)
		common = min(common, len(k))
		for at := range common {
			if k[at] != first[at] {
				common = at
				break
			}
		}
	}
	return common
}

// head is the first eight bytes as a number. A key that is shorter has zeros there, and is compared as a whole where that is equal.
func head(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var bytes [8]byte
	copy(bytes[:], key)
	return binary.BigEndian.Uint64(bytes[:])
}
