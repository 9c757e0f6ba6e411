//go:build integration && unix

package command_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafkatest"
)

// patience is how long what must come is waited for. It decides nothing on a machine that is merely busy.
const patience = 3 * time.Minute

// ledger has the ids that were given, and to which schemas.
type ledger struct {
	t     *testing.T
	given map[int]string
}

// register registers a schema of its own under a subject. The answer of one that is refused is returned.
func (l *ledger) register(addr, subject string) (refused string) {
	l.t.Helper()
	text := fmt.Sprintf(`{"type":"enum","name":"%s","symbols":["A"]}`, subject)
	body, _ := json.Marshal(map[string]string{"schema": text})
	res, err := (&http.Client{Timeout: 30 * time.Second}).Post("http://"+addr+"/subjects/"+subject+"/versions", "application/json", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	var answer struct{ ID int }
	if json.Unmarshal(data, &answer) != nil || answer.ID == 0 {
		return string(data)
	}
	if other, ok := l.given[answer.ID]; ok && other != text {
		l.t.Errorf("id %d is given to %s, and was given to %s", answer.ID, text, other)
	}
	l.given[answer.ID] = text
	return ""
}

// eventually registers a schema as soon as the server takes it.
func (l *ledger) eventually(addr, subject string) {
	l.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		refused := l.register(addr, subject)
		if refused == "" {
			return
		}
		if time.Since(began) > patience {
			l.t.Fatalf("%s is refused: %s", subject, refused)
		}
	}
}

// says asks until the answer has all parts.
func says(t *testing.T, addr, path string, parts ...string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		code, got := get(addr, path)
		missing := ""
		for _, part := range parts {
			if !strings.Contains(got, part) {
				missing = part
			}
		}
		if missing == "" {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("%s answers %d %s, without %q", path, code, got, missing)
		}
	}
}

// flip inverts the byte of a topic's log that stands before a text, while no node runs.
func flip(t *testing.T, cluster *kafkatest.Cluster, topic, text string) {
	t.Helper()
	node := cluster.Brokers()[0]
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(cluster.Dir(), "broker-1", "data", topic+"-0", "*.log"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	log, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(log, []byte(text))
	if at < 1 {
		t.Fatalf("%s does not contain %q", found[0], text)
	}
	log[at-1] ^= 0xff
	if err := os.WriteFile(found[0], log, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What happens to the topic on the brokers' disks: a batch is damaged that a running server has not read, records are deleted, the topic is
// deleted and recreated. A server still answers what it has read, refuses changes where it does not know all, and says what to do. No id
// is given to two schemas.
//
// Mutation seen to fail it: keepIDs that keeps none.
func TestADamagedTopicOfARealKafka(t *testing.T) {
	cluster := theCluster(t)
	cluster.NeedNodes(t)
	binary, brokers := build(t), strings.Join(cluster.Addrs(), ",")
	topic := fmt.Sprint("damaged-", time.Now().UnixNano())
	process := func() *server {
		s := &server{t: t, binary: binary, topic: topic, brokers: brokers, addr: kafkatest.FreeAddress(t)}
		t.Cleanup(func() { s.end(syscall.SIGKILL) })
		return s
	}
	l := &ledger{t: t, given: map[int]string{}}
	a, b := process(), process()
	a.start()
	for _, subject := range []string{"first", "second"} {
		l.eventually(a.addr, subject)
	}
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.start()
	l.eventually(b.addr, "unread")
	b.end(syscall.SIGKILL)
	flip(t, cluster, topic, "unread")
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	says(t, a.addr, "/schemas/ids/3", "cannot be read on from offset", "Restore the partition's log on its brokers", "weir schema export")
	says(t, a.addr, "/schemas/ids/1", "first")
	says(t, a.addr, "/subjects", `["first","second"]`)
	if refused := l.register(a.addr, "refused"); !strings.Contains(refused, "50001") || !strings.Contains(refused, "nothing is changed") {
		t.Errorf("a change is answered with %q", refused)
	}
	if out, code := execute(t, "schema", "export", "--registry", "http://"+a.addr, "--file", filepath.Join(t.TempDir(), "saved.jsonl")); code != 0 || !strings.Contains(out, "2 schemas") {
		t.Errorf("the export: exit code %d, %s", code, out)
	}
	b.launch()
	says(t, b.addr, "/schemas/ids/1", "50001", "Nothing is answered")
	b.end(syscall.SIGKILL)

	flip(t, cluster, topic, "unread") // which mends it
	l.eventually(a.addr, "after_the_damage")
	says(t, a.addr, "/schemas/ids/3", "unread")

	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	policy := func(value string) {
		t.Helper()
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &value}}, topic); err != nil {
			t.Fatal(err)
		}
	}
	policy("compact,delete") // of a topic that is only compacted no records can be deleted
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // the log heeds the policy a moment later
		deleted, err := admin.DeleteRecords(t.Context(), ends.Offsets())
		if err == nil && deleted.Error() == nil {
			break
		}
		if time.Since(began) > patience {
			t.Fatal(err, deleted.Error())
		}
	}
	policy("compact")
	says(t, a.addr, "/schemas/ids/1", "first")
	l.eventually(a.addr, "after_the_deletion")
	a.end(syscall.SIGTERM)
	a.start()
	says(t, a.addr, "/subjects", `["after_the_deletion"]`)
	l.eventually(a.addr, "after_the_restart")

	if _, err := admin.DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	compact := "compact"
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // the name is free when its deletion is done
		made, err := admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compact}, topic)
		if err == nil && made.Error() == nil {
			break
		}
		if time.Since(began) > patience {
			t.Fatal(err, made.Error())
		}
	}
	says(t, a.addr, "/subjects", `[]`)
	l.eventually(a.addr, "after_all")
	if len(l.given) != 7 {
		t.Errorf("%d schemas have ids, want 7: %v", len(l.given), l.given)
	}
}
