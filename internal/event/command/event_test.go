//go:build unix

package command_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/event"
	"github.com/weirstream/weir/internal/event/command"
	gateway "github.com/weirstream/weir/internal/gateway/command"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/oracle"
	schemas "github.com/weirstream/weir/internal/registry/command"
	"github.com/weirstream/weir/internal/system"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func execute(ctx context.Context, args ...string) (output string, code int) {
	root := cli.New("weir")
	root.AddCommand(command.Event(), schemas.Registry(), schemas.Schema(), gateway.Gateway())
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(&out)
	err := cli.Execute(ctx, root, args)
	if err != nil {
		out.WriteString(err.Error())
	}
	return out.String(), cli.ExitCode(err)
}

// serve runs a server of the command line until the test ends.
func serve(t *testing.T, path string, args ...string) (url string) {
	t.Helper()
	addr := kafkatest.FreeAddress(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan string)
	go func() {
		out, _ := execute(ctx, append(args, "--log-level", "error", "--http", addr)...)
		done <- out
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if out := <-done; out != "" {
			t.Error(out)
		}
	})
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if res, err := http.Get("http://" + addr + path); err == nil {
			_ = res.Body.Close()
			if res.StatusCode < 500 {
				return "http://" + addr
			}
		}
	}
	t.Fatal("the server does not answer within a minute")
	return ""
}

