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
	// Partitions is how many partitions the topic had when this one was begun, 0 where that is not known. A partition with a
	// higher number was added later.
	Partitions int32
}

const (
	markPrefix      = "weir1:"
	markOfPartition = "p"
)

// String is the metadata: "weir1:<topic id>", then ":<state>" and ":p<partitions>" where there are such.
func (m Mark) String() string {
	s := markPrefix + m.TopicID
	if m.State > 0 {
		s += ":" + strconv.FormatInt(m.State, 10)
	}
	if m.Partitions > 0 {
		s += ":" + markOfPartition + strconv.Itoa(int(m.Partitions))
	}
	return s
}

// ParseMark reads the metadata of a committed offset. ok is false for what Weir has not written.
func ParseMark(metadata string) (m Mark, ok bool) {
	rest, ok := strings.CutPrefix(metadata, markPrefix)
	if !ok {
		return Mark{}, false
	}
	id, rest, more := strings.Cut(rest, ":")
	m.TopicID = id
	for field := ""; more; {
		field, rest, more = strings.Cut(rest, ":")
		digits, isPartitions := strings.CutPrefix(field, markOfPartition)
		bits := 64
		if isPartitions {
			bits = 32
		}
		n, err := strconv.ParseInt(digits, 10, bits)
		switch {
		case err != nil || n < 0, isPartitions && more:
			return Mark{}, false
		case isPartitions:
			m.Partitions = int32(n)
		case m.State > 0:
			return Mark{}, false
		default:
			m.State = n
		}
	}
	return m, true
}
