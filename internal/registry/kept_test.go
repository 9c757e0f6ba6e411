package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is all that the topic holds, also what other registries would read and this one passes over.
func (r *rig) topic() (records []*kgo.Record) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(r.other).ListEndOffsets(ctx, "_schemas")
	if err != nil {
		r.t.Fatal(err)
	}
	end, _ := ends.Lookup("_schemas", 0)
	c, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Addrs()...), kgo.DisableFetchSessions(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"_schemas": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	for len(records) == 0 || records[len(records)-1].Offset < end.Offset-1 { // compaction spares the last one
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) { records = append(records, rec) })
	}
	return records
}

// An id is not given again when the schema that had the highest one is gone for good, another registry has written its NOOP records, and
// compaction has removed what there was. It does not matter who had given the id and who deleted it, as long as a server that writes here knew.
//
// Mutations seen to fail it: rememberKey as others write it; remember without the ids; own that keeps nothing.
func TestTheHighestIdOutlivesOtherRegistriesAndCompaction(t *testing.T) {
	const highest = `{"keytype":"SCHEMA","subject":"highest","version":1,"magic":1}`
	enum := func(name string) string {
		return fmt.Sprintf(`{"schema":"{\"type\":\"enum\",\"name\":\"%s\",\"symbols\":[]}"}`, name)
	}
	given := func(t *testing.T, r *Registry, subject string) (id int) {
		t.Helper()
		got := ask(r, "POST", "/subjects/"+subject+"/versions", enum(subject))
		if _, err := fmt.Sscanf(got, `{"id":%d,`, &id); err != nil {
			t.Fatal(got)
		}
		return id
	}
	for name, remove := range map[string]func(*testing.T, *rig, *Registry){
		"deleted here": func(t *testing.T, _ *rig, r *Registry) {
			for _, path := range []string{"/subjects/highest", "/subjects/highest?permanent=true"} {
				if got := ask(r, "DELETE", path, ""); got != "[1]" {
					t.Fatal(got)
				}
			}
		},
		"its version deleted here": func(t *testing.T, _ *rig, r *Registry) {
			for _, path := range []string{"/subjects/highest/versions/1", "/subjects/highest/versions/1?permanent=true"} {
				if got := ask(r, "DELETE", path, ""); got != "1" {
					t.Fatal(got)
				}
			}
		},
		"deleted by the other one, and a claim here": func(t *testing.T, rig *rig, _ *Registry) {
			if err := rig.other.ProduceSync(t.Context(), &kgo.Record{Key: []byte(highest)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			_, next := rig.open() // which reads all that was ever written
			given(t, next, "first")
			if got := ask(next, "PUT", "/config/first", `{"compatibility":"FULL"}`); !strings.Contains(got, "FULL") {
				t.Fatal(got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t)
			_, r := rig.open()
			given(t, r, "first")
			if id := given(t, r, "highest"); id != 2 {
				t.Fatal(id)
			}
			remove(t, rig, r)
			for range 2 { // compaction spares the last batch
				if err := rig.other.ProduceSync(t.Context(), &kgo.Record{Key: []byte(`{"keytype":"NOOP","magic":0}`)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			rig.broker.Cluster().Compact()
			for _, rec := range rig.topic() {
				if string(rec.Key) == highest && rec.Value != nil {
					t.Fatal("compaction has left the schema")
				}
				if string(rec.Key) == `{"keytype":"NOOP","magic":0}` && bytes.Contains(rec.Value, []byte("maxIds")) {
					t.Fatal("compaction has left the claim")
				}
			}
			if id := given(t, second(rig), "next"); id != 3 {
				t.Errorf("the next schema has id %d", id)
			}
		})
	}
}

// What is written here is read by Confluent's registry and Karapace as they read what they write themselves: a keytype that they do not know ends
// Confluent's reader, which takes a NOOP only with the magic number 0; and Karapace wants keys whose members have one of three orders, or it changes its own,
// and values that are JSON objects.
//
// Mutations seen to fail it: rememberKey with another keytype, with another magic number, and with its members in another order.
func TestOtherRegistriesReadWhatIsWrittenHere(t *testing.T) {
	rig := newRig(t)
	_, r := rig.open()
	for _, change := range []struct{ method, path, body string }{
		{"POST", "/subjects/a/versions", `{"schema":"\"int\"","metadata":{"properties":{"a":"<b>"}}}`},
		{"POST", "/subjects/:.ctx:a/versions", `{"schema":"\"long\""}`},
		{"PUT", "/config", `{"compatibility":"FULL"}`},
		{"PUT", "/config/a", `{"compatibility":"FULL"}`},
		{"PUT", "/mode/a", `{"mode":"READWRITE"}`},
		{"DELETE", "/config/a", ""},
		{"DELETE", "/subjects/a", ""},
		{"DELETE", "/subjects/a?permanent=true", ""},
		{"DELETE", "/subjects/:.ctx:a/versions/1", ""},
		{"DELETE", "/subjects/:.ctx:a/versions/1?permanent=true", ""},
	} {
		if got := ask(r, change.method, change.path, change.body); strings.Contains(got, "error_code") {
			t.Fatal(change, got)
		}
	}
	ask(second(rig), "POST", "/subjects/b/versions", `{"schema":"\"int\""}`) // after another claim
	orders := []string{"keytype subject version magic", "keytype subject magic", "keytype magic"}
	kinds := map[string]int{}
	for _, rec := range rig.topic() {
		var members []string
		d := json.NewDecoder(bytes.NewReader(rec.Key))
		for depth := 0; d.More() || depth == 0; depth++ {
			token, err := d.Token()
			if err != nil {
				t.Fatalf("%s: %v", rec.Key, err)
			}
			if depth%2 == 1 {
				members = append(members, token.(string))
			}
		}
		var key struct {
			Keytype string
			Magic   int
		}
		if err := json.Unmarshal(rec.Key, &key); err != nil {
			t.Fatal(err)
		}
		kinds[key.Keytype]++
		switch {
		case !slices.Contains([]string{"CONFIG", "MODE", "SCHEMA", "NOOP", "DELETE_SUBJECT"}, key.Keytype):
			t.Errorf("key %s: the keytype is not known everywhere", rec.Key)
		case !slices.Contains(orders, strings.Join(members, " ")):
			t.Errorf("key %s: its members have another order", rec.Key)
		case key.Magic != map[bool]int{true: 1}[key.Keytype == "SCHEMA"]:
			t.Errorf("key %s: magic number %d", rec.Key, key.Magic)
		}
		var value map[string]any
		if rec.Value != nil && json.Unmarshal(rec.Value, &value) != nil {
			t.Errorf("%s: the value is no object: %s", rec.Key, rec.Value)
		}
	}
	if len(kinds) != 5 {
		t.Errorf("records of %v were written", kinds)
	}
}