// start starts an embedded broker, and a schema registry on it.
func start(t *testing.T) (brokers, registry string) {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	brokers = strings.Join(broker.Addrs(), ",")
	return brokers, serve(t, "/subjects", "registry", "run", "--brokers", brokers)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// An event goes from its name to its first record: new writes the files, plan says what is missing and changes nothing, apply makes it, and
// again changes nothing; the line that it prints publishes. A change of the file is shown, and one that breaks readers is refused whole.
//
// Mutations seen to fail it: a gateway that does not make the topic of declarations; planDeclaration without fields, or with each permission as changed; Plan without checkFields; check that leaves the level as
// it is written; tell without its case of an error; ended that notes nothing.
func TestAnEventGoesFromItsNameToItsFirstRecord(t *testing.T) {
	brokers, registry := start(t)
	door := serve(t, "/", "gateway", "run", "--brokers", brokers, "--registry", registry)
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: strings.Split(brokers, ",")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	if infos, err := wire.Topics(t.Context(), []string{system.Events.Name}); err != nil || infos[system.Events.Name].Partitions != 1 {
		t.Errorf("a gateway that runs has no topic of declarations, so the first one would be late: %v, %v", infos, err)
	}
	page, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^weir (event .*)$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) != 3 {
		t.Fatalf("docs/schemas.md has %d commands of events, want 3", len(lines))
	}
	t.Chdir(t.TempDir())
	run := func(want int, args ...string) string {
		t.Helper()
		out, code := execute(t.Context(), args...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d: %s", args, code, want, out)
		}
		return out
	}
	says := func(out string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("without %q:\n%s", want, out)
			}
		}
	}
	docs := strings.NewReplacer("localhost:9092", brokers, "http://127.0.0.1:8081", registry, "http://127.0.0.1:8080", door)
	asInDocs := func(n int) string { // as it stands there
		t.Helper()
		return run(0, strings.Fields(docs.Replace(lines[n][1]))...)
	}
	at := []string{"--brokers", brokers, "--registry", registry, "--gateway", door}
	verb := func(want int, name string, more ...string) string {
		t.Helper()
		return run(want, slices.Concat([]string{"event", name, "order.placed.v1.yaml"}, more, at)...)
	}
	says(asInDocs(0), "order.placed.v1.avsc", "order.placed.v1.yaml")
	run(1, "event", "new", "order.placed.v1", "--owner", "team-orders") // they are there
	for range 2 {
		says(asInDocs(1), "+ topic: order.placed.v1 with 6 partitions", "+ setting: retention.ms=604800000", "+ level: BACKWARD of order.placed.v1-value",
			"+ schema: order.placed.v1.avsc as version 1 of order.placed.v1-value", "+ declaration: owner team-orders, key order_id, id event_id, idempotency stamped",
			"+ permissions: for whom the gateway's own list allows the topic, and nobody else")
	}
	out := asInDocs(2)
	curl := regexp.MustCompile(`(?m)^curl -X POST (\S+) -H 'Content-Type: ([^']*)' -d '(.*)'$`).FindStringSubmatch(out)
	if curl == nil {
		t.Fatalf("no line with curl:\n%s", out)
	}
	// The gateway follows declarations, and has read the first one a moment later.
	answer := ""
	for began := time.Now(); time.Since(began) < time.Minute && !strings.Contains(answer, `"offset":0`); time.Sleep(50 * time.Millisecond) {
		res, err := http.Post(curl[1], curl[2], strings.NewReader(curl[3]))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answer = string(body)
	}
	says(answer, `"offset":0`)
	says(verb(0, "plan"), "nothing is missing")
	if again := verb(0, "apply"); strings.Contains(again, "\n+") || strings.Contains(again, "\n~") {
		t.Errorf("applied again: %s", again)
	}

	edit := func(path, old, next string) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), old) {
			t.Fatalf("%s has no %q: %v", path, old, err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, next)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("order.placed.v1.yaml", "compatibility: BACKWARD", "compatibility: backward")
	edit("order.placed.v1.yaml", "clients: []", "clients: [{name: \"*\", events_per_second: 1000}]")
	says(verb(0, "apply"), "+ permissions: for *, which is each client that the gateway knows", "  level: BACKWARD")
	verb(0, "plan", "--exit-code")
	edit("order.placed.v1.yaml", "clients: [", "idempotency: once\nclients: [")
	says(verb(0, "plan"), "~ declaration: idempotency once, is stamped", "  permissions: for *")
	edit("order.placed.v1.yaml", "idempotency: once", "")
	edit("order.placed.v1.yaml", `"604800000"`, `"86400000"`)
	edit("order.placed.v1.yaml", "events_per_second: 1000", "events_per_second: 5")
	changes := []string{"~ setting: retention.ms=86400000, is 604800000", "~ permissions: for *, which is each client that the gateway knows, whatever its own list allows: 5 events"}
	says(verb(0, "plan"), changes...)
	says(verb(6, "plan", "--exit-code"), append(changes, "is not as order.placed.v1.yaml says")...)
	says(verb(0, "apply"), changes...)
	verb(0, "plan", "--exit-code")
	says(verb(0, "plan"), "nothing is missing")

	edit("order.placed.v1.yaml", "key: order_id", "key: event_id")
	edit("order.placed.v1.yaml", `name: "*"`, "name: shop")
	says(verb(0, "plan"), "~ declaration: key event_id, is order_id", "~ permissions: not for * any more", "+ permissions: for shop: ")
	edit("order.placed.v1.yaml", "key: event_id", "key: Order_id\nid: at.x")
	edit("order.placed.v1.yaml", "id: event_id", "")
	says(verb(1, "plan"), "key is Order_id, which no event of the schema order.placed.v1.avsc has: the record OrderPlaced has no field Order_id, but event_id, order_id, at",
		"id is at.x, which no event of the schema order.placed.v1.avsc has")
	edit("order.placed.v1.yaml", "key: Order_id\nid: at.x", "key: order_id\nid: event_id")
	edit("order.placed.v1.yaml", "name: shop", `name: "*"`)

	edit("order.placed.v1.yaml", `"86400000"`, `"1000"`)
	edit("order.placed.v1.avsc", `"name": "event_id", "type": "string"`, `"name": "event_id", "type": "long"`)
	says(verb(1, "apply"), "TYPE_MISMATCH: it is read as long, and was written as string at path '/fields/0/type': ", "nothing was done", "~ setting: retention.ms=1000, is 86400000 (not done)")
	if out := verb(1, "plan"); strings.Contains(out, "weir event apply does it") {
		t.Errorf("%s", out)
	}
	says(verb(1, "plan", "--json"), `"problem": "schema order.placed.v1.avsc: the schema is not compatible`)
	edit("order.placed.v1.avsc", `"name": "event_id", "type": "long"`, `"name": "event_id", "type": "string"`)
	says(verb(0, "plan"), "~ setting: retention.ms=1000, is 86400000") // nothing of what was refused was done
	edit("order.placed.v1.yaml", "partitions: 6", "partitions: 7")
	says(verb(1, "plan"), "has 6 partitions, and the file says 7")
}

