//go:build integration && unix

package identity

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// An input that is deleted and recreated has other records at the offsets that were committed. What is read of it is
// auto.offset.reset's to decide, and the log says so; no record is left out without a word, whether the new topic is shorter
// than the old one, longer, or filled at once.
//
// Mutations: offsets.Judge without the cases of Recreated; fetch with a topic id of "" (fault rule check-topic-ids).
func TestARecreatedInputIsReadAsThePolicySays(t *testing.T) {
	const before = 400
	for _, policy := range []string{"earliest", "latest", "none"} {
		for _, running := range []bool{true, false} {
			for _, n := range []int{400, 5000} {
				state := map[bool]string{true: "running", false: "stopped"}[running]
				t.Run(fmt.Sprint(policy, " ", state, " ", n), func(t *testing.T) {
					t.Parallel()
					p := newPlace(t)
					p.begun(before)
					flags := []string{"--auto.offset.reset", policy}
					l := p.last
					if running {
						l = p.start(flags...)
						p.send(10)
						p.done()
					}
					old := p.sent
					p.deleteTopic(p.in())
					p.create(p.in(), nil)
					p.send(n)
					if !running {
						l = p.start(flags...)
					}
					if policy == "none" {
						l.refused("auto.offset.reset is none", p.in())
						p.counts(old)
						p.start("--auto.offset.reset", "earliest")
						p.done()
						p.last.stop()
						p.counts(old + n)
						return
					}
					const loud = "an input topic was deleted and created again"
					l.logs(loud)
					p.done()
					skipped := 0
					if policy == "latest" {
						skipped = froms(t, l.said(), loud)
						if !running && skipped != n {
							t.Errorf("latest begins after %d records, there are %d", skipped, n)
						}
					}
					p.send(20)
					p.done()
					l.stop()
					p.counts(old + n - skipped + 20)
				})
			}
		}
	}
}

// froms sums the offsets at which the log says that reading begins, one line a partition.
func froms(t *testing.T, said, words string) (sum int) {
	t.Helper()
	for line := range strings.Lines(said) {
		var l struct {
			Msg  string `json:"msg"`
			From int    `json:"from"`
		}
		if strings.Contains(line, words) {
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v: %.300s", err, line)
			}
			sum += l.From
		}
	}
	return sum
}
