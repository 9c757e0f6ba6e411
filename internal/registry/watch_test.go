package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Records that are deleted behind a server's back, and a policy that will delete them, are problems that say what to do: the server has the schemas in memory,
// and one that begins afterwards has none. What was deleted before it began is another problem.
//
// Mutations seen to fail it: OpenLog without watch; a start that is not compared with the one when the topic was read; the policy left out.
func TestSchemasThatAreDeletedUnderAServerAreMissed(t *testing.T) {
	rig := newRig(t)
	log, r := rig.open()
	for _, subject := range []string{"a", "b"} {
		if got := ask(r, "POST", "/subjects/"+subject+"/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
			t.Fatal(got)
		}
	}
	watch := func(l *Log) {
		l.watched() // that of OpenLog, which looks every 30 s
		l.watch(time.Millisecond)
	}
	watch(log)
	await := func(l *Log, kind, says string, there bool) {
		t.Helper()
		for {
			found := false
			for _, p := range l.Problems() {
				found = found || p.Kind == kind && strings.Contains(p.Cause, says)
			}
			if found == there {
				return
			}
			select {
			case <-time.After(2 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatalf("%v", l.Problems())
			}
		}
	}
	const deleted = "while this server ran"
	await(log, "truncated", deleted, false)
	admin := kadm.NewClient(rig.other)
	policy := func(is string) {
		t.Helper()
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &is}}, "_schemas"); err != nil {
			t.Fatal(err)
		}
	}
	policy("compact,delete")
	await(log, "topic", "cleanup.policy", true)
	policy("compact")
	await(log, "topic", "cleanup.policy", false)
	policy("delete")
	offsets := kadm.Offsets{}
	offsets.AddOffset("_schemas", 0, 2, -1)
	if _, err := admin.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	await(log, "truncated", deleted, true)
	policy("compact")
	other, _ := rig.open()
	other.look(t.Context())
	await(other, "truncated", "schemas may be gone", true)
	await(other, "truncated", deleted, false)
}
