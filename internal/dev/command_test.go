package dev

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what the command has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Its --http is the gateway's address, and no server of probes.
//
// Mutation seen to fail it: the help of every other command's --http.
func TestHelpSaysWhatIsAtTheAddress(t *testing.T) {
	cmd, out := Command(), &output{}
	cmd.SetArgs([]string{"--help"})
	cmd.SetOut(out)
	if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "take events at this address") || strings.Contains(out.String(), "/livez") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// Each of the three addresses that is taken leads to an error that names the flag.
//
// Mutation seen to fail it: a broker's error as it is.
func TestAPortThatIsTakenNamesTheFlag(t *testing.T) {
	for i := range 3 {
		var doors [3]string
		for n := range doors {
			doors[n] = "127.0.0.1:0"
		}
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		doors[i] = taken.Addr().String()
		err = run(t.Context(), doors, t.TempDir(), zap.NewNop(), io.Discard)
		if err == nil || !strings.Contains(err.Error(), "--http") || !strings.Contains(err.Error(), doors[i]) {
			t.Errorf("door %d: %v", i, err)
		}
		_ = taken.Close()
	}
}

// The lines that are printed work as they stand: an event is checked by its Avro schema and is written, also after a second start on the
// same data.
func TestThePrintedLinesWork(t *testing.T) {
	dir := t.TempDir()
	for _, offset := range []string{`"offset":0`, `"offset":4`} { // the page sends three too
		ctx, cancel := context.WithCancel(t.Context())
		cmd, out := Command(), &output{}
		cmd.SetArgs([]string{"--http", "127.0.0.1:0", "--data-dir", dir})
		cmd.SetOut(out)
		cmd.SetErr(io.Discard)
		done := make(chan error, 1)
		go func() { done <- cmd.ExecuteContext(ctx) }()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(out.String(), "kcat"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it has printed %s", out.String())
			}
		}
		var curls []string
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
				curls = append(curls, line)
			}
		}
		if len(curls) != 2 {
			t.Fatalf("it has printed %s", out.String())
		}
		for i, want := range []string{`"status":200,"partition":`, `["order.placed.v1-value"]`} {
			answer, err := exec.Command("sh", "-c", strings.Replace(curls[i], "curl ", "curl -sS ", 1)).Output()
			if err != nil || !strings.Contains(string(answer), want) || i == 0 && !(strings.Contains(string(answer), offset) && strings.Contains(string(answer), `"schema_id":1`)) {
				t.Errorf("%s: %v %s, want %s", curls[i], err, answer, want)
			}
		}
		// The page says the same of a gateway at its usual port.
		page, err := os.ReadFile("../../docs/gateway.md")
		if err != nil {
			t.Fatal(err)
		}
		address := strings.Fields(out.String())[1]
		wants := []string{`"schema_id":1}`, `"path":"/amount_cents"`, `"value_schema_id":1,"offsets":[{"partition":3,`, `{"result":{"status":200,`}
		for line := range strings.Lines(string(page)) {
			if !strings.HasPrefix(line, "curl ") {
				continue
			}
			if len(wants) == 0 {
				t.Fatalf("the page has a line of which nobody says what it answers: %s", line)
			}
			line = strings.Replace(strings.TrimSpace(line), "http://127.0.0.1:8080", address, 1)
			answer, err := exec.Command("sh", "-c", strings.Replace(line, "curl ", "curl -sS ", 1)).Output()
			if err != nil || !strings.Contains(string(answer), wants[0]) {
				t.Errorf("%s: %v %s, want %s", line, err, answer, wants[0])
			}
			wants = wants[1:]
		}
		bad := strings.Replace(curls[0], "1250", `"much"`, 1)
		if answer, err := exec.Command("sh", "-c", strings.Replace(bad, "curl ", "curl -sS ", 1)).Output(); err != nil || !strings.Contains(string(answer), `"path":"/amount_cents"`) {
			t.Errorf("%s: %v %s", bad, err, answer)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
