package demo

// tally is how many records went into the input topic, or came out of it. Those that end as dead letters are counted one by one, because an operator may send
// them back into that topic (dlq redrive --to origin): what comes again of them is no record that nobody fed.
type tally struct {
	good int64
	bad  map[letterText]int64
}

// letterText is a record by what it holds.
type letterText struct{ key, value string }

func newTally() tally { return tally{bad: map[letterText]int64{}} }

func (t *tally) add(key, value []byte, bad bool) {
	if bad {
		t.bad[letterText{string(key), string(value)}]++
	} else {
		t.good++
	}
}

// sum is how many records there were.
func (t *tally) sum() int64 {
	n := t.good
	for _, times := range t.bad {
		n += times
	}
	return n
}

// against compares what has arrived with what was fed: how many records are missing, how many good ones nobody fed, and how many bad ones
// somebody has sent back.
func (t *tally) against(fed *tally) (missing, unfed, back int64) {
	missing, unfed = max(0, fed.good-t.good), max(0, t.good-fed.good)
	for record, times := range t.bad {
		back += max(0, times-fed.bad[record])
	}
	for record, times := range fed.bad {
		missing += max(0, times-t.bad[record])
	}
	return missing, unfed, back
}
