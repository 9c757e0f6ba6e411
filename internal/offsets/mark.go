package offsets

import (
	"strconv"
	"strings"
)

// Mark is what Weir writes into the metadata of an offset that it commits.
type Mark struct {
	TopicID string
	// State is how far the state has read the input, where that is further than the committed offset and known to be so:
	// after a reset that was accepted, until reading has come to where the state was. 0 otherwise.
	State int64
}

const markPrefix = "weir1:"

// String is the metadata: "weir1:<topic id>", or "weir1:<topic id>:<state>".
func (m Mark) String() string {
	if m.State > 0 {
		return markPrefix + m.TopicID + ":" + strconv.FormatInt(m.State, 10)
	}
	return markPrefix + m.TopicID
}

// ParseMark reads the metadata of a committed offset. ok is false for what Weir has not written.
func ParseMark(metadata string) (m Mark, ok bool) {
	rest, ok := strings.CutPrefix(metadata, markPrefix)
	if !ok {
		return Mark{}, false
	}
	id, state, more := strings.Cut(rest, ":")
	m.TopicID = id
	if more {
		var err error
		if m.State, err = strconv.ParseInt(state, 10, 64); err != nil || m.State < 0 {
			return Mark{}, false
		}
	}
	return m, true
}
