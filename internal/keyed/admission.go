package keyed

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// admission decides whether a full shelf takes up each key that it does not hold, or few of them.
//
// To take up each and forget the oldest serves keys that are used for a time and then no more. It is the worst there is for more keys
// than fit that come in the same order again and again: what is needed next was forgotten last. There, and where some keys are used
// more than others all the time, it is better to stay with what there is and to take up a new key now and then.
//
// Both are tried on a sample of the keys with as large a part of the room, and the shelf follows the one that finds more. That is
// Qureshi and others, "Adaptive Insertion Policies for High Performance Caching" (ISCA 2007), of which few is the bimodal policy and the
// choice is set dueling; the sample instead of sets of a cache is that of Waldspurger and others, "Cache Modeling and Optimization using
// Miniature Simulations" (USENIX ATC 2017). Which keys were there when few began may be luck, so a shelf that follows it is judged by
// what the shelf itself finds.
type admission struct {
	each, few miniature
	lead      int // of the way that is not followed over the one that is, in keys found
	choosy    bool
	asked     int // for keys, since few began
}

const (
	sampled   = 64 // one of that many keys is in the sample
	admitted  = 8  // one of that many new keys is taken up by a choosy shelf
	tried     = 4  // times the room, the keys that few is given to show what it finds
	leastLead = 16 // that the other way needs for the shelf to follow it
)

// use notes that a key of the sample was asked for, and whether the shelf held it. The room is how many of these there is place for.
func (a *admission) use(tag uint32, room int, held bool) {
	each := a.each.use(tag, room, true)
	few := held
	if !a.choosy {
		few = a.few.use(tag, room, rand.Uint32N(admitted) == 0)
		if a.asked++; a.asked >= tried*room {
			a.begin()
		}
	}
	switch {
	case few == each:
	case few == a.choosy:
		a.lead = max(a.lead-1, 0)
	default:
		a.lead++
	}
	if a.lead < max(room/8, leastLead) {
		return
	}
	a.lead, a.choosy, a.few = 0, !a.choosy, miniature{}
	if !a.choosy {
		a.begin()
	}
}

// begin lets few begin with what each holds. What few has held for long says little: new keys pass it by, and leave it with the first ones.
func (a *admission) begin() { a.few, a.asked = a.each.clone(), 0 }

// refuses says whether a full shelf should leave the next new key alone.
func (a *admission) refuses() bool { return a.choosy && rand.Uint32N(admitted) != 0 }

// miniature is which keys of the sample a shelf would hold.
type miniature struct {
	tags   []uint32
	reused []bool
	at     map[uint32]int32
	hand   int // the oldest
}

// use says whether it holds a key. One that it does not hold takes the place of the oldest that nobody used, if it is to be taken up.
func (m *miniature) use(tag uint32, room int, take bool) (found bool) {
	if i, ok := m.at[tag]; ok {
		m.reused[i] = true
		return true
	}
	if len(m.tags) < room {
		if m.at == nil {
			m.at = map[uint32]int32{}
		}
		m.at[tag] = int32(len(m.tags))
		m.tags, m.reused = append(m.tags, tag), append(m.reused, false)
		return false
	}
	if !take || len(m.tags) == 0 {
		return false
	}
	for m.reused[m.hand] {
		m.reused[m.hand] = false
		m.hand = (m.hand + 1) % len(m.tags)
	}
	delete(m.at, m.tags[m.hand])
	m.tags[m.hand], m.at[tag] = tag, int32(m.hand)
	m.hand = (m.hand + 1) % len(m.tags)
	return false
}

func (m *miniature) clone() miniature {
	return miniature{slices.Clone(m.tags), slices.Clone(m.reused), maps.Clone(m.at), m.hand}
}
