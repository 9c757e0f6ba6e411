package offsets

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Mutations seen to fail it: a number that is not checked, or may be negative; String without a field; Set left out; entries
// of changelogs whose fields are swapped; unknown fields that make the whole unreadable.
func TestAMarkIsReadAsItWasWritten(t *testing.T) {
	logs := map[string]Log{"totals": {TopicID: "a_b-c", Start: 1, End: 22, Epoch: -1}, "seen.x": {End: 4, Epoch: 3}}
	for _, id := range []string{"", "x"} {
		for _, state := range []int64{0, 9} {
			for _, partitions := range []int32{0, 4} {
				for _, logs := range []map[string]Log{nil, logs} {
					for _, set := range []bool{false, true} {
						m := Mark{TopicID: id, State: state, Partitions: partitions, Logs: logs, Set: set, Cut: logs != nil && set}
						if got, ok := ParseMark(m.String()); !ok || !reflect.DeepEqual(got, m) {
							t.Errorf("%q is read as %+v, %v", m.String(), got, ok)
						}
					}
				}
			}
		}
	}
	if m, ok := ParseMark("weir1:x:9:zlater"); !ok || m.State != 9 {
		t.Errorf("a mark with a field of a later program is read as %+v, %v", m, ok)
	}
	for _, foreign := range []string{
		"", "weir", "weir2:x", "x:9", "weir1:x:", "weir1:x:9nine", "weir1:x:-1", "weir1:x:9:9", "weir1:x:p", "weir1:x:p-1", "weir1:x:p4294967296",
		"weir1:x:l", "weir1:x:l=a,1,2,3", "weir1:x:ls=a,1,2", "weir1:x:ls=a,-1,2,3", "weir1:x:ls=a,1,2,-2", "weir1:x:ls=a,1,2,4294967296", "weir1:x:ls=a,1,2,3;",
	} {
		if got, ok := ParseMark(foreign); ok {
			t.Errorf("%q is taken for the mark %+v", foreign, got)
		}
	}
}

// Mutation seen to fail it: String without its bound.
func TestAMarkFitsTheMetadataOfAnOffset(t *testing.T) {
	m := Mark{TopicID: strings.Repeat("i", 22), State: 1 << 60, Partitions: 1 << 30, Logs: map[string]Log{}}
	for i := range 500 {
		m.Logs[fmt.Sprintf("store-%03d", i)] = Log{TopicID: strings.Repeat("i", 22), End: 1 << 60}
	}
	if n := len(m.String()); n > 4096 {
		t.Errorf("a mark has %d bytes", n)
	}
	if got, ok := ParseMark(m.String()); !ok || len(got.Logs) < 20 || !got.Cut || got.Logs["store-000"] != m.Logs["store-000"] {
		t.Errorf("it is read as %+v, %v", got, ok)
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
	if err := Check(info(4, "compact")); err != nil {
		t.Errorf("with four partitions: %v", err)
	}
	if err := Check(info(1, "compact,delete")); err == nil || !strings.Contains(err.Error(), "deleted with time") {
		t.Errorf("with a policy that deletes: %v", err)
	}
}