// A file whose schema is not the latest of its subject any more is refused with the two ways out, as is one whose key the keys' schema does not
// take; and what was registered in a context would be read by no gateway.
//
// Mutations seen to fail it: PlanAt without Latest; Plan without planKey.
func TestAFileThatTheGatewayWouldNotFollowIsRefused(t *testing.T) {
	brokers, url := start(t)
	t.Chdir(t.TempDir())
	run := func(want int, line string, wants ...string) {
		t.Helper()
		out, code := execute(t.Context(), strings.Fields(line+" --registry "+url)...)
		for _, text := range append(wants, "") {
			if code != want || !strings.Contains(out, text) {
				t.Errorf("%s: exit code %d, want %d with %q: %s", line, code, want, text, out)
			}
		}
	}
	at := " order.placed.v1.yaml --brokers " + brokers
	if out, code := execute(t.Context(), "event", "new", "order.placed.v1", "--owner", "x"); code != 0 {
		t.Fatal(out)
	}
	run(2, "event apply --context .billing"+at, "unknown flag --context")
	run(2, "event apply --gateway foo"+at, "is no URL of a gateway")
	run(2, "schema list --context billing", `"billing" does not begin with a dot: .billing`)
	run(0, "event apply"+at)
	text, err := os.ReadFile("order.placed.v1.avsc")
	if err != nil {
		t.Fatal(err)
	}
	next := strings.Replace(string(text), `"fields": [`, `"fields": [{"name": "coupon", "type": "string", "default": ""},`, 1)
	if err := os.WriteFile("order.placed.v1.avsc", []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, "event apply"+at, "version 2 of order.placed.v1-value")
	run(0, "schema rollback order.placed.v1-value --to 1 --execute", "version 3 is now the schema of version 1")
	for _, name := range []string{"plan", "apply"} {
		run(1, "event "+name+at, "is version 2 of order.placed.v1-value, and version 3 is the latest", "`weir schema rollback order.placed.v1-value --to 2` makes it the latest again")
	}
	run(0, "schema register order.placed.v1-value order.placed.v1.avsc --execute", "it is not the latest version, which is 3: weir schema rollback order.placed.v1-value --to 2")
	run(0, "schema rollback order.placed.v1-value --to 2 --execute")
	run(0, "event plan --exit-code"+at, "nothing is missing")

	for _, c := range []struct {
		schema string
		code   int
		want   string
	}{
		{`"string"`, 0, "nothing is missing"},
		{`{"type":"record","name":"Key","fields":[{"name":"id","type":"string"}]}`, 1, "key is order_id, a field with a text or a number, and version 2 of order.placed.v1-key wants another form of keys"},
	} {
		if err := os.WriteFile("key.avsc", []byte(c.schema), 0o600); err != nil {
			t.Fatal(err)
		}
		run(0, "schema compat order.placed.v1-key --set NONE --execute")
		run(0, "schema register order.placed.v1-key key.avsc --execute")
		run(c.code, "event plan"+at, c.want)
	}
}

