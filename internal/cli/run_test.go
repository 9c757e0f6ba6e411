package cli

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/embedded"
)

// What run refuses, --print-config refuses too, after it has printed.
//
// Mutations seen to fail it: print-config before the checks; each check of prepare that can fail left out.
func TestWhatRunRefusesPrintConfigRefusesToo(t *testing.T) {
	for _, line := range []string{
		"run --topology other --brokers a:1",
		"run --topology click-log --brokers a:1 --heartbeat.interval.ms 11000",
		"run --topology click-log --brokers a:1 --security.protocol SASL_SSL",
		"run --topology click-log --brokers a:1 --sasl.mechanism PLAIN",
		"run --topology click-log --brokers a:1 --ssl.ca.location none.pem --security.protocol SSL",
		"run --topology click-log --brokers a:1 --commit-interval 1h --transaction.timeout.ms 10s",
		"run --topology click-log --brokers a:1 --instance-id a --group.instance.id b",
		"run --topology click-log --brokers a:1 --http 127.0.0.1:0 --http-token-file none.txt",
	} {
		refusal, code := execute(strings.Fields(line), sound, small)
		if code != exitUsage || refusal == "" {
			t.Errorf("%s: exit %d, %s", line, code, refusal)
		}
		for _, form := range []string{" --print-config", " --print-config --json"} {
			out, code := execute(strings.Fields(line+form), sound, small)
			printed, ok := strings.CutSuffix(out, refusal)
			if code != exitUsage || !ok || !strings.Contains(printed, "commit-interval") {
				t.Errorf("%s: exit %d, want what run says, %s: %s", line+form, code, refusal, out)
			}
		}
	}
	// What must be given is no mistake of who asks what there is.
	for _, line := range []string{"run", "run --brokers a:1", "run --topology click-log", "run --topology click-log --brokers a:1"} {
		if out, code := execute(strings.Fields(line+" --print-config"), sound, small); code != 0 {
			t.Errorf("%s: exit %d: %s", line, code, out)
		}
	}
}

// Why a start was refused is the first thing that is said of its end.
//
// Mutation seen to fail it: the counts logged whatever the error.
func TestARefusedStartSaysItsReasonFirst(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	out, code := execute([]string{"run", "--brokers", broker.Addrs()[0], "--state-dir", t.TempDir()}, sound)
	if code != exitRefused || strings.Contains(out, "stopped") || !strings.HasPrefix(out, "shop: 2 problems:\n") {
		t.Errorf("exit %d: %s", code, out)
	}
}
