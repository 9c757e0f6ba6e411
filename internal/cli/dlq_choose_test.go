package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/system"
)

// What is chosen is combined, for looking and for acting alike, and what was done stays done whatever it was chosen by.
//
// Mutations, each seen to fail it: limit that counts in each partition; a job of version 1 with a header; list without its selection; since that is
// not made a time before the job is kept.
func TestLettersAreChosenByAllThatIsGiven(t *testing.T) {
	d := newLetters(t)
	binary := letter(0, 20, "no customer")
	binary.Key = []byte{0xff, 0}
	d.must(d.client.ProduceSync(t.Context(), binary).FirstErr())
	count := func(args ...string) (n int) {
		t.Helper()
		var groups []struct{ Count int }
		d.data(d.dlq(0, append([]string{"list", "--topic", lettersOf, "--json"}, args...)...), &groups)
		for _, g := range groups {
			n += g.Count
		}
		return n
	}
	for args, want := range map[string]int{
		"":                                      15,
		"--fingerprint " + amounts:              10,
		"--key k3":                              2,
		"--key-base64 /wA=":                     1,
		"--key k3 --partition 1":                1,
		"--header trace":                        15,
		"--header trace=y":                      0,
		"--header trace=x --key k3":             2,
		"--header weir.errors.redrives":         1,
		"--header weir.errors.offset=3":         0,
		"--header __streams.errors.offset=3":    2,
		"--partition 0 --offset 1-3":            3,
		"--partition 0 --offset 6-":             2,
		"--partition 0 --offset -1":             2,
		"--partition 0 --offset 4":              1,
		"--since 2023-11-14T22:13:20.010Z":      5,
		"--until 2023-11-14T22:13:20.010Z":      10,
		"--since 2023-11-14T22:13:20Z --key k1": 2,
		"--since 1h":                            0,
		"--limit 1":                             10,
	} {
		if got := count(strings.Fields(args)...); got != want {
			t.Errorf("%s: %d letters, want %d", args, got, want)
		}
	}
	var r struct{ Selected, Done, Open int }
	move := func(args ...string) string {
		t.Helper()
		d.data(d.dlq(0, append(args, "--topic", lettersOf, "--json")...), &r)
		return fmt.Sprint(r)
	}
	for i, c := range []struct{ args, want string }{
		{"discard --header trace=x --partition 0 --offset 5-6", "{2 0 15}"},
		{"discard --header trace=x --partition 0 --offset 5-6 --execute", "{2 2 13}"},
		{"discard --key-base64 /wA= --execute", "{1 1 12}"},
		{"redrive --since 2023-11-14T22:13:20Z --until 2023-11-14T22:13:20.005Z --limit 7", "{7 0 12}"},
		{"redrive --since 2023-11-14T22:13:20Z --until 2023-11-14T22:13:20.005Z --limit 7 --execute", "{7 7 5}"},
		{"redrive --since 2023-11-14T22:13:20Z --until 2023-11-14T22:13:20.005Z --limit 7 --execute", "{3 3 2}"},
		{"discard --since 876000h --execute", "{2 2 0}"},
	} {
		if got := move(strings.Fields(c.args)...); got != c.want {
			t.Errorf("%d, %s: %s, want %s", i, c.args, got, c.want)
		}
	}
	if n := d.records("customer-totals-order.placed.v1-redrive"); n < 10 || count() != 0 {
		t.Errorf("%d records were redriven, %d letters are open", n, count())
	}
	d.jobVersions(map[int]bool{2: true})
}

// jobVersions looks at the versions of the jobs.
func (d *desk) jobVersions(want map[int]bool) {
	d.t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.DisableFetchSessions(), kgo.ConsumeTopics(system.Jobs.Name), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	d.must(err)
	defer reader.Close()
	got := map[int]bool{}
	reader.PollFetches(d.t.Context()).EachRecord(func(r *kgo.Record) {
		var j struct{ Version int }
		d.must(json.Unmarshal(r.Value, &j))
		got[j.Version] = true
	})
	if fmt.Sprint(got) != fmt.Sprint(want) {
		d.t.Errorf("jobs of versions %v, want %v", got, want)
	}
}

// A choice that cannot be meant is refused before anything is connected to, with all that is wrong with it.
//
// Mutations, each seen to fail it: each of the refusals left out.
func TestWrongChoicesOfLettersAreRefused(t *testing.T) {
	for args, says := range map[string]string{
		"--partition 0 --offset 5-3":                 "no offsets from 5 to 3",
		"--partition 0 --offset 5-x":                 `"5-x" is no offset`,
		"--partition 0 --offset -":                   `"-" is no offset`,
		"--offset 5-7":                               "--offset is given without --partition",
		"--since yesterday":                          `"yesterday" is no time`,
		"--since 1h --until 2h":                      "no letter has failed since",
		"--header =x":                                "has no name",
		"--header \xff":                              "this is no UTF-8",
		"--key \xff":                                 "choose keys that are no text with --key-base64",
		"--key-base64 ?":                             "illegal base64",
		"--key a --key-base64 /w==":                  "a letter has one key",
		"--all --since 1h":                           "--all is given together with something",
		"--all --limit -1":                           "--limit: -1 is not allowed",
		"--key \xff --header =x --since x --until x": "has no name",
	} {
		out, code := execute(append([]string{"dlq", "discard", "--topic", "x", "--brokers", "127.0.0.1:1"}, strings.Fields(args)...), sound)
		if code != exitUsage || !strings.Contains(out, says) {
			t.Errorf("%q: exit %d, want %q: %s", args, code, says, out)
		}
	}
}