// The schema of an event's keys is declared beside that of its values: made with it, held to a level of its own, and written by: the gateway takes the key
// from its field, and takes nothing while the keys' subject has no schema.
//
// Mutations, each seen to fail it: Plan without the keys' subject in planKey; checkKey that takes every schema; a declaration without KeySchema; key
// in the gateway that asks for a schema without what was promised.
func TestAnEventWhoseKeysHaveASchema(t *testing.T) {
	brokers, url := start(t)
	door := serve(t, "/", "gateway", "run", "--brokers", brokers, "--registry", url)
	t.Chdir(t.TempDir())
	run := func(want int, line string, texts ...string) {
		t.Helper()
		out, code := execute(t.Context(), append(strings.Fields(line), "--registry", url)...)
		for _, text := range append(texts, "") {
			if code != want || !strings.Contains(out, text) {
				t.Errorf("%s: exit code %d, want %d with %q: %s", line, code, want, text, out)
			}
		}
	}
	publish := func(status int, wants ...string) {
		t.Helper()
		said, code := "", 0
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
			res, err := http.Post(door+"/topics/order.placed.v1/events", "application/json", strings.NewReader(`{"event_id":"1","order_id":"a","at":1}`))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			said, code = string(body), res.StatusCode
			if code == status && !slices.ContainsFunc(wants, func(w string) bool { return !strings.Contains(said, w) }) {
				return
			}
		}
		t.Errorf("answered %d, want %d with %q: %s", code, status, wants, said)
	}
	at := " order.placed.v1.yaml --brokers " + brokers
	if out, code := execute(t.Context(), "event", "new", "order.placed.v1", "--owner", "x"); code != 0 {
		t.Fatal(out)
	}
	yaml, err := os.ReadFile("order.placed.v1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, "order.placed.v1.yaml", string(yaml)+"key-schema: {schema: key.avsc, compatibility: full}\n")
	run(1, "event plan"+at, "key.avsc: no such file")
	write(t, "key.avsc", `{"type":"record","name":"Key","fields":[{"name":"id","type":"string"}]}`)
	run(1, "event apply"+at, "key is order_id, a field with a text or a number, and key.avsc wants another form of keys", "nothing was done")
	write(t, "key.avsc", `"strin"`)
	run(1, "event plan"+at, "schema key.avsc: it is no schema")
	write(t, "key.avsc", `"string"`)
	run(0, "event plan"+at, "+ level: FULL of order.placed.v1-key", "+ schema: key.avsc as version 1 of order.placed.v1-key", "+ level: BACKWARD of order.placed.v1-value")
	run(0, "event apply"+at, "+ schema: key.avsc as version 1 of order.placed.v1-key")
	run(0, "event plan --exit-code"+at, "nothing is missing", "  schema: key.avsc is version 1 of order.placed.v1-key")
	publish(200, `"offset":0`)

	logs, err := oracle.ReadTopic(t.Context(), strings.Split(brokers, ","), "order.placed.v1")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{}
	for _, l := range logs {
		for _, r := range l.Records {
			keys = append(keys, string(r.Key))
		}
	}
	if len(keys) != 1 || len(keys[0]) != 7 || keys[0][0] != 0 || keys[0][5:] != "\x02a" { // magic 0, an id, and an Avro string
		t.Errorf("keys %q", keys)
	}

	write(t, "key.avsc", `"long"`)
	run(1, "event apply"+at, "TYPE_MISMATCH", "nothing was done")
	write(t, "key.avsc", `"string"`)
	write(t, "order.placed.v1.yaml", string(yaml))
	run(0, "event plan"+at, "~ declaration: key schema false, is true: keys become other bytes")
	run(0, "schema delete order.placed.v1-key --execute")
	run(0, "schema delete order.placed.v1-key --permanent --execute")
	publish(503, "order.placed.v1-key", "register the schema under the subject again")
	other := serve(t, "/", "gateway", "run", "--brokers", brokers, "--registry", url) // it has never seen the schema
	door = other
	publish(503, "topic order.placed.v1 is declared with a schema, and subject order.placed.v1-key has none")
}

// What the file does not say of a topic that is there stays as it is.
//
// Mutation seen to fail it: planTopic with the settings that a new topic gets.
func TestATopicKeepsWhatTheFileDoesNotSay(t *testing.T) {
	brokers, registry := start(t)
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: strings.Split(brokers, ",")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	const topic = "order.placed.v1"
	if err := wire.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: 6, ReplicationFactor: -1, Config: map[string]string{"cleanup.policy": "compact"}}}); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, args := range []string{"new order.placed.v1 --owner x", "apply order.placed.v1.yaml --registry " + registry + " --brokers " + brokers} {
		if out, code := execute(t.Context(), append([]string{"event"}, strings.Fields(args)...)...); code != 0 || strings.Contains(out, "cleanup.policy") {
			t.Errorf("%s: exit code %d: %s", args, code, out)
		}
	}
	infos, err := wire.Topics(t.Context(), []string{topic})
	if c := infos[topic].Config; err != nil || c["cleanup.policy"] != "compact" || c["retention.ms"] != "604800000" {
		t.Errorf("%v, %v", c, err)
	}
}

