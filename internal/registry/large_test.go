package registry

import (
	"fmt"
	"strings"
	"testing"
)

// A schema that the topic does not take is refused with its size and the bound, and its server goes on to write: it does not claim
// the topic again, and the next change is made.
//
// Mutations seen to fail it: Append without the look at the code, and with it after the claim is void; tooLarge without the topic's setting;
// sequence numbers that such a batch uses up.
func TestASchemaThatTheTopicDoesNotTakeIsRefused(t *testing.T) {
	rig := newRig(t)
	const most = 2000
	if err := rig.broker.Cluster().CreateTopic("_schemas", 1, map[string]string{"cleanup.policy": "compact", "max.message.bytes": fmt.Sprint(most)}); err != nil {
		t.Fatal(err)
	}
	log, r := rig.open()
	if got := ask(r, "POST", "/subjects/a/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
		t.Fatal(got)
	}
	for range 2 {
		got := ask(r, "POST", "/subjects/b/versions", fmt.Sprintf(`{"schema":"{\"type\":\"fixed\",\"name\":\"F\",\"size\":1,\"doc\":\"%s\"}"}`, strings.Repeat("x", most)))
		for _, part := range []string{`"error_code":42201`, "max.message.bytes of 2000", "has 22", "Nothing was changed"} {
			if !strings.Contains(got, part) {
				t.Errorf("%s, want %s", got, part)
			}
		}
	}
	for n, kind := range []string{"long", "float"} {
		if got := ask(r, "POST", "/subjects/"+kind+"/versions", fmt.Sprintf(`{"schema":"\"%s\""}`, kind)); !strings.Contains(got, fmt.Sprintf(`"id":%d`, n+2)) {
			t.Errorf("afterwards: %s", got)
		}
	}
	if log.seen.claims != 1 {
		t.Errorf("the topic was claimed %d times", log.seen.claims)
	}
}
