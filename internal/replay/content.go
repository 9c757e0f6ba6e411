package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/weirstream/weir/internal/kafka"
)

// Content is what a topic holds at stated positions: the last value of each key.
type Content struct {
	Topic    string           `json:"topic"`
	Store    string           `json:"store,omitempty"` // whose changelog it is
	Own      bool             `json:"own,omitempty"`   // that store is Weir's own: what it holds is no effect of a record
	Ends     map[string]int64 `json:"ends"`            // by partition
	Starts   map[string]int64 `json:"starts"`
	Keys     int64            `json:"keys"`
	Checksum string           `json:"checksum"`
}

// sum is a checksum of the last value of each key: it is the same whatever the order, and changes with any of them. Its memory depends on
// the number of keys, not on that of records.
type sum struct {
	last map[[2]uint64]uint64 // hashes of values, 0 for none, by partition and hash of the key
	of   uint64
	keys int64
}

func hashed(data []byte) uint64 {
	if data == nil {
		return 0
	}
	return xxhash.Sum64(data) | 1
}

func mixed(partition, key, value uint64) uint64 {
	if value == 0 {
		return 0
	}
	return xxhash.Sum64String(fmt.Sprintf("%x/%x/%x", partition, key, value))
}

func (s *sum) take(partition int32, r *kafka.Record) {
	at := [2]uint64{uint64(partition), hashed(r.Key)}
	was, is := s.last[at], hashed(r.Value)
	if was == is {
		return
	}
	s.of += mixed(at[0], at[1], is) - mixed(at[0], at[1], was)
	switch {
	case was == 0:
		s.keys++
	case is == 0:
		s.keys--
		delete(s.last, at)
		return
	}
	s.last[at] = is
}

func (s *sum) add(o *sum) { s.of, s.keys = s.of+o.of, s.keys+o.keys }

// content reads a topic up to its end, and says what it holds, what it held at the ends of before, and which keys had another last value there.
func (t *Tool) content(ctx context.Context, topic, store string, before *Content) (now, then *Content, changed changes, err error) {
	tps, starts, ends, err := t.partitions(ctx, topic)
	if err != nil {
		return nil, nil, changed, err
	}
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	now = &Content{Topic: topic, Store: store, Ends: map[string]int64{}, Starts: map[string]int64{}}
	then = &Content{Topic: topic, Store: store, Ends: map[string]int64{}, Starts: map[string]int64{}}
	var nowAll, thenAll sum
	for _, tp := range tps {
		one := sum{last: map[[2]uint64]uint64{}}
		name := strconv.Itoa(int(tp.Partition))
		cut := int64(0)
		if before != nil {
			cut = before.Ends[name]
		}
		passed := before == nil
		pass := func() {
			passed = true
			then.Ends[name], then.Starts[name] = min(cut, ends[tp]), starts[tp]
			thenAll.add(&one)
		}
		was := map[[2]uint64]uint64{} // of keys that were written after the cut: what they had there
		touched := map[[2]uint64]Changed{}
		err := kafka.Scan(ctx, reader, tp, starts[tp], ends[tp], func(r *kafka.Record) error {
			if r.Offset >= ends[tp] {
				return nil
			}
			if !passed && r.Offset >= cut {
				pass()
			}
			at := [2]uint64{uint64(tp.Partition), hashed(r.Key)}
			if before != nil && passed {
				if _, ok := was[at]; !ok {
					was[at] = one.last[at]
				}
				if was[at] == hashed(r.Value) {
					delete(touched, at)
				} else if len(touched) < maxChanged {
					touched[at] = Changed{Topic: topic, Partition: tp.Partition, Offset: r.Offset, Key: string(r.Key)}
				}
			}
			one.take(tp.Partition, r)
			return nil
		})
		if err != nil {
			return nil, nil, changed, fmt.Errorf("read %s: %w", tp, err)
		}
		if !passed {
			pass()
		}
		now.Ends[name], now.Starts[name] = ends[tp], starts[tp]
		nowAll.add(&one)
		for at, before := range was {
			if one.last[at] != before {
				changed.keys++
			}
		}
		for _, c := range touched {
			if len(changed.some) < maxChanged {
				changed.some = append(changed.some, c)
			}
		}
	}
	then.Keys, then.Checksum = thenAll.keys, text(thenAll.of)
	now.Keys, now.Checksum = nowAll.keys, text(nowAll.of)
	slices.SortFunc(changed.some, func(a, b Changed) int { return cmp.Compare(a.Offset, b.Offset) })
	return now, then, changed, nil
}

// changes are how many keys have another last value, and some of them.
type changes struct {
	keys int64
	some []Changed
}

// maxChanged is how many differences are listed.
const maxChanged = 20

func text(checksum uint64) string { return fmt.Sprintf("%016x", checksum) }

// Changed is a record that has given its key another last value.
type Changed struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
}

// Downstream compares what a topic held before and after a job.
type Downstream struct {
	Before    Content `json:"before"`
	After     Content `json:"after"`
	Unchanged bool    `json:"unchanged"`
	// ChangedKeys is how many keys have another last value, and Changed some of them, at most maxChanged.
	ChangedKeys int64     `json:"changed_keys"`
	Changed     []Changed `json:"changed,omitempty"`
	Removed     int64     `json:"removed,omitempty"` // offsets that were written since the job began, and that are gone: nobody has seen them
}

// compare says whether a topic holds what it held: the same last value of each key. Where its retention has removed records meanwhile, what
// is left of both is compared; where it has removed what was written since, nothing is known to be unchanged.
func (t *Tool) compare(ctx context.Context, before Content) (*Downstream, error) {
	now, then, changed, err := t.content(ctx, before.Topic, before.Store, &before)
	if err != nil {
		return nil, err
	}
	d := &Downstream{Before: before, After: *now, Unchanged: now.Checksum == before.Checksum && now.Keys == before.Keys, ChangedKeys: changed.keys, Changed: changed.some}
	if !d.Unchanged && !maps.Equal(now.Starts, before.Starts) {
		d.Before, d.Unchanged = *then, now.Checksum == then.Checksum && now.Keys == then.Keys
	}
	for partition, start := range now.Starts {
		d.Removed += max(0, start-before.Ends[partition])
	}
	d.Unchanged = d.Unchanged && d.Removed == 0
	if d.Unchanged {
		d.ChangedKeys, d.Changed = 0, nil
	}
	return d, nil
}
