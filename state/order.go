package state

import (
	"github.com/syndtr/goleveldb/leveldb/comparer"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/memdb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/weirstream/weir/internal/keyed"
)

// order is the sorted set of the dirty keys, in the form that they have in the database. It is kept only for a store
// that was iterated at least once: it costs as much as everything else in a Set.
type order struct {
	set *memdb.DB
	key []byte
}

func newOrder() *order { return &order{set: memdb.New(comparer.DefaultComparer, 4<<10)} }

func (o *order) Insert(key string) {
	o.key = append(append(o.key[:0], userPrefix), key...)
	// The set's Put never fails.
	_ = o.set.Put(o.key, nil)
}

func (o *order) Remove(key string) {
	o.key = append(append(o.key[:0], userPrefix), key...)
	_ = o.set.Delete(o.key)
}

// Clear empties the set; a large one is given back to the garbage collector.
func (o *order) Clear() {
	if o.set.Capacity() > 1<<20 {
		o.set = memdb.New(comparer.DefaultComparer, 4<<10)
	} else if o.set.Len() > 0 {
		o.set.Reset()
	}
}

// Iterate implements keyed.Sorted.
func (o *order) Iterate(from, to string) keyed.Iterator {
	return &keys{Iterator: o.set.NewIterator(span(from, to))}
}

// keys is an iterator over users' keys.
type keys struct {
	iterator.Iterator
	db    *Database // whose errors it has, nil: it has none
	view  view
	begun bool
}

func (k *keys) Next() bool {
	ok := k.Iterator.Next()
	if !k.begun {
		k.begun = true
		switch {
		case ok:
			k.view.found(k.Iterator.Key())
		case k.Iterator.Error() == nil:
			k.view.found(k.view.limit)
		}
	}
	return ok
}

func (k *keys) Key() []byte { return k.Iterator.Key()[1:] }

func (k *keys) Error() error {
	if k.db == nil {
		return nil
	}
	return k.db.classify("iterate", k.Iterator.Error())
}

// span is the range of keys of the database for users' keys from (included) to to (excluded), to the end when to is
// empty.
func span(from, to string) *util.Range {
	r := &util.Range{Start: append([]byte{userPrefix}, from...), Limit: []byte{userPrefix + 1}}
	if to != "" {
		r.Limit = append([]byte{userPrefix}, to...)
	}
	return r
}
