package keyed

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// Sorter puts what is written to LevelDB into the order of its keys. LevelDB's buffer is a skip list: a key whose neighbour came just
// before it costs a fraction of one at a random place. Its memory is used again.
type Sorter struct{ refs []ref }

// ref is a key by its number. The eight bytes after what all keys begin with decide nearly all comparisons, without a look at the
// key itself, which lies anywhere in memory.
type ref struct {
	head uint64
	i    int
}

// Sort calls yield with the numbers of keys from 0 to n-1 in the order of the keys' bytes; of equal keys with the last one.
func (s *Sorter) Sort(n int, key func(i int) []byte, yield func(i int)) {
	s.refs = slices.Grow(s.refs[:0], n)
	common := commonPrefix(n, key)
	for i := range n {
		s.refs = append(s.refs, ref{head(key(i)[common:]), i})
	}
	compare := func(x, y ref) int {
		if x.head != y.head {
			return cmp.Compare(x.head, y.head)
		}
		return bytes.Compare(key(x.i), key(y.i))
	}
	slices.SortFunc(s.refs, func(x, y ref) int {
		if c := compare(x, y); c != 0 {
			return c
		}
		return x.i - y.i
	})
	for at, r := range s.refs {
		if next := at + 1; next < n && compare(r, s.refs[next]) == 0 {
			continue
		}
		yield(r.i)
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
