package offsets

import (
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Mutations: ParseMark that takes a broken number, or a negative one, for a mark; String without the state.
func TestAMarkIsReadAsItWasWritten(t *testing.T) {
	for _, m := range []Mark{{}, {TopicID: "x"}, {TopicID: "x", State: 9}, {State: 9}, {TopicID: "x", Partitions: 4}, {TopicID: "x", State: 9, Partitions: 4}} {
		if got, ok := ParseMark(m.String()); !ok || got != m {
			t.Errorf("%q is read as %+v, %v", m.String(), got, ok)
		}
	}
	for _, foreign := range []string{"", "weir", "weir2:x", "x:9", "weir1:x:", "weir1:x:nine", "weir1:x:-1", "weir1:x:9:9", "weir1:x:p", "weir1:x:p-1", "weir1:x:p4:9", "weir1:x:p4:p5", "weir1:x:p4294967296"} {
		if got, ok := ParseMark(foreign); ok {
			t.Errorf("%q is taken for the mark %+v", foreign, got)
		}
	}
}

// Mutations: ParsePositions that takes any version; Raw that takes the first header of several.
func TestPositionsAndNotesAreReadAsTheyWereWritten(t *testing.T) {
	p := Positions{"in": {TopicID: "x", Offset: 9, Epoch: 3, From: 7}, "other": {Epoch: -1}}
	got, err := ParsePositions(p.Encode())
	if err != nil || !maps.Equal(got, p) {
		t.Errorf("%v is read as %v, %v", p, got, err)
	}
	for _, bad := range []string{"", "{", `{"v":2,"inputs":{}}`, "{}"} {
		if got, err := ParsePositions([]byte(bad)); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
	headers := []kafka.Header{{Key: Header, Value: []byte("1")}, {Key: "other"}, {Key: Header, Value: []byte("2")}, {Key: "other"}}
	if raw := Raw(headers); string(raw) != "2" {
		t.Errorf("the header is %q", raw)
	}
	if raw := Raw(headers[1:2]); raw != nil {
		t.Errorf("the header is %q", raw)
	}
	for _, n := range []Note{{Epoch: 7, Positions: []byte("p")}, {Epoch: -1}} {
		if got := ParseNote(n.Encode()); got.Epoch != n.Epoch || string(got.Positions) != string(n.Positions) {
			t.Errorf("%+v is read as %+v", n, got)
		}
	}
	for _, bad := range []string{"", "\x01\x00\x00\x00", "\x02\x00\x00\x00\x05"} {
		if got := ParseNote([]byte(bad)); got.Epoch != -1 || got.Positions != nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

// Mutations: ParseReset that does not compare the key, or takes any version; Committed that is not written.
func TestAResetIsReadAsItWasRecorded(t *testing.T) {
	r := Reset{Version: 1, Topology: "t", Topic: "in", TopicID: "x", Partition: 3, Old: new(int64(9)), Who: "w", Why: "y", At: time.Unix(5, 0).UTC()}
	got, ok := ParseReset([]byte(r.Key()), r.Value())
	if !ok || string(got.Value()) != string(r.Value()) || got.New != nil {
		t.Errorf("%s is read as %s, %v", r.Value(), got.Value(), ok)
	}
	const older = `{"version":1,"topology":"t","topic":"in","topic_id":"x","partition":3,"old":9,"new":null,"who":"w","why":"y","at":"1970-01-01T00:00:05Z"}`
	if string(r.Value()) != older {
		t.Errorf("without a committed offset it is written as %s", r.Value())
	}
	r.Committed = new(int64(7))
	if got, ok := ParseReset([]byte(r.Key()), r.Value()); !ok || *got.Committed != 7 || *got.Old != 9 {
		t.Errorf("%s is read as %+v, %v", r.Value(), got, ok)
	}
	newer := r
	newer.Version = 2
	for key, value := range map[string][]byte{"reset/t/in/4": r.Value(), r.Key(): newer.Value(), "": nil, "reset/": []byte("{")} {
		if _, ok := ParseReset([]byte(key), value); ok {
			t.Errorf("%q with %s is taken for a reset", key, value)
		}
	}
}

// Mutation: a case of Check left out.
func TestTheTopicOfJobsIsCheckedBeforeItIsUsed(t *testing.T) {
	spec := Spec()
	info := func(partitions int32, policy string) kafka.TopicInfo {
		return kafka.TopicInfo{Name: JobsTopic, Partitions: partitions, Config: map[string]string{"cleanup.policy": policy}}
	}
	if err := Check(info(spec.Partitions, spec.Config["cleanup.policy"])); err != nil {
		t.Errorf("as it is created: %v", err)
	}
	for words, bad := range map[string]kafka.TopicInfo{"has 4 partitions": info(4, "compact"), "deleted with time": info(1, "compact,delete")} {
		if err := Check(bad); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
