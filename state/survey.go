package state

import (
	"sync"
	"time"

	"github.com/weirstream/weir/internal/keyed"
)

// survey reads the keys of a database that had some when it was opened, in the background, to complete what is present.
type survey struct {
	stop chan struct{}
	done sync.WaitGroup
}

// surveyTurn is how many keys are read at once. As much time as they took is then left to others.
const surveyTurn = 4096

// surveying lets one database at a time read its turn.
var surveying sync.Mutex

func (s *survey) begin(d *Database) {
	s.stop = make(chan struct{})
	s.done.Go(func() { s.run(d) })
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
func (s *survey) run(d *Database) {
	it := d.db.NewIterator(span("", ""), nil)
	defer it.Release()
	add := hashes{to: d.present}
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
		d.present.complete.Store(true)
	}
}
