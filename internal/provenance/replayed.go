package provenance

import (
	"strconv"

	"github.com/weirstream/weir/internal/record"
)

// What a replay says of a record that it writes into a topic: which one it is a copy of.
const (
	headerTopic     = "weir.replay.topic"
	headerTopicID   = "weir.replay.topic.id"
	headerPartition = "weir.replay.partition"
	headerOffset    = "weir.replay.offset"
)

// Place is where a record stands, in the topic with an id.
type Place struct {
	record.TopicPartition
	TopicID string
	Offset  int64
}

// Replays says whether a header is one of those.
func Replays(key string) bool {
	return key == headerTopic || key == headerTopicID || key == headerPartition || key == headerOffset
}

// Replayed are the headers of a copy of the record at a place.
func Replayed(at Place) []record.Header {
	return []record.Header{
		{Key: headerTopic, Value: []byte(at.Topic)},
		{Key: headerTopicID, Value: []byte(at.TopicID)},
		{Key: headerPartition, Value: strconv.AppendInt(nil, int64(at.Partition), 10)},
		{Key: headerOffset, Value: strconv.AppendInt(nil, at.Offset, 10)},
	}
}

// ReplayedFrom is what the headers of a copy say; ok is false where they say nothing, or nothing that can be.
func ReplayedFrom(headers []record.Header) (at Place, ok bool) {
	seen := 0
	for _, h := range headers {
		var err error
		var n int64
		switch h.Key {
		case headerTopic:
			at.Topic = string(h.Value)
		case headerTopicID:
			at.TopicID = string(h.Value)
		case headerPartition:
			n, err = strconv.ParseInt(string(h.Value), 10, 32)
			at.Partition = int32(n)
		case headerOffset:
			at.Offset, err = strconv.ParseInt(string(h.Value), 10, 64)
		default:
			continue
		}
		if err != nil {
			return Place{}, false
		}
		seen++
	}
	return at, seen >= 4 && at.Topic != "" && at.Partition >= 0 && at.Offset >= 0
}
