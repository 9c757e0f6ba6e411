package oracle

import (
	"fmt"
	"maps"
	"slices"
)

// state compares, for every partition, the model with the changelog, and every local database with the changelog.
func (c *checker) state() {
	for p := range c.e.Changelog {
		c.changelog(int32(p))
	}
	for i := range c.e.Stores {
		c.store(&c.e.Stores[i])
	}
}

// replayed is a changelog folded to its last values, tombstones left out.
type replayed struct {
	value map[string]string
	at    map[string]int64 // offset of the last record of a key
}

func replayLog(log *Log, from, below int64, into replayed) replayed {
	for r := range log.Committed {
		if r.Offset < from || r.Offset >= below {
			continue
		}
		into.at[r.Key] = r.Offset
		if r.Value == nil {
			delete(into.value, r.Key)
		} else {
			into.value[r.Key] = string(r.Value)
		}
	}
	return into
}

func emptyReplay() replayed { return replayed{map[string]string{}, map[string]int64{}} }

func (r replayed) offset(key string) int64 {
	if at, ok := r.at[key]; ok {
		return at
	}
	return -1
}

func (c *checker) changelog(p int32) {
	log := &c.e.Changelog[p]
	model := map[string]Total{}
	if int(p) < len(c.expected) {
		model = c.expected[p].State
	}
	found := replayLog(log, 0, log.HighWatermark, emptyReplay())
	for _, key := range slices.Sorted(maps.Keys(found.value)) {
		total, err := decodeTotal([]byte(found.value[key]))
		if err == nil && (total == model[key] || c.aheadIsAllowed(key, total)) {
			continue
		}
		c.r.add(Violation{ChangelogDiffers, c.e.Names.Changelog, p, found.offset(key), key,
			fmt.Sprintf("%s, the model has %+v", found.value[key], model[key])})
	}
	for _, key := range slices.Sorted(maps.Keys(model)) {
		if _, ok := found.value[key]; !ok {
			c.r.add(Violation{ChangelogDiffers, c.e.Names.Changelog, p, found.offset(key), key,
				fmt.Sprintf("nothing, the model has %+v", model[key])})
		}
	}
}

// aheadIsAllowed: in at-least-once an instance may have died between writing state and committing offsets.
func (c *checker) aheadIsAllowed(key string, total Total) bool {
	if !c.e.AtLeastOnce {
		return false
	}
	w := c.wanted[identity{key, total.LastSeq}]
	return w != nil && w.beyond && w.Total == total
}

// store demands that a database holds exactly what the changelog holds below its checkpoint. A changelog that compaction
// has thinned out cannot show that moment any more: then the database with the rest of the changelog on top of it, which
// is what a restore makes, must be the whole changelog.
func (c *checker) store(s *StoreDump) {
	v := Violation{Kind: StoreDiffers, Topic: c.e.Names.Changelog, Partition: s.Partition, Offset: -1}
	if int(s.Partition) >= len(c.e.Changelog) {
		v.Detail = "store of " + s.Instance + " has no changelog partition"
		c.r.add(v)
		return
	}
	log := &c.e.Changelog[s.Partition]
	checkpoint := s.Checkpoint
	if !s.HasCheckpoint {
		checkpoint = 0
	}
	if checkpoint > log.LastStable {
		v.Kind, v.Offset = StoreAhead, checkpoint
		v.Detail = fmt.Sprintf("store of %s has checkpoint %d, the changelog is stable up to %d", s.Instance, checkpoint, log.LastStable)
		c.r.add(v)
	}

	want := replayLog(log, 0, checkpoint, emptyReplay())
	have := replayed{maps.Clone(s.Entries), map[string]int64{}}
	if have.value == nil {
		have.value = map[string]string{}
	}
	when := fmt.Sprintf("below the checkpoint %d", checkpoint)
	if !log.Whole {
		want = replayLog(log, 0, log.HighWatermark, emptyReplay())
		have = replayLog(log, checkpoint, log.HighWatermark, have)
		when = fmt.Sprintf("at its end, read from the checkpoint %d", checkpoint)
	}
	keys := slices.Sorted(maps.Keys(have.value))
	for key := range want.value {
		if _, ok := have.value[key]; !ok {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		if have.value[key] == want.value[key] {
			continue
		}
		v.Kind, v.Offset, v.Key = StoreDiffers, want.offset(key), key
		v.Detail = fmt.Sprintf("store of %s has %q, the changelog has %q %s", s.Instance, have.value[key], want.value[key], when)
		c.r.add(v)
	}
}