// A file that is wrong is refused before anything is connected to, with everything that is wrong.
func TestAFileThatIsWrongIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for text, want := range map[string]string{
		"event: Order":                        "name it entity.event_type.vN",
		"event: a.b.v1\nown: x":               `line 2: the file has no field "own", but event, owner, key`,
		"event: a.b.v1\nownr: x":              `line 2: the file has no field "ownr": did you mean "owner"?`,
		"topic: {partitions: six}":            "line 1: partitions is a whole number",
		"event: a.b.v1":                       "owner is missing",
		"event: a.b.v1\nowner: x":             "topic.partitions is 0",
		"key: a\nkeyless: true":               "or keyless: true",
		"compatibility: SOME":                 "compatibility:",
		"references: [{name: a, subject: b}]": "references[0]: give name, subject and version",
		"key-schema: {type: avro}":            "key-schema.schema is missing",
		"key-schema: {schema: a, compatibility: SOME, references: [{name: a}]}": "key-schema.references[0]: give name, subject and version of what the schema refers to\nkey-schema.compatibility:",
		"key-schema: {shema: a}":    `line 1: key-schema has no field "shema": did you mean "schema"?`,
		"topic: {settings: {a: b}}": "a is none of cleanup.policy",
		"topic: {settings: {retention.ms: abc, cleanup.policy: compacted, min.insync.replicas: 0, message.timestamp.type: now, max.message.bytes: -1}}": "topic.settings: cleanup.policy is \"compacted\": want one of delete; compact; compact,delete; delete,compact\n",
		"topic: {settings: {max.message.bytes: -1}}": "max.message.bytes is \"-1\": want a number of bytes",
		"topic: {settings: {retention.ms: abc}}":     "retention.ms is \"abc\": want milliseconds, or -1 for ever",
		"event: a.b.v1\nidempotency: twice":          "idempotency is",
		"schema: ../a.avsc":                          "schema is \"../a.avsc\": the file must be in the folder of this one, or below",
		"schema: /a.avsc":                            "schema is \"/a.avsc\": the file must be in",
		"clients: [{name: a}, {name: b}, {name: a}]": "clients: \"a\" is there twice",
		"event: a.b.v1\nclients: [{name: ''}]":       "a client has no name",
		"- a":                                        "line 1: the file has the fields event, owner",
	} {
		if err := os.WriteFile("f.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := execute(t.Context(), "event", "plan", "f.yaml", "--brokers", "127.0.0.1:1", "--registry", "http://127.0.0.1:1")
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("%q: exit code %d, without %q: %s", text, code, want, out)
		}
	}
}

// What cannot be declared leaves no file, and an owner is what was given, whatever it looks like.
//
// Mutations, each seen to fail it: an owner without quotes; New that leaves the first file behind.
func TestNewWritesBothFilesOrNone(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ args, says string }{
		{"order.placed.v1", "give --owner TEAM"},
		{"Order --owner x", `"Order" is no name of an event`},
	} {
		if out, code := execute(t.Context(), append([]string{"event", "new"}, strings.Fields(c.args)...)...); code != 2 || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d: %s", c.args, code, out)
		}
	}
	if err := os.WriteFile("order.placed.v1.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := execute(t.Context(), "event", "new", "order.placed.v1", "--owner", "x"); code != 1 || !strings.Contains(out, "exists") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	const owner = "orders: the team #1"
	if out, code := execute(t.Context(), "event", "new", "order.paid.v1", "--owner", owner); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := execute(t.Context(), "event", "new", "order.paid.v1", "--owner", owner, "--dir", "events/orders"); code != 0 || !strings.Contains(out, "events/orders/order.paid.v1.yaml") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if f, err := event.Read("order.paid.v1.yaml"); err != nil || f.Owner != owner {
		t.Errorf("%+v, %v", f, err)
	}
}

