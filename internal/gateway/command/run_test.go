package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// block is the first block of a language in the page that has a text.
func block(t *testing.T, language, with string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(page, -1) {
		if strings.Contains(string(found[1]), with) {
			return string(found[1])
		}
	}
	t.Fatalf("docs/gateway.md has no block %s with %s", language, with)
	return ""
}

// start runs a command line of weir, and returns what ends it and gives its error.
func start(t *testing.T, line string) func() error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := Gateway()
	cmd.SetArgs(strings.Fields(line)[2:]) // after weir gateway
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		return <-done
	}
}

// The page's line starts a gateway, its metrics are those of the page, and it ends without an error within the time that is said.
func TestThePagesLineStartsAGateway(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	address, probes := kafkatest.FreeAddress(t), kafkatest.FreeAddress(t)
	line := strings.NewReplacer("127.0.0.1:8080", address, "localhost:9092", broker.Addrs()[0]).Replace(block(t, "sh", "weir gateway run"))
	end := start(t, line+" --probes-http "+probes)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(url string) (int, string) {
		res, err := client.Get(url)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(data)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if code, _ := get("http://" + address + "/openapi.json"); code == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not answer")
		}
	}
	if code, body := get("http://" + probes + "/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, _ := get("http://" + address + "/topics/order.placed.v1/events"); code != 405 {
		t.Errorf("GET of a resource that takes POST: %d", code)
	}
	page, err := os.ReadFile("../../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	_, metrics := get("http://" + probes + "/metrics")
	for _, name := range []string{"weir_gateway_requests_total", "weir_gateway_request_duration_seconds", "weir_gateway_waiting_bytes", "weir_gateway_requests_under_way", "weir_gateway_requests_open", "weir_gateway_requests_allowed", "weir_gateway_ids", "weir_healthy"} {
		if !strings.Contains(metrics, "# HELP "+name) || !bytes.Contains(page, []byte(name)) {
			t.Errorf("metric %s is not served, or not described", name)
		}
	}
	began := time.Now()
	if err := end(); err != nil || time.Since(began) > 45*time.Second { // 5 s, where the machine is not busy
		t.Errorf("it ended with %v after %v", err, time.Since(began))
	}
}

// What the page shows of files and records is taken as it stands, and a door that others can reach needs clients.
func TestThePagesFilesAreTaken(t *testing.T) {
	if _, err := gateway.ParseClients([]byte(block(t, "yaml", "clients:"))); err != nil {
		t.Error(err)
	}
	var event declared.Event
	d := json.NewDecoder(strings.NewReader(block(t, "json", `"version"`)))
	d.DisallowUnknownFields()
	if err := d.Decode(&event); err != nil || event.Check() != nil {
		t.Errorf("%v %v", err, event.Check())
	}
	err := start(t, "weir gateway run --http 0.0.0.0:0 --brokers 127.0.0.1:1")()
	if err == nil || !strings.Contains(err.Error(), "--clients") {
		t.Errorf("without clients, for everybody: %v", err)
	}
	var out bytes.Buffer
	cmd := Gateway()
	cmd.SetArgs([]string{"key", "--json"})
	cmd.SetOut(&out)
	var key struct{ Key, Hash string }
	if err := cmd.Execute(); err != nil || json.Unmarshal(out.Bytes(), &key) != nil || key.Hash != gateway.HashKey(key.Key) {
		t.Errorf("%v %s", err, out.String())
	}
}

// The help says what an address is for in this command, not what the setting does where topologies run.
//
// Mutation seen to fail it: run without Reword.
func TestTheHelpIsTheGateways(t *testing.T) {
	var out bytes.Buffer
	cmd := Gateway()
	cmd.SetArgs([]string{"run", "--help"})
	cmd.SetOut(&out)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	_, help, _ := strings.Cut(out.String(), "--http HOST:PORT\n")
	help, _, _ = strings.Cut(help, "\n  --")
	help = strings.Join(strings.Fields(help), " ")
	if !strings.HasPrefix(help, "take events at this address;") || !strings.HasSuffix(help, "(default 127.0.0.1:8080)") {
		t.Errorf("--http: %q", help)
	}
}

// Bounds that let nobody in, or more than can be answered one by one, are wrong before anything is opened.
//
// Mutation seen to fail it: no most for --max-events.
func TestBoundsAreChecked(t *testing.T) {
	good := gateway.Limits{Requests: 1, Open: 1, Body: 1, Event: 1, Events: publish.Most, Waiting: 1, IDs: 1}
	if err := (&runOptions{limits: good}).bounds(); err != nil {
		t.Error(err)
	}
	for flag, change := range map[string]func(*gateway.Limits){
		"--max-events 1048577": func(l *gateway.Limits) { l.Events = publish.Most + 1 }, "--max-events 0": func(l *gateway.Limits) { l.Events = 0 }, "--max-open 0": func(l *gateway.Limits) { l.Open = 0 }, "--max-ids 0": func(l *gateway.Limits) { l.IDs = 0 },
	} {
		wrong := good
		change(&wrong)
		if err := (&runOptions{limits: wrong}).bounds(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
