package state

import (
	"bytes"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/keyed"
)

// behind gathers what was committed and writes it to the database in the background, together with the newest
// checkpoint in one batch: once an interval, or earlier when it is much or many changes. A key that changes with every commit is
// written once an interval only; that is most of what a store costs.
//
// The price is that a database may be an interval behind after a crash. The changelog has what is missing.
type behind struct {
	db    *Database
	limit int // bytes to gather before a write does not wait for the interval

	mu      sync.Mutex
	turn    sync.Cond // signalled when a write begins and when it ends
	filling *gathered
	writing *gathered // what a write is under way for, or what the last one left out; not to be read from the database
	spare   *gathered // what is filled next; nil while writing is not
	err     error     // of a write; nothing is written after it, and what it was for stays in writing, to be read
	running bool      // the background goroutine

	full chan struct{} // tells the goroutine not to wait for the interval
	stop chan struct{}
	done sync.WaitGroup
}

// After a crash a restore reads from the changelog what was not written: writeInterval of it, or mostChanges where that is less, which
// is a fraction of a second. A key that changes all the time costs a write to LevelDB, with its share of the merges, once in that time.
const (
	writeInterval = 5 * time.Second
	mostChanges   = 200_000
)

// gathered is what one batch writes. begin and end are around all changes of a commit, and hold the lock.
type gathered struct {
	keyed.Gathered
	checkpoint int64
	note       []byte
	asOf       time.Time
	any        bool // something was committed, if only a checkpoint
}

func newBehind(db *Database, limit int) *behind {
	b := &behind{db: db, limit: limit, filling: &gathered{}, spare: &gathered{}, full: make(chan struct{}, 1), stop: make(chan struct{})}
	b.turn.L = &b.mu
	return b
}

// begin locks. While a write is due and has not begun, for another is under way, it waits: this bounds the memory.
func (b *behind) begin() (*keyed.Gathered, error) {
	b.mu.Lock()
	for b.err == nil && b.filling.Bytes() >= b.limit {
		b.turn.Wait()
	}
	if b.err != nil {
		defer b.mu.Unlock()
		return nil, b.err
	}
	b.filling.Reserve(b.limit + b.limit/4)
	return &b.filling.Gathered, nil
}

func (b *behind) end(checkpoint int64, note []byte, asOf time.Time) {
	defer b.mu.Unlock()
	b.filling.checkpoint, b.filling.note, b.filling.asOf, b.filling.any = checkpoint, note, asOf, true
	fresh := b.filling.Fresh()
	b.db.present.add(fresh)
	if next := b.db.next; next != nil {
		next.add(fresh)
	}
	b.db.renew()
	b.db.checkpoint = checkpoint
	if !b.running {
		b.running = true
		b.done.Go(b.run)
	}
	if b.filling.Bytes() >= b.limit || b.filling.Changes() >= mostChanges {
		select {
		case b.full <- struct{}{}:
		default:
		}
	}
}

// run writes until there is nothing left to write.
func (b *behind) run() {
	timer := time.NewTimer(writeInterval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-b.full:
		case <-b.stop:
			return
		}
		b.mu.Lock()
		b.write()
		if b.err != nil || !b.filling.any {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		timer.Reset(writeInterval)
	}
}

// write writes what is gathered. It is called with the lock, and lets it go meanwhile.
func (b *behind) write() {
	for b.writing != nil && b.err == nil {
		b.turn.Wait()
	}
	g := b.filling
	if b.err != nil || !g.any {
		return
	}
	b.filling, b.writing, b.spare = b.spare, g, nil
	b.turn.Broadcast()
	b.mu.Unlock()
	err := b.db.writeGathered(g)
	b.mu.Lock()
	if b.err = err; err == nil {
		g.Reset()
		g.any = false
		b.writing, b.spare = nil, g
	}
	b.turn.Broadcast()
}

// writeGathered writes what was gathered from the last key to the first, the order of which keyed.Sort says why.
func (d *Database) writeGathered(g *gathered) error {
	b := newBatch(g.Bytes())
	defer b.free()
	d.gaps.begin()
	defer d.gaps.end()
	var scratch []byte
	g.All(func(key, value []byte) {
		scratch = append(append(scratch[:0], userPrefix), key...)
		b.put(scratch, value)
		if value != nil {
			d.gaps.fill(scratch)
		} else {
			d.deleted.Add(1)
		}
	})
	return d.write(b, g.checkpoint, g.note, g.asOf)
}

// flush returns when everything committed is in the database.
func (b *behind) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write()
	return b.err
}

func (b *behind) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// get looks for a key among what is not written yet. A key that is not there now is in the database or nowhere: what is
// written stays here until the write has returned.
func (b *behind) get(key string) (value []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if value, ok = b.filling.Get(key); !ok && b.writing != nil {
		value, ok = b.writing.Get(key)
	}
	return bytes.Clone(value), ok
}

// each calls yield with the keys that are not in the database for sure. It is for between begin and end.
func (b *behind) each(yield func(key []byte)) {
	for _, g := range []*gathered{b.filling, b.writing} {
		if g != nil {
			g.All(func(key, _ []byte) { yield(key) })
		}
	}
}

// renew is that of the database, for who holds no lock.
func (b *behind) renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.db.renew()
}

// close ends the goroutine and writes what is left.
func (b *behind) close() error {
	close(b.stop)
	b.done.Wait()
	err := b.flush()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range []*gathered{b.filling, b.writing, b.spare} {
		if g != nil {
			g.Free()
		}
	}
	return err
}