// The schema of an event may refer to registered ones, which the file names: they are part of the sample, and applied again it changes nothing.
//
// Mutations seen to fail it: schema without References; madeUp without what is referred to.
func TestAnEventWhoseSchemaRefersToOthers(t *testing.T) {
	brokers, url := start(t)
	t.Chdir(t.TempDir())
	registered := func(subject, body string) {
		t.Helper()
		res, err := http.Post(url+"/subjects/"+subject+"/versions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		if _ = res.Body.Close(); res.StatusCode != 200 {
			t.Fatalf("%s", answer)
		}
	}
	registered("money", `{"schema":"{\"type\":\"record\",\"name\":\"Money\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"amount\",\"type\":\"long\"}]}"}`)
	registered("amount", `{"schemaType":"JSON","schema":"{\"type\":\"integer\"}"}`)
	write(t, "a.avsc", `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"order_id","type":"string"},{"name":"price","type":"Money"}]}`)
	write(t, "b.json", `{"type":"object","required":["order_id","amount"],"properties":{"order_id":{"type":"string"},"amount":{"$ref":"amount.json"}}}`)
	const of = "event: order.%s.v1\nowner: x\nkey: order_id\ntopic: {partitions: 1}\nschema: %s\n"
	for _, c := range []struct{ event, file, references, sample string }{
		{"placed", "a.avsc", "references: [{name: shop.Money, subject: money, version: 1}]", `"price":{"amount":1}`},
		{"paid", "b.json", "references: [{name: amount.json, subject: amount, version: 1}]", `"amount":1`},
	} {
		verb := func(want int, name, text string) {
			t.Helper()
			out, code := execute(t.Context(), "event", name, "f.yaml", "--brokers", brokers, "--registry", url)
			if code != want || !strings.Contains(out, text) {
				t.Errorf("%s: exit code %d, without %q: %s", name, code, text, out)
			}
		}
		write(t, "f.yaml", fmt.Sprintf(of, c.event, c.file))
		verb(1, "plan", "references in the file of an event")
		write(t, "f.yaml", fmt.Sprintf(of, c.event, c.file)+strings.Replace(c.references, "version: 1", "version: 7", 1))
		verb(1, "plan", "Version 7 not found")
		write(t, "f.yaml", fmt.Sprintf(of, c.event, c.file)+c.references)
		verb(0, "apply", c.sample)
		verb(0, "plan", "nothing is missing")
	}
}

// A Protobuf schema with rules of protovalidate refers to their file, which is registered in a subject of its path: this program has it built in, and
// other clients ask the registry for it. One that was registered without the reference gets a version with it, and then nothing is missing.
//
// Mutations seen to fail it: PlanAt without Needs; Referred that registers nothing; a plan that takes what is registered without the reference for known; schemas that
// import no rules given the reference too.
func TestRulesOfASchemaAreReferredTo(t *testing.T) {
	brokers, url := start(t)
	t.Chdir(t.TempDir())
	run := func(want int, line, text string) {
		t.Helper()
		out, code := execute(t.Context(), append(strings.Fields(line), "--registry", url)...)
		if code != want || !strings.Contains(out, text) {
			t.Errorf("%s: exit code %d, without %q: %s", line, code, text, out)
		}
	}
	const order = "syntax = \"proto3\";\npackage shop;\n%smessage Order {\n  string order_id = 1%s;\n}\n"
	ruled := fmt.Sprintf(order, "import \"buf/validate/validate.proto\";\n", " [(buf.validate.field).string.min_len = 1]")
	write(t, "ruled.proto", ruled)
	write(t, "plain.proto", fmt.Sprintf(order, "", ""))
	write(t, "f.yaml", "event: order.placed.v1\nowner: x\nkey: order_id\ntopic: {partitions: 1}\nschema: ruled.proto\n")
	const rules = "buf/validate/validate.proto is version 1 of buf/validate/validate.proto"
	run(0, "schema register plain plain.proto --execute", "version 1")
	run(1, "schema show buf/validate/validate.proto", "not found")
	res, err := http.Post(url+"/subjects/order.placed.v1-value/versions", "application/json", strings.NewReader(fmt.Sprintf(`{"schemaType":"PROTOBUF","schema":%q}`, ruled)))
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	_ = res.Body.Close()
	run(0, "event plan f.yaml --brokers "+brokers, "+ schema: buf/validate/validate.proto, which ruled.proto imports, in a subject of that name\n~ schema: ruled.proto as version 2")
	run(0, "schema register order.placed.v1-value ruled.proto", "with it buf/validate/validate.proto, which it imports")
	run(1, "schema show buf/validate/validate.proto", "not found") // a plan changes nothing
	run(0, "event apply f.yaml --brokers "+brokers, "ruled.proto as version 2")
	run(0, "event plan f.yaml --brokers "+brokers, "nothing is missing")
	run(0, "schema show order.placed.v1-value", rules)
	run(0, "schema register other ruled.proto --execute", "version 1")
	run(0, "schema show other", rules)
	run(0, "schema register other ruled.proto --execute", "it is registered already")
	run(0, "schema register plain plain.proto --execute", "it is registered already")
}
