package offsets

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/internal/kafka"
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

// However many stores there are and however long their names: a mark fits, it is read as it was written, and every changelog is
// found by the name of its store, as long as it does not say that it had no room. Of those that it tells none is another's.
//
// Mutations seen to fail it: String that never shortens, or shortens what is short; Of or JudgeLog without the short form; a short form of no id, or
// of one byte; String without its bound, or without saying that it left some out; Roomy that is always true.
func TestAMarkTellsTheChangelogsThatItHasRoomFor(t *testing.T) {
	forms := map[string]int{}
	for _, stores := range []int{1, 20, 30, 60, 70, 72, 80, 120, 500} {
		for _, length := range []int{5, 35, 200} {
			for _, end := range []int64{100, 1e13 - 1, 1 << 60} {
				m := Mark{TopicID: strings.Repeat("i", 22), Partitions: 1e6, State: 1e13, Logs: map[string]Log{}}
				name := func(n int) string { return fmt.Sprintf("%s%05d", strings.Repeat("s", length-5), n) }
				id := func(n int) string { return fmt.Sprintf("%022d", n) }
				if stores == 72 {
					id = func(int) string { return "" } // of a cluster without ids
				}
				for n := range stores {
					m.Logs[name(n)] = Log{TopicID: id(n), End: end - int64(n), Epoch: 1e5 - 1}
				}
				text := m.String()
				got, ok := ParseMark(text)
				what := fmt.Sprintf("%d stores with names of %d bytes, ends near %d", stores, length, end)
				if !ok || len(text) > maxMark+len(":m") || got.Cut && Roomy(maps.Keys(m.Logs)) && end < 1e13 {
					t.Errorf("%s: %d bytes, %v, %.80s", what, len(text), ok, text)
				}
				if again, ok := ParseMark(got.String()); !ok || !reflect.DeepEqual(again, got) { // as the tool writes it
					t.Errorf("%s: %+v is read as %+v", what, got, again)
				}
				longer := got
				longer.TopicID += strings.Repeat("x", 100)
				less, _ := ParseMark(longer.String()) // what there is no room for now is left out, and the rest is as it was
				for store, log := range less.Logs {
					if was := got.Logs[store]; got.Cut && was != log {
						t.Errorf("%s: of %s it says %+v, read and written again %+v", what, store, was, log)
					}
				}
				if got.Cut {
					forms["cut"]++
				} else if reflect.DeepEqual(got, m) {
					forms["long"]++
				} else {
					forms["short"]++
				}
				found := 0
				for n := range stores {
					k := Marks{got}.Of(name(n))
					if len(k.Logs) == 0 && got.Cut && !k.Stranger {
						continue
					}
					found++
					if len(k.Logs) != 1 || k.Logs[0].End != end-int64(n) || k.Logs[0].Epoch != 1e5-1 || !k.Logs[0].is(id(n)) || k.Logs[0].is("x"+id(n)) != (id(n) == "") {
						t.Errorf("%s: of store %d it says %+v", what, n, k)
					}
				}
				if found != len(got.Logs) || found < min(stores, 20) {
					t.Errorf("%s: %d are found of %d", what, found, len(got.Logs))
				}
				if k := (Marks{got}).Of("another"); k.Stranger == got.Cut || k.Logs != nil {
					t.Errorf("%s: of another store it says %+v", what, k)
				}
			}
		}
	}
	if len(forms) != 3 {
		t.Errorf("not every form was met: %v", forms)
	}
}

// Mutations: ParsePositions that takes any version; Raw that takes the first header of several.
func TestPositionsAndNotesAreReadAsTheyWereWritten(t *testing.T) {
	p := Positions{"in": {TopicID: "x", Offset: 9, Epoch: 3, From: 7}, "other": {Epoch: -1}}
	got, err := ParsePositions(p.Encode(Owner{Topology: "t"}))
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
