package provenance

import (
	"testing"

	"github.com/weirstream/weir/internal/record"
)

// A copy says whose it is. What is damaged, or says half of it, says nothing.
//
// Mutation seen to fail it: the offset is not looked for.
func TestACopySaysWhoseItIs(t *testing.T) {
	at := Place{TopicPartition: record.TopicPartition{Topic: "order.placed.v1", Partition: 3}, TopicID: "i", Offset: 42}
	headers := Replayed(at)
	if got, ok := ReplayedFrom(append([]record.Header{{Key: "region"}}, headers...)); !ok || got != at {
		t.Errorf("%+v, %v", got, ok)
	}
	for i := range headers {
		if !Reserved(headers[i].Key) || !Replays(headers[i].Key) {
			t.Errorf("%s is anybody's", headers[i].Key)
		}
		less := append(append([]record.Header{}, headers[:i]...), headers[i+1:]...)
		if got, ok := ReplayedFrom(less); ok {
			t.Errorf("without %s it is a copy of %+v", headers[i].Key, got)
		}
	}
	for _, bad := range []record.Header{{Key: headerOffset, Value: []byte("x")}, {Key: headerPartition, Value: []byte("-1")}} {
		if got, ok := ReplayedFrom(append(Replayed(at), bad)); ok {
			t.Errorf("with %v it is a copy of %+v", bad, got)
		}
	}
}
