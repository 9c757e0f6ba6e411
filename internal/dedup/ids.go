package dedup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
	"unsafe"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
)

// quarters is how many slices make up a window. More of them forget ids nearer to the window's end, and each costs a look-up a record.
const quarters = 4

// Of an expired slice, sweepKeys ids are deleted with every sweepEvery ids that are added, so that it is gone long before the next
// one expires, or once in sweepPause where fewer come.
const (
	sweepEvery = 4096
	sweepKeys  = 4 * sweepEvery
	sweepPause = time.Second
)

// clockKey is where the slices are listed. Ids have keys of another length.
const clockKey = "clock"

// Ids are the ids that a node has processed at one partition. Like its store, it belongs to one goroutine at a time.
type Ids struct {
	*keyed.Store[string]
	window, slice int64 // in milliseconds

	clock  clock // what read says
	read   string
	key    []byte
	added  int       // since ids were deleted last
	swept  time.Time // when ids were deleted last
	failed error     // of the loop in work
}

// clock is how far the stream's time has come, as its slices say.
type clock struct {
	Live    []slice `json:"live"`              // oldest first; ids are added to the last one
	Expired []slice `json:"expired,omitempty"` // whose ids are not all deleted yet
	After   []byte  `json:"after,omitempty"`   // the last key of the first expired slice that is deleted
}

// slice is a part of the stream's time, in milliseconds since 1970: from Start (included) to End (excluded).
type slice struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// Over makes ids of a database. An id is known for the window at least, and for a quarter of it longer at most.
func Over(db keyed.Database, window time.Duration) *Ids {
	return &Ids{Store: keyed.Over[string](db, codecs.String()), window: window.Milliseconds(), slice: max(1, window.Milliseconds()/quarters)}
}

// ID is an id as it is kept: two ids are the same when their first 128 bits of SHA-256 are.
type ID [16]byte

// IDOf is the ID of an id of any length.
func IDOf(id string) ID {
	sum := sha256.Sum256([]byte(id))
	return ID(sum[:16])
}

// Place is where a record was read that was processed.
type Place struct {
	Topic  string
	Offset int64
}

// Seen returns where the record with the id was read that was processed before; ok is false where there was none.
func (d *Ids) Seen(id ID) (first Place, ok bool, err error) {
	if err := d.load(); err != nil {
		return first, false, err
	}
	for i := len(d.clock.Live) - 1; i >= 0; i-- {
		d.place(d.clock.Live[i].Start, id)
		// The key is not kept by Peek, so it needs no copy.
		value, ok, err := d.Peek(unsafe.String(unsafe.SliceData(d.key), len(d.key)))
		if err != nil {
			return first, false, err
		}
		if ok {
			return placeOf(value), true, nil
		}
	}
	return first, false, nil
}

// Remember adds an id, of a record that was processed at a place, with its time. A time ahead of now counts as now: one record with a
// wrong clock must not make the others' ids old.
func (d *Ids) Remember(id ID, at, now time.Time, place Place) error {
	if err := d.load(); err != nil {
		return err
	}
	if at := min(at.UnixMilli(), now.UnixMilli()); d.moves(at) {
		if err := d.move(at); err != nil {
			return err
		}
	}
	d.place(d.clock.Live[len(d.clock.Live)-1].Start, id)
	if err := d.Set(string(d.key), place.encode()); err != nil {
		return err
	}
	d.added++
	if len(d.clock.Expired) > 0 && (d.added >= sweepEvery || now.Sub(d.swept) >= sweepPause) {
		d.added, d.swept = 0, now
		return d.sweep()
	}
	return nil
}

// load reads the clock, which a record before may have taken back.
func (d *Ids) load() error {
	text, _, err := d.Get(clockKey)
	if err != nil || text == d.read {
		return err
	}
	var c clock
	if text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return fmt.Errorf("the clock of the ids: %w", err)
		}
	}
	d.clock, d.read = c, text
	return nil
}

func (d *Ids) save() error {
	text, err := json.Marshal(d.clock)
	if err != nil {
		return err
	}
	d.read = string(text)
	return d.Set(clockKey, d.read)
}

// moves says whether the stream's clock moves on to another slice with a time.
func (d *Ids) moves(at int64) bool {
	live := d.clock.Live
	return len(live) == 0 || at >= live[len(live)-1].End
}

// move begins the slice of a time, and gives up those that are too old by it.
func (d *Ids) move(at int64) error {
	at = max(at, 0)
	next := slice{Start: at - at%d.slice, End: at - at%d.slice + d.slice}
	var c clock
	c.Expired, c.After = append(c.Expired, d.clock.Expired...), d.clock.After
	for _, old := range d.clock.Live {
		next.Start = max(next.Start, old.End) // slices had another length with another window
		if old.End+d.window <= at {
			c.Expired = append(c.Expired, old)
		} else {
			c.Live = append(c.Live, old)
		}
	}
	c.Live = append(c.Live, next)
	d.clock = c
	return d.save()
}

// sweep deletes the next ids of the slices that expired first.
func (d *Ids) sweep() error {
	c := clock{Live: d.clock.Live, Expired: d.clock.Expired, After: d.clock.After}
	for left := sweepKeys; left > 0 && len(c.Expired) > 0; {
		from, last := prefix(c.Expired[0].Start), ""
		if c.After != nil {
			from = string(c.After) + "\x00"
		}
		d.failed = nil
		for key := range d.Range(from, prefix(c.Expired[0].Start+1), func(err error) { d.failed = err }) {
			if err := d.Delete(key); err != nil {
				return err
			}
			if left--; left == 0 {
				last = key
				break
			}
		}
		if d.failed != nil {
			return fmt.Errorf("delete ids that are too old: %w", d.failed)
		}
		if c.After = []byte(last); last == "" {
			c.Expired, c.After = c.Expired[1:], nil
		}
	}
	d.clock = c
	return d.save()
}

// place makes the key of an id in a slice: the slice's start in 7 bytes, so that a slice is a range of keys, and the id.
func (d *Ids) place(start int64, id ID) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(start))
	d.key = append(append(d.key[:0], b[1:]...), id[:]...)
}

func prefix(start int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(start))
	return string(b[1:])
}

func (p Place) encode() string {
	var b [binary.MaxVarintLen64]byte
	return string(b[:binary.PutVarint(b[:], p.Offset)]) + p.Topic
}

func placeOf(value string) Place {
	offset, n := binary.Varint([]byte(value[:min(len(value), binary.MaxVarintLen64)]))
	return Place{Topic: value[max(n, 0):], Offset: offset}
}
