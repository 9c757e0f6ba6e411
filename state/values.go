package state

import (
	"time"

	"github.com/weirstream/weir/internal/keyed"
)

// Dir is the folder of the database.
func (d *Database) Dir() string { return d.dir }

// Limits implements keyed.Database.
func (d *Database) Limits() (cacheBytes int64, recordBytes int) {
	return d.opts.cacheBytes(), d.opts.MaxRecordBytes
}

// Checkpoint is the changelog offset up to which the database holds committed data; ok is false for a new one.
func (d *Database) Checkpoint() (offset int64, ok bool) {
	return max(d.checkpoint, 0), d.checkpoint >= 0
}

// Note is what was put beside the checkpoint by the last Restore, or the one found at opening; or nil.
func (d *Database) Note() []byte { return d.note }

// AsOf is when the changelog held nothing after the checkpoint of the last Restore, or the one found at opening, or before that, by the clock
// of that machine; zero when unknown.
func (d *Database) AsOf() time.Time { return d.asOf }

// Get is the committed value of a key, written or not.
func (d *Database) Get(key string) (value []byte, ok bool, err error) {
	if d.present.absent(key) {
		return nil, false, nil
	}
	if value, ok = d.behind.get(key); ok {
		return value, value != nil, nil
	}
	if d.opts.Missed != nil {
		d.opts.Missed()
	}
	d.key = append(append(d.key[:0], userPrefix), key...)
	return d.get(d.key)
}

// Begin implements keyed.Database.
func (d *Database) Begin() (*keyed.Gathered, error) { return d.behind.begin() }

// End implements keyed.Database.
func (d *Database) End(checkpoint int64, note []byte, asOf time.Time) {
	d.behind.end(checkpoint, note, asOf)
}

// Flush returns when everything that was committed is written.
func (d *Database) Flush() error { return d.behind.flush() }

// Failed is why the last write in the background failed, or nil.
func (d *Database) Failed() error { return d.behind.failed() }

// Restore implements keyed.Database.
func (d *Database) Restore(entries []keyed.Entry, checkpoint int64, note []byte, asOf time.Time) error {
	size := 0
	for _, r := range entries {
		size += mostRecord + 1 + len(r.Key) + len(r.Value)
	}
	b := newBatch(size)
	defer b.free()
	d.gaps.begin()
	defer d.gaps.end()
	d.gaps.forget()
	add, next := hashes{to: d.present}, hashes{to: d.next}
	keyed.Sort(len(entries), func(i int) []byte { return entries[i].Key }, func(i int) {
		r := entries[i]
		hash := keyed.HashBytes(r.Key)
		add.add(hash)
		if d.next != nil {
			next.add(hash)
		}
		d.key = append(append(d.key[:0], userPrefix), r.Key...)
		b.put(d.key, r.Value)
		if r.Value == nil {
			d.deleted.Add(1)
		}
	})
	add.end()
	if d.next != nil {
		next.end()
	}
	if err := d.write(b, checkpoint, note, asOf); err != nil {
		return err
	}
	d.checkpoint, d.note, d.asOf = checkpoint, note, asOf
	d.behind.renew()
	return nil
}

// Dump calls yield with every key and value that is written, in order, until it returns false. The slices are valid during the
// call only.
func (d *Database) Dump(yield func(key, value []byte) bool) error {
	it := d.Iterate("", "")
	defer it.Release()
	for it.Next() {
		if !yield(it.Key(), it.Value()) {
			return nil
		}
	}
	return it.Error()
}

// Iterate implements keyed.Database.
func (d *Database) Iterate(from, to string) keyed.Iterator {
	r := span(from, to)
	view := d.gaps.enter(r)
	return &keys{Iterator: d.db.NewIterator(r, nil), db: d, view: view}
}

// Sorted implements keyed.Database.
func (d *Database) Sorted() keyed.Sorted { return newOrder() }
