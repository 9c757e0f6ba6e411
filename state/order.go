package state

import (
	"bytes"

	"github.com/syndtr/goleveldb/leveldb/comparer"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/memdb"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// order is the sorted set of the dirty keys, in the form that they have in the database. It is kept only for a store
// that was iterated at least once: it costs as much as everything else in a Set.
type order struct {
	set *memdb.DB
	key []byte
}

func newOrder() *order { return &order{set: memdb.New(comparer.DefaultComparer, 4<<10)} }

func (o *order) insert(key string) {
	o.key = append(append(o.key[:0], userPrefix), key...)
	// The set's Put never fails.
	_ = o.set.Put(o.key, nil)
}

func (o *order) remove(key string) {
	o.key = append(append(o.key[:0], userPrefix), key...)
	_ = o.set.Delete(o.key)
}

// clear empties the set; a large one is given back to the garbage collector.
func (o *order) clear() {
	if o.set.Capacity() > 1<<20 {
		o.set = memdb.New(comparer.DefaultComparer, 4<<10)
	} else if o.set.Len() > 0 {
		o.set.Reset()
	}
}

func (o *order) iterate(r *util.Range) iterator.Iterator { return o.set.NewIterator(r) }

// span is the range of keys of the database for users' keys from (included) to to (excluded), to the end when to is
// empty.
func span(from, to string) *util.Range {
	r := &util.Range{Start: append([]byte{userPrefix}, from...), Limit: []byte{userPrefix + 1}}
	if to != "" {
		r.Limit = append([]byte{userPrefix}, to...)
	}
	return r
}

func prefixSpan(prefix string) *util.Range {
	return util.BytesPrefix(append([]byte{userPrefix}, prefix...))
}

func empty(r *util.Range) bool { return bytes.Compare(r.Start, r.Limit) >= 0 }
