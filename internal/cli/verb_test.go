package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/examples/totals/orders"
)

// TestWhatIsWrongHereIsSaidBeforeTheClusterIsAsked: folders, files and topologies are looked at first, and all that is wrong is said at once. Nobody listens at
// the address.
//
// Mutations, each seen to fail it: check left out; isSnapshot and isNew that refuse nothing; toMake that does not look at the folder; processes that is false.
func TestWhatIsWrongHereIsSaidBeforeTheClusterIsAsked(t *testing.T) {
	t.Chdir(t.TempDir())
	for path, text := range map[string]string{
		"other/manifest.json": `{"version": 1, "topology": "visit-counts"}`,
		"shadow.yaml":         "replay: a\nfrom: { topic: order.placed.v1 }\ninto: shadow\ntopology: visit-counts\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"state snapshot --folder other":                                       "other is there already",
		"state snapshot --folder none/snap":                                   "stat none: no such file or directory",
		"state capture --folder none":                                         "none is no snapshot",
		"state capture --folder other --limit 0":                              "--limit: 0 is not allowed",
		"state restore --why x --folder other":                                "other is a snapshot of topology visit-counts, not of customer-totals",
		"state restore --folder none":                                         "none is no snapshot",
		"dlq export --topic x --file none/letters":                            "stat none: no such file or directory",
		"dlq export --topic x --folder other/manifest.json/letters":           "not a directory",
		"dlq try --topic x --all --topology visit-counts":                     `no topology "visit-counts"`,
		"dlq parked list --topology visit-counts":                             `no topology "visit-counts"`,
		"replay plan none.yaml":                                               "open none.yaml: no such file or directory",
		"replay plan shadow.yaml":                                             `no topology "visit-counts": there is customer-totals: run the program that contains it`,
		"replay run shadow.yaml":                                              `no topology "visit-counts"`,
		"offsets show --topology visit-counts":                                `no topology "visit-counts"`,
		"offsets reset --to x --topic other":                                  `"other" is no input of the topology`,
		"topology pause customer-totals --execute":                            "why? give the reason with --reason TEXT",
		"dlq redrive --topic x":                                               "which letters? give --fingerprint",
		"dlq redrive --topic x --all --rate -1 --to x --offset 1 --limit -1 ": "--rate: -1 is not allowed",
	} {
		for _, brokers := range []string{"--brokers=127.0.0.1:1", "--brokers="} {
			out, code := execute(append(strings.Fields(line), brokers), orders.Totals)
			if code != exitUsage || !strings.Contains(out, want) || strings.Contains(out, "connect") {
				t.Errorf("%s: exit %d: %s", line, code, out)
			}
			if missing := strings.Contains(out, "no brokers: give"); missing != (brokers == "--brokers=") {
				t.Errorf("%s %s: %s", line, brokers, out)
			}
		}
	}
}

// An interruption is said in words of what was being done.
//
// Mutation seen to fail it: lines that are not cut where the context speaks.
func TestAnInterruptionSaysWhatWasBeingDone(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "interrupted"},
		{fmt.Errorf("read a/0: %w", context.Canceled), "interrupted: read a/0"},
		{fmt.Errorf("take over: initialise producer: %w; last: kafka server: x", context.Canceled), "interrupted: take over: initialise producer"},
		{errors.Join(fmt.Errorf("2 of 3 letters are done: %w", context.Canceled), context.Canceled), "interrupted: 2 of 3 letters are done"},
	} {
		if got := (&interruptedError{c.err}).Error(); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
