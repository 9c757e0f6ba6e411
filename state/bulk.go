package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/weirstream/weir/internal/keyed"
)

// bulk puts entries of a changelog into the order of their keys, and leaves the last one of each key. LevelDB's buffer is a skip
// list: a key whose neighbour came just before it costs a fraction of one at a random place.
type bulk struct{ refs []ref }

// ref is an entry by its place. The eight bytes after what all keys begin with decide nearly all comparisons, without a look at the
// key itself, which lies anywhere in memory.
type ref struct {
	head uint64
	at   int
}

// sort calls yield with the last entry of each key, in the order of the keys.
func (b *bulk) sort(entries []keyed.Entry, yield func(keyed.Entry)) {
	b.refs = slices.Grow(b.refs[:0], len(entries))
	common := commonPrefix(entries)
	for at := range entries {
		b.refs = append(b.refs, ref{head(entries[at].Key[common:]), at})
	}
	compare := func(x, y ref) int {
		if x.head != y.head {
			return cmp.Compare(x.head, y.head)
		}
		return bytes.Compare(entries[x.at].Key, entries[y.at].Key)
	}
	slices.SortFunc(b.refs, func(x, y ref) int {
		if c := compare(x, y); c != 0 {
			return c
		}
		return x.at - y.at
	})
	for i, r := range b.refs {
		if next := i + 1; next < len(b.refs) && compare(r, b.refs[next]) == 0 {
			continue
		}
		yield(entries[r.at])
	}
}

// commonPrefix is how many bytes all keys begin with.
func commonPrefix(entries []keyed.Entry) int {
	if len(entries) == 0 {
		return 0
	}
	first := entries[0].Key
	common := len(first)
	for i := range entries {
		key := entries[i].Key
		common = min(common, len(key))
		for n := range common {
			if key[n] != first[n] {
				common = n
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
