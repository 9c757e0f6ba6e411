package offsets

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Reset is the record that an operator has let offsets and state disagree. It is written before it happens.
type Reset struct {
	Version   int       `json:"version"`
	Topology  string    `json:"topology"`
	Topic     string    `json:"topic"`
	TopicID   string    `json:"topic_id"`
	Partition int32     `json:"partition"`
	Committed *int64    `json:"committed,omitempty"` // the offset that was committed before; absent for none, and in records of older programs
	Old       *int64    `json:"old"`                 // how far the state had read the input; null when it did not say
	New       *int64    `json:"new"`                 // the offset that is committed from then on; null for none, so that auto.offset.reset decides
	Who       string    `json:"who"`
	Why       string    `json:"why"`
	At        time.Time `json:"at"`

	name string
}

// Key is the key of the record: the newest reset of a partition takes the place of the one before.
func (r *Reset) Key() string {
	return fmt.Sprintf("reset/%s/%s/%d", r.Topology, r.Topic, r.Partition)
}

// Value is the value of the record.
func (r *Reset) Value() []byte {
	data, _ := json.Marshal(r) // nothing in it can fail
	return data
}

// ParseReset reads a record of the topic. ok is false for records of other kinds, and of newer versions.
func ParseReset(key, value []byte) (r Reset, ok bool) {
	if json.Unmarshal(value, &r) != nil || r.Version != 1 || r.Key() != string(key) {
		return Reset{}, false
	}
	sum := sha256.Sum256(value)
	r.name = hex.EncodeToString(sum[:8])
	return r, true
}

// Name tells a reset that was read from all others, those of the same partition included: it is a hash of all that the record
// says, the time included. A state keeps the name of the one that it last followed.
func (r *Reset) Name() string { return r.name }

// orNull is an offset as a reset holds it: null for a negative one.
func orNull(offset int64) *int64 {
	if offset < 0 {
		return nil
	}
	return &offset
}

// covers says whether the reset is what a question disagrees in, and was not used up by that.
func (r *Reset) covers(q *Question) bool {
	used := func(s Position) bool { return s.Reset == r.name && r.name != "" }
	return r != nil && !slices.ContainsFunc(q.State, used) && q.is(r.TopicID) && equal(r.New, q.Committed.Offset) && equal(r.Old, q.Top())
}

func equal(a *int64, b int64) bool {
	return a == nil && b < 0 || a != nil && *a == b
}
