package offsets

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/weirstream/weir/internal/kafka"
)

// Header is the name of the header that holds Positions. It is on the last record that a transaction writes to a partition
// of a changelog; keys and values of the changelog are not touched by it.
const Header = "weir.positions"

// Position is how far an input had been read when a state was written.
type Position struct {
	TopicID string `json:"id,omitempty"`
	// Offset is that of the next record. While an accepted reset has records done again, it is where the state was before.
	Offset int64 `json:"offset"`
	Epoch  int32 `json:"epoch"` // of the record before it, -1 when it is not known
	// From is the smallest committed offset that belongs to this state. Exactly-once commits offsets and state together: it
	// is Offset. At-least-once commits offsets after the state, and a crash between the two leaves the one from before.
	From int64 `json:"from"`
	// Reset is the name of the recorded reset that was accepted last, "" for none: it is not accepted again.
	Reset string `json:"reset,omitempty"`
}

// Positions are those of a task's inputs, by topic. Their partition is that of the changelog which holds them.
type Positions map[string]Position

type positionsJSON struct {
	Version int       `json:"v"`
	Inputs  Positions `json:"inputs"`
	Of      *Owner    `json:"of,omitempty"` // absent in what older programs wrote
}

// Owner is whose state a changelog holds. Two stores may come to one name, because names are put together with hyphens and a prefix.
type Owner struct {
	Prefix   string `json:"prefix,omitempty"`
	Topology string `json:"topology"`
}

func (o Owner) String() string {
	if o.Prefix != "" {
		return fmt.Sprintf("topology %s with topic.prefix=%s", o.Topology, o.Prefix)
	}
	return "topology " + o.Topology
}

// Encode is the value of the header.
func (p Positions) Encode(of Owner) []byte {
	data, _ := json.Marshal(positionsJSON{1, p, &of}) // nothing in it can fail
	return data
}

// Stranger is whose state an encoded header says that a changelog holds, where that is not of.
func Stranger(header []byte, of Owner) (other Owner, found bool) {
	own, _ := json.Marshal(of)
	if bytes.Contains(header, own) { // nearly every one, and a changelog may have one for each commit
		return Owner{}, false
	}
	var p positionsJSON
	if json.Unmarshal(header, &p) != nil || p.Of == nil || *p.Of == of {
		return Owner{}, false
	}
	return *p.Of, true
}

// ParsePositions reads what Encode has written.
func ParsePositions(data []byte) (Positions, error) {
	var p positionsJSON
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("header %s: %w", Header, err)
	}
	if p.Version != 1 {
		return nil, fmt.Errorf("header %s has version %d, and this program knows version 1", Header, p.Version)
	}
	return p.Inputs, nil
}

// Raw is the encoded header of a changelog record, nil where it has none.
func Raw(headers []kafka.Header) []byte {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Key == Header {
			return headers[i].Value
		}
	}
	return nil
}
