package state

import (
	"sync"
	"time"

	"github.com/weirstream/weir/internal/keyed"
)

// survey reads the keys of a database in the background, to complete a filter of what is present: of one that had some when it was opened, and
// of one whose filter has come to know too many that are deleted.
type survey struct {
	stop chan struct{}
	done sync.WaitGroup
}

// surveyTurn is how many keys are read at once. As much time as they took is then left to others.
const surveyTurn = 4096

// surveying lets one database at a time read its turn.
var surveying sync.Mutex

func (s *survey) begin(d *Database, of *present) {
	s.stop = make(chan struct{})
	s.done.Go(func() { s.run(d, of) })
}

func (s *survey) end() {
	if s.stop != nil {
		close(s.stop)
		s.done.Wait()
		s.stop = nil
	}
}

// run adds every key that was there when it began. What is written meanwhile is added by its write. A database that cannot be read
// to its end stays without an answer here, and has its error from whoever needs the key.
func (s *survey) run(d *Database, of *present) {
	it := d.db.NewIterator(span("", ""), nil)
	defer it.Release()
	add := hashes{to: of}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for more := true; more; {
		select {
		case <-s.stop:
			return
		case <-pause.C:
		}
		surveying.Lock()
		begin := time.Now()
		for n := 0; n < surveyTurn && more; n++ {
			if more = it.Next(); more {
				add.add(keyed.HashBytes(it.Key()[1:]))
			}
		}
		pause.Reset(time.Since(begin))
		surveying.Unlock()
	}
	add.end()
	if it.Error() == nil {
		of.complete.Store(true)
	}
}

// leastDeleted is how many keys have to be deleted before a filter is replaced.
const leastDeleted = 1 << 16

// renew replaces the filter of the keys when more of those that it knows were deleted than half: it begins another one, and changes over to
// it as soon as that knows every key. It is for the goroutine that reads the database, which is the only one to ask the filter, with the lock of
// what is gathered.
func (d *Database) renew() {
	switch {
	case d.next != nil && d.next.complete.Load():
		d.survey.done.Wait()
		d.present.free()
		d.present, d.next = d.next, nil
	case d.next == nil && d.present.complete.Load():
		if n := d.deleted.Load(); n < leastDeleted || n < d.present.keys.Load()/2 {
			return
		}
		d.deleted.Store(0)
		d.survey.end()
		d.next = newPresent(d.opts.cacheBytes() / 64)
		// What is gathered, and what is being written, is not in the database for sure when the survey begins to read it.
		add := hashes{to: d.next}
		d.behind.each(func(key []byte) { add.add(keyed.HashBytes(key)) })
		add.end()
		d.survey.begin(d, d.next)
	}
}
