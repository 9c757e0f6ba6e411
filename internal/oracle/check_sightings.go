package oracle

import "fmt"

// sightings judges what a read-committed reader was given while the faults lasted: each record once, a key's numbers
// growing, and nothing that is not there at the end.
func (c *checker) sightings() {
	next := map[int32]int64{}
	last := map[string]int64{}
	for _, s := range c.e.Seen {
		v := Violation{Topic: c.e.Names.Output, Partition: s.Partition, Offset: s.Offset, Key: s.Key}
		if s.Offset < next[s.Partition] {
			v.Kind, v.Detail = SeenTwice, fmt.Sprintf("the reader had come to offset %d", next[s.Partition])
			c.r.add(v)
			continue
		}
		next[s.Partition] = s.Offset + 1

		if total, err := decodeTotal([]byte(s.Value)); err == nil && !c.e.AtLeastOnce {
			switch before, known := last[s.Key]; {
			case known && total.LastSeq == before:
				v.Kind, v.Detail = SeenTwice, fmt.Sprintf("number %d again", total.LastSeq)
				c.r.add(v)
			case known && total.LastSeq < before:
				v.Kind, v.Detail = SeenOutOfOrder, fmt.Sprintf("number %d after %d", total.LastSeq, before)
				c.r.add(v)
			default:
				last[s.Key] = total.LastSeq
			}
		}

		log := &c.e.Outputs[s.Partition]
		if s.Offset < log.Start {
			continue
		}
		if r := log.find(s.Offset); r == nil || r.Fate != Committed || r.Key != s.Key || string(r.Value) != s.Value {
			v.Kind, v.Detail = SeenVanished, "the topic has another record there now, or none"
			if r != nil {
				v.Detail = fmt.Sprintf("the topic has key %q there now, %s", r.Key, r.Fate)
			}
			c.r.add(v)
		}
	}
}
