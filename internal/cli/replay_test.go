package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/system"
)

// shop is a cluster on which the reference job has done some orders and is stopped: 60 of 10 customers, of which 3 failed.
type shop struct {
	*desk
	n int
}

const placed, totalled, shopLetters = "order.placed.v1", "customer.total.v1", "order.placed.v1.dlq"

func newShop(t *testing.T) *shop {
	t.Helper()
	t.Chdir(t.TempDir())
	d, _ := emptyDesk(t)
	s := &shop{desk: d}
	_, err := s.admin.CreateTopics(t.Context(), 2, 1, nil, placed)
	s.must(err)
	s.order(60)
	s.live()
	return s
}

// order places n more orders. The last one of each of three customers is bad.
func (s *shop) order(n int) {
	s.t.Helper()
	var records []*kgo.Record
	for i := s.n; i < s.n+n; i++ {
		amount := 100 + i
		if i%20 == 19 {
			amount = -1
		}
		value := fmt.Sprintf(`{"event_id":"e%d","seq":%d,"customer":"customer-%d","amount_cents":%d}`, i, i+1, i%10, amount)
		records = append(records, &kgo.Record{Topic: placed, Key: fmt.Appendf(nil, "customer-%d", i%10), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "region", Value: []byte([]string{"eu", "us"}[i%2])}}})
	}
	s.n += n
	s.must(s.client.ProduceSync(s.t.Context(), records...).FirstErr())
}

// live has an instance do all that there is, and stops it.
func (s *shop) live() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	root := New("totals", orders.Totals)
	root.SetOut(os.Stderr)
	root.SetErr(os.Stderr)
	done := make(chan error, 1)
	go func() {
		done <- Execute(ctx, root, []string{"run", "--brokers", s.addr, "--create-topics", "--state-dir", "state", "--commit-interval", "20ms", "--log-level", "error"})
	}()
	for {
		lags, err := s.admin.Lag(ctx, "customer-totals")
		left := int64(-1)
		if l, ok := lags["customer-totals"]; err == nil && ok && l.Error() == nil {
			left = 0
			for _, p := range l.Lag[placed] {
				left += p.Lag
				if p.Commit.At < 0 && p.End.Offset > 0 {
					left++
				}
			}
			if len(l.Lag[placed]) < 2 {
				left = -1
			}
		}
		if left == 0 {
			break
		}
		select {
		case err := <-done:
			s.t.Fatal("the instance has ended: ", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	s.must(<-done)
}

// totals runs a command line of the program.
func (s *shop) totals(want int, args ...string) string {
	s.t.Helper()
	out, code := execute(append(args, "--brokers", s.addr), orders.Totals)
	if code != want {
		s.t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
	}
	return out
}

func (s *shop) file(name, content string) string {
	s.t.Helper()
	s.must(os.WriteFile(name, []byte(content), 0o600))
	return name
}

type shopReceipt struct {
	Run                                                   string
	State                                                 string
	Read, Filtered, Replayed, Deduplicated, Done, Offsets int64
	DeadLettered                                          int64 `json:"dead_lettered"`
	NewEffects                                            int64 `json:"new_effects"`
	Unchanged                                             *bool `json:"downstream_unchanged"`
	Downstream                                            []struct {
		Changed []struct{ Topic, Key string }
		Keys    int `json:"changed_keys"`
	}
	Differences []struct {
		Key, Production, Shadow string
		Causes                  []string
	}
	Notes []string
}

func (s *shop) receipt(out string) (r shopReceipt) {
	s.t.Helper()
	s.data(out, &r)
	return r
}

func (s *shop) run(file string, args ...string) shopReceipt {
	s.t.Helper()
	return s.receipt(s.totals(0, append([]string{"replay", "run", file, "--state-dir", "state", "--log-level", "error", "--json"}, args...)...))
}

var (
	fenced   = regexp.MustCompile("(?ms)^ *```(yaml|sh)\n(.*?)^ *```$")
	jobNamed = regexp.MustCompile(`(?m)^ *replay: (\S+)`)
)

// follow runs the commands of a page, in order. Files of replays are those that the page shows.
func (s *shop) follow(page string, change *strings.Replacer) (ran int) {
	s.t.Helper()
	_, self, _ := strings.Cut(page, "docs/")
	text, err := os.ReadFile(page)
	s.must(err)
	blocks := fenced.FindAllStringSubmatch(string(text), -1)
	for _, b := range blocks {
		if name := jobNamed.FindStringSubmatch(b[2]); b[1] == "yaml" && name != nil {
			indent := regexp.MustCompile(`(?m)^ *`).FindString(b[2])
			s.file(name[1]+".yaml", strings.ReplaceAll("\n"+b[2], "\n"+indent, "\n"))
		}
	}
	for _, b := range blocks {
		if b[1] != "sh" {
			continue
		}
		for line := range strings.Lines(b[2]) {
			words := strings.TrimSpace(change.Replace(line))
			if words == "" {
				continue
			}
			program, words, _ := strings.Cut(words, " ")
			if program != "totals" && program != "weir" {
				s.t.Fatalf("%s: %s: of which program is it?", self, line)
			}
			ran++
			var args []string
			for i, part := range strings.Split(words, `"`) { // a text in quotes is one argument
				if i%2 == 1 {
					args = append(args, part)
				} else {
					args = append(args, strings.Fields(part)...)
				}
			}
			before := s.committed(placed)
			out, code := execute(args, orders.Totals)
			if code != 0 {
				s.t.Fatalf("%s: %s: exit %d: %s", self, line, code, out)
			}
			if !strings.Contains(line, "--execute") && !slices.Equal(before, s.committed(placed)) {
				s.t.Errorf("%s: %s: the offsets were %v, and are %v", self, line, before, s.committed(placed))
			}
		}
	}
	return ran
}

func (s *shop) committed(topic string) []int64 {
	s.t.Helper()
	answer, err := s.admin.FetchOffsets(s.t.Context(), "customer-totals")
	s.must(err)
	list := []int64{-1, -1}
	answer.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			list[o.Partition] = o.At
		}
	})
	return list
}

// TestTheCommandsOfReplayMdDoWhatTheySay runs each command line of the page and of the runbooks, in order, on the reference job.
func TestTheCommandsOfReplayMdDoWhatTheySay(t *testing.T) {
	root, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	s := newShop(t)
	_, err = s.admin.CreateTopics(t.Context(), 2, 1, nil, "order.replayed.v1")
	s.must(err)
	change := strings.NewReplacer("localhost:9092", s.addr, "FINGERPRINT", deadletter.Fingerprint("accumulate", "rejected", "amount_cents is below 0"))
	for page, want := range map[string]int{"replay.md": 12, "runbooks/replay.md": 7, "runbooks/drain-a-dlq.md": 9} {
		if ran := s.follow(filepath.Join(root, page), change); ran != want {
			t.Errorf("%s: %d commands were run, want %d: count them on the page", page, ran, want)
		}
	}
	if n := s.records("order.replayed.v1"); n < 30 {
		t.Errorf("%d records came into the other topic", n)
	}
	var jobs []struct{ Job, State, Who, Why string }
	s.data(s.totals(0, "replay", "list", "--json"), &jobs)
	if len(jobs) != 5 || slices.ContainsFunc(jobs, func(j struct{ Job, State, Who, Why string }) bool { return j.State != "done" || j.Who == "" }) {
		t.Errorf("%+v", jobs)
	}
}

// TestRewindingTheReferenceJobChangesNothing: final totals, store and the number of effects, by whatever it is rewound. A record whose
// letter is open is left out. Something that is written to an output meanwhile shows.
func TestRewindingTheReferenceJobChangesNothing(t *testing.T) {
	s := newShop(t)
	letters, outputs, at := s.records(shopLetters), s.records(totalled), s.committed(placed)
	for i, start := range []string{"{0: 0, 1: 0}", "{0: 3, 1: 17}", "latest", "{1: 5}", "2001-01-01T00:00:00Z"} {
		r := s.run(s.file("r.yaml", fmt.Sprintf("replay: r%d\nfrom: {topic: %s, start: %s}\ninto: topology\ntopology: customer-totals\n", i, placed, start)))
		if r.State != "done" || r.NewEffects != 0 || r.Unchanged == nil || !*r.Unchanged || r.Read != r.Offsets || r.Replayed+r.Filtered != r.Read || r.Deduplicated != r.Replayed {
			t.Errorf("from %s: %+v", start, r)
		}
		if i == 0 && (r.Read != 60 || r.Filtered == 0) || i == 2 && r.Read != 0 {
			t.Errorf("from %s: %+v", start, r)
		}
	}
	if l, o := s.records(shopLetters), s.records(totalled); l > letters+20 || o > outputs+20 {
		t.Errorf("%d letters became %d, %d outputs %d", letters, l, outputs, o)
	}
	if got := s.committed(placed); !slices.Equal(got, at) {
		t.Errorf("the offsets were %v, and are %v", at, got)
	}
	before := s.receipt(s.totals(0, "replay", "run", "r.yaml", "--json"))
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: totalled, Key: []byte("customer-1"), Value: []byte("injected")}).FirstErr())
	if out := s.totals(0, "replay", "run", "r.yaml"); !strings.Contains(out, "nothing to do: the replay was done at") {
		t.Errorf("run again: %s", out)
	}
	if again := s.receipt(s.totals(0, "replay", "run", "r.yaml", "--json")); !*again.Unchanged || again.Read != before.Read {
		t.Errorf("a job that is done was done again: %+v", again)
	}
	s.live() // the state is as the instance left it
}

// TestAnInjectedDifferenceFlipsTheReceipt: it is written to an output, or to a store, while the job runs. All that differ are counted, and some are listed.
//
// Mutation seen to fail it: keys that are not counted.
func TestAnInjectedDifferenceFlipsTheReceipt(t *testing.T) {
	s := newShop(t)
	for i, topic := range []string{totalled, totalled, "customer-totals-totals-changelog"} {
		job := fmt.Sprintf("replay: i%d\nfrom: {topic: %s}\ninto: topology\ntopology: customer-totals\n", i, placed)
		// It is slow, so that it runs still when that is seen, and resumed then without a rate; but for what is written to the changelog, which it would restore.
		rate := map[bool]string{true: "rate: 1/s\n", false: "rate: 8/s\n"}[topic == totalled]
		file := s.file("r.yaml", job+rate)
		done := make(chan string, 1)
		go func() {
			out, _ := execute([]string{"replay", "run", file, "--state-dir", "state", "--json", "--brokers", s.addr, "--commit-interval", "20ms"}, orders.Totals)
			done <- out
		}()
		for {
			out, _ := execute([]string{"replay", "status", file, "--json", "--brokers", s.addr}, orders.Totals)
			if strings.Contains(out, "{") && s.receipt(out).Done > 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("customer-2"), Value: []byte(`{"last_seq":1}`)}).FirstErr())
		if i == 1 { // more than are listed
			for k := range 24 {
				s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: fmt.Append(nil, "extra", k), Value: []byte("x")}).FirstErr())
			}
		}
		if i == 0 { // and its retention removes it at once
			ends, err := s.admin.ListEndOffsets(t.Context(), topic)
			s.must(err)
			_, err = s.admin.DeleteRecords(t.Context(), ends.Offsets())
			s.must(err)
		}
		if topic == totalled {
			s.totals(0, "replay", "stop", file)
		}
		out := <-done
		if topic == totalled {
			out = s.totals(0, "replay", "resume", s.file("r.yaml", job), "--state-dir", "state", "--json")
		}
		r := s.receipt(out)
		if r.State != "done" || r.Unchanged == nil || *r.Unchanged {
			t.Fatalf("a difference in %s does not show: %+v", topic, r)
		}
		if i == 0 {
			continue
		}
		named, keys, listed := false, 0, 0
		for _, d := range r.Downstream {
			keys, listed = keys+d.Keys, listed+len(d.Changed)
			for _, c := range d.Changed {
				named = named || c.Topic == topic && c.Key == "customer-2"
			}
		}
		if !named {
			t.Errorf("the difference in %s is not named: %+v", topic, r.Downstream)
		}
		if want := map[int][2]int{1: {25, 20}, 2: {1, 1}}[i]; want != [2]int{keys, listed} {
			t.Errorf("%d keys have changed in %s and %d are listed, want %v", keys, topic, listed, want)
		}
	}
}

// TestAShadowShowsWhatWouldDiffer, with the record that causes it, and touches nothing of production.
//
// Mutation: a key of which it is not known that counts as equal.
func TestAShadowShowsWhatWouldDiffer(t *testing.T) {
	s := newShop(t)
	outputs, at := s.records(totalled), s.committed(placed)
	r := s.run(s.file("a.yaml", "replay: same\nfrom: {topic: "+placed+"}\ninto: shadow\ntopology: customer-totals\n"))
	if r.State != "done" || !*r.Unchanged || len(r.Differences) != 0 || r.Read != 60 || r.DeadLettered != 3 {
		t.Fatalf("the same build: %+v", r)
	}
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: totalled, Key: []byte("customer-3"), Value: []byte(`{"last_seq":99}`)}).FirstErr())
	if r := s.run(s.file("b.yaml", "replay: after\nfrom: {topic: "+placed+"}\ninto: shadow\ntopology: customer-totals\n")); !*r.Unchanged {
		t.Errorf("what production wrote after the range is no difference: %+v", r.Differences)
	}
	// What production wrote of the range, and the shadow does not, is one.
	input := s.read(placed)
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: totalled, Key: []byte("customer-4"), Value: []byte("extra"), Timestamp: input[len(input)/2].Timestamp}).FirstErr())
	r = s.run(s.file("c.yaml", "replay: missing\nfrom: {topic: "+placed+"}\ninto: shadow\ntopology: customer-totals\n"))
	if *r.Unchanged || len(r.Differences) != 1 || r.Differences[0].Key != "customer-4" || r.Differences[0].Production != "extra" || r.Differences[0].Shadow != "nothing" {
		t.Errorf("production wrote more: %+v", r.Differences)
	}
	// Of chosen records no time says whether what only production wrote is due.
	r = s.run(s.file("c.yaml", "replay: chosen\nfrom: {topic: "+placed+"}\nwhere: {keys: [nobody]}\ninto: shadow\ntopology: customer-totals\n"))
	if r.State != "done" || r.Unchanged != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "is not known") {
		t.Errorf("a shadow that wrote nothing: %+v", r)
	}
	// The middle of the range without its beginning: totals are others.
	half := "replay: half\nfrom: {topic: " + placed + ", start: {0: 10, 1: 10}}\ninto: shadow\ntopology: customer-totals\n"
	r = s.run(s.file("c.yaml", half))
	if *r.Unchanged || len(r.Differences) == 0 || len(r.Notes) == 0 || !strings.HasPrefix(r.Differences[0].Causes[0], placed+"/") || r.Differences[0].Shadow == r.Differences[0].Production {
		t.Errorf("without the state at the start: %+v", r)
	}
	if out, code := execute([]string{"replay", "run", s.file("d.yaml", strings.Replace(half, "half", "exact", 1)+"state: exact\n"), "--brokers", s.addr}, orders.Totals); code != exitRefused || !strings.Contains(out, "no snapshot at or before the start") {
		t.Errorf("exact: exit %d: %s", code, out)
	}
	if out := s.totals(exitRefused, "replay", "plan", "d.yaml", "--json"); !strings.Contains(out, `"refused": "state: there is no snapshot`) {
		t.Errorf("exact, planned: %s", out)
	}
	// With a snapshot from before it.
	s.totals(0, "state", "snapshot", "--folder", "snap")
	middle := s.committed(placed)
	s.order(60)
	s.live()
	r = s.run(s.file("e.yaml", fmt.Sprintf("replay: from-snapshot\nfrom: {topic: %s, start: {0: %d, 1: %d}}\ninto: shadow\ntopology: customer-totals\nstate: {from: ., exact: true}\n", placed, middle[0]+2, middle[1]+2)))
	if !*r.Unchanged || r.Read != 56 || len(r.Notes) == 0 {
		t.Errorf("from a snapshot: %+v", r)
	}
	if n := s.records(totalled); n < outputs || slices.Equal(s.committed(placed), at) {
		t.Errorf("%d outputs", n)
	}
}

// TestASnapshotIsOfTheCommittedOffsets, and is what a topology goes on from when it is restored. A damaged one is refused.
func TestASnapshotIsOfTheCommittedOffsets(t *testing.T) {
	s := newShop(t)
	s.totals(0, "state", "snapshot", "--folder", "snap")
	at := s.committed(placed)
	var before, after map[string]string = s.stored(), nil
	s.order(60)
	s.live()
	if fmt.Sprint(s.stored()) == fmt.Sprint(before) {
		t.Fatal("nothing has changed")
	}
	all := s.stored()
	s.totals(0, "state", "restore", "--folder", "snap", "--why", "t")
	if got := s.committed(placed); slices.Equal(got, at) {
		t.Error("without --execute the offsets have changed")
	}
	s.totals(0, "state", "restore", "--folder", "snap", "--why", "t", "--execute")
	if after = s.stored(); fmt.Sprint(after) != fmt.Sprint(before) || !slices.Equal(s.committed(placed), at) {
		t.Errorf("restored: %v at %v, want %v at %v", after, s.committed(placed), before, at)
	}
	s.live()
	if got := s.stored(); fmt.Sprint(got) != fmt.Sprint(all) {
		t.Errorf("after the rest was done again: %v, want %v", got, all)
	}
	files, err := filepath.Glob("snap/totals-*.jsonl")
	s.must(err)
	data, err := os.ReadFile(files[0])
	s.must(err)
	s.must(os.WriteFile(files[0], append(data, '\n'), 0o600))
	if out, code := execute([]string{"state", "restore", "--folder", "snap", "--why", "t", "--execute", "--brokers", s.addr}, orders.Totals); code == 0 || !strings.Contains(out, "is damaged") {
		t.Errorf("a damaged snapshot: exit %d: %s", code, out)
	}
}

// stored is the last value of each key of the changelog.
func (s *shop) stored() map[string]string {
	s.t.Helper()
	last := map[string]string{}
	for _, r := range s.read("customer-totals-totals-changelog") {
		if last[string(r.Key)] = string(r.Value); r.Value == nil {
			delete(last, string(r.Key))
		}
	}
	return last
}

// read is what a topic holds for readers.
func (s *shop) read(topic string) (all []*kgo.Record) {
	s.t.Helper()
	ends, err := s.admin.ListEndOffsets(s.t.Context(), topic)
	s.must(err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	c, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.DisableFetchSessions(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	s.must(err)
	defer c.Close()
	for len(left) > 0 {
		c.PollFetches(s.t.Context()).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// TestAReplayThatCannotBeMeantIsRefused before anything is changed.
//
// Mutations, each seen to fail it: resolve that offers a time where places by partition were asked for; resolve without reversed; a run that is refused with code 1; Stands that does not compare files.
func TestAReplayThatCannotBeMeantIsRefused(t *testing.T) {
	s := newShop(t)
	refused := func(code int, says, content string, args ...string) {
		t.Helper()
		file := s.file("x.yaml", content)
		if len(args) == 0 {
			args = []string{"run"}
		}
		out, got := execute(append([]string{"replay"}, append(args, file, "--brokers", s.addr, "--state-dir", "state")...), orders.Totals)
		if got != code || !strings.Contains(out, says) {
			t.Errorf("%s: exit %d, want %d and %q: %s", content, got, code, says, out)
		}
	}
	into := "into: topology\ntopology: customer-totals\n"
	refused(exitUsage, "x.yaml:1: there is no field", "reply: a\n")
	refused(exitFailure, "does not exist: give the topic", "replay: a\nfrom: {topic: nothing}\n"+into)
	refused(exitFailure, "is no input of topology customer-totals: there is "+placed, "replay: a\nfrom: {topic: "+totalled+"}\n"+into)
	refused(exitUsage, "no topology \"other\"", "replay: a\nfrom: {topic: "+placed+"}\ninto: topology\ntopology: other\n")
	refused(exitFailure, "partition 7 is asked for", "replay: a\nfrom: {topic: "+placed+", partitions: [7]}\n"+into)
	refused(exitFailure, "and 1000 is asked for", "replay: a\nfrom: {topic: "+placed+", start: 1000}\n"+into)
	refused(exitFailure, "is at offset 3, before from.start, 2100-01-01T00:00:00Z, at offset ", "replay: a\nfrom: {topic: "+placed+", start: 2100-01-01T00:00:00Z, end: 3}\n"+into)
	refused(exitFailure, "is at offset 0, before from.start, 3, at offset 3", "replay: a\nfrom: {topic: "+placed+", start: 3, end: 2001-01-01T00:00:00Z}\n"+into, "plan")
	refused(exitFailure, "there is no job a", "replay: a\nfrom: {topic: "+placed+"}\n"+into, "status")
	refused(exitFailure, "there is no job a", "replay: a\nfrom: {topic: "+placed+"}\n"+into, "resume")
	if out, code := execute([]string{"replay", "run", "--brokers", s.addr}, orders.Totals); code != exitUsage || !strings.Contains(out, "which replay?") {
		t.Errorf("exit %d: %s", code, out)
	}
	// What retention has removed.
	_, err := s.admin.DeleteRecords(t.Context(), kadm.Offsets{placed: {0: {Topic: placed, Partition: 0, At: 5}}})
	s.must(err)
	refused(exitFailure, "before the first record that retention has left, at offset 5", "replay: a\nfrom: {topic: "+placed+", partitions: [0], end: 2}\n"+into)
	gone := "replay: gone\nfrom: {topic: " + placed + ", start: {0: 2, 1: 0}}\n" + into
	refused(exitRefused, "the earliest possible start is {0: 5, 1: 0}; give from.start: {0: 5, 1: 0}, or", gone, "plan")
	refused(exitRefused, "the earliest possible start is {0: 5, 1: 0}", gone)
	refused(exitRefused, "the earliest possible start is 20", strings.Replace(gone, "{0: 2, 1: 0}", "2001-01-01T00:00:00Z", 1))
	r := s.run(s.file("x.yaml", gone), "--from-earliest")
	if r.Read != 55 || r.State != "done" {
		t.Errorf("from the earliest: %+v", r)
	}
	edited := strings.Replace(gone, "0: 2", "0: 5", 1)
	refused(exitFailure, "was done with another file", edited)
	for _, verb := range []string{"status", "stop"} {
		refused(exitFailure, "this file was not run: job gone began at ", edited, verb)
	}
	s.totals(0, "replay", "status", s.file("x.yaml", gone))
	if r := s.run(s.file("x.yaml", strings.Replace(gone, "0: 2", "0: 6", 1)), "--force"); r.Read != 54 {
		t.Errorf("forced: %+v", r)
	}
	if n := s.records(system.Audit.Name); n == 0 {
		t.Error("the audit tells nothing")
	}
	var entries []struct{ What, State, Job, Who string }
	for _, r := range s.read(system.Audit.Name) {
		var e struct{ What, State, Job, Who string }
		s.must(json.Unmarshal(r.Value, &e))
		if e.What == "replay" {
			entries = append(entries, e)
		} else if e.What != "topology pause" || e.Job != "gone" {
			t.Errorf("what is refused is in the audit: %+v", e)
		}
	}
	if len(entries) != 4 || entries[0].State != "begun" || entries[1].State != "done" || entries[1].Job != "gone" || entries[1].Who == "" {
		t.Errorf("%+v", entries)
	}
}

// TestAReplayIsStoppedFromAnywhere, and goes on from where it is.
func TestAReplayIsStoppedFromAnywhere(t *testing.T) {
	s := newShop(t)
	file := s.file("r.yaml", "replay: slow\nfrom: {topic: "+placed+"}\ninto: topology\ntopology: customer-totals\nrate: 1/s\n")
	done := make(chan int, 1)
	go func() {
		_, code := execute([]string{"replay", "run", file, "--state-dir", "state", "--brokers", s.addr, "--commit-interval", "20ms"}, orders.Totals)
		done <- code
	}()
	for {
		out, _ := execute([]string{"replay", "status", file, "--json", "--brokers", s.addr}, orders.Totals)
		if strings.Contains(out, "{") && s.receipt(out).Done > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.totals(0, "replay", "stop", file)
	if code := <-done; code != exitFailure {
		t.Errorf("exit %d", code)
	}
	r := s.receipt(s.totals(exitFailure, "replay", "status", file, "--json"))
	if r.State != "stopped" || r.Done == 0 || r.Done >= 60 {
		t.Errorf("%+v", r)
	}
	s.file("r.yaml", "replay: slow\nfrom: {topic: "+placed+"}\ninto: topology\ntopology: customer-totals\n")
	if r := s.receipt(s.totals(0, "replay", "resume", file, "--state-dir", "state", "--json")); r.State != "done" || r.Read != 60 || !*r.Unchanged {
		t.Errorf("%+v", r)
	}
}

// TestACopyThatEndsInTheMiddleOfATransactionLeavesNothingOfIt: it would be written again by whoever goes on.
//
// Mutation: end without Abort.
func TestACopyThatEndsInTheMiddleOfATransactionLeavesNothingOfIt(t *testing.T) {
	s := newShop(t)
	const copied = "order.copied.v1"
	_, err := s.admin.CreateTopics(t.Context(), 1, 1, nil, copied)
	s.must(err)
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: placed, Key: []byte("customer-1"), Value: []byte("{")}).FirstErr())
	file := s.file("r.yaml", "replay: broken\nfrom: {topic: "+placed+"}\ninto: topic\ntopic: "+copied+"\nrewrite: {key: {from: /customer}}\n")
	for range 2 {
		s.totals(exitFailure, "replay", "run", file)
	}
	r := s.receipt(s.totals(exitFailure, "replay", "status", file, "--json"))
	if r.State != "failed" || r.Read != int64(len(s.read(copied))) {
		t.Errorf("%d records are in the topic: %+v", len(s.read(copied)), r)
	}
}

// TestACopySaysOfWhichRecordItIs, and nothing that the record said of that itself.
//
// Mutations seen to fail it: a copy's own place; headers of the record that stay.
func TestACopySaysOfWhichRecordItIs(t *testing.T) {
	s := newShop(t)
	const copied = "order.copied.v1"
	_, err := s.admin.CreateTopics(t.Context(), 1, 1, nil, copied)
	s.must(err)
	topics, err := s.admin.ListTopics(t.Context(), placed)
	s.must(err)
	id := topics[placed].ID
	text := base64.RawURLEncoding.EncodeToString(id[:])
	lie := kgo.RecordHeader{Key: "weir.replay.offset", Value: []byte("7")}
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: placed, Key: []byte("customer-1"), Value: []byte("{}"), Headers: []kgo.RecordHeader{lie}}).FirstErr())
	records := map[string]*kgo.Record{}
	for _, r := range s.read(placed) {
		if !r.Attrs.IsControl() {
			records[fmt.Sprintf("%d/%d", r.Partition, r.Offset)] = r
		}
	}
	s.totals(0, "replay", "run", s.file("r.yaml", "replay: copy\nfrom: {topic: "+placed+"}\ninto: topic\ntopic: "+copied+"\n"))
	for _, r := range s.read(copied) {
		if r.Attrs.IsControl() {
			continue
		}
		says := map[string]string{}
		for _, h := range r.Headers {
			says[h.Key] += string(h.Value)
		}
		at := says["weir.replay.partition"] + "/" + says["weir.replay.offset"]
		if of := records[at]; of == nil || !slices.Equal(of.Value, r.Value) || says["weir.replay.topic"] != placed || says["weir.replay.topic.id"] != text {
			t.Errorf("a copy says %v", says)
		}
		delete(records, at)
	}
	if len(records) > 0 {
		t.Errorf("%d records have no copy", len(records))
	}
}

// TestAShadowThatIsTakenOverEnds: the outputs of both would be compared.
func TestAShadowThatIsTakenOverEnds(t *testing.T) {
	s := newShop(t)
	const job = "replay: twice\nfrom: {topic: " + placed + "}\ninto: shadow\ntopology: customer-totals\n"
	file := s.file("r.yaml", job+"rate: 1/s\n")
	done := make(chan string, 1)
	go func() {
		out, _ := execute([]string{"replay", "run", file, "--state-dir", "state", "--brokers", s.addr, "--commit-interval", "20ms"}, orders.Totals)
		done <- out
	}()
	for {
		out, _ := execute([]string{"replay", "status", file, "--json", "--brokers", s.addr}, orders.Totals)
		if strings.Contains(out, "{") && s.receipt(out).Done > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	r := s.run(s.file("s.yaml", job))
	if r.State != "done" || r.Unchanged == nil || !*r.Unchanged || r.Read != 60 {
		t.Errorf("%+v", r)
	}
	if out := <-done; !strings.Contains(out, "another command has taken the job over") {
		t.Error(out)
	}
}

// TestAShadowGoesOnWithTheBuildThatBegan, and with no other one unless it begins again.
//
// Mutations, each seen to fail it: goesOn that takes a shadow of which no build is known; --force that goes on.
func TestAShadowGoesOnWithTheBuildThatBegan(t *testing.T) {
	s := newShop(t)
	const job = "replay: built\nfrom: {topic: " + placed + "}\ninto: shadow\ntopology: customer-totals\n"
	file := s.file("r.yaml", job)
	slow := s.file("slow.yaml", job+"rate: 1/s\n")
	done := make(chan int, 1)
	go func() {
		_, code := execute([]string{"replay", "run", slow, "--state-dir", "state", "--brokers", s.addr, "--commit-interval", "20ms"}, orders.Totals)
		done <- code
	}()
	for {
		if out, _ := execute([]string{"replay", "status", file, "--json", "--brokers", s.addr}, orders.Totals); strings.Contains(out, `"begun"`) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.totals(0, "replay", "stop", file)
	if code := <-done; code != exitFailure {
		t.Fatalf("a replay that is stopped exits with %d", code)
	}
	var last *kgo.Record
	for _, r := range s.read(system.Jobs.Name) {
		if string(r.Key) == "replay/built" {
			last = r
		}
	}
	write := func(change func(map[string]any)) {
		t.Helper()
		stood := map[string]any{}
		s.must(json.Unmarshal(last.Value, &stood))
		change(stood)
		value, err := json.Marshal(stood)
		s.must(err)
		s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: system.Jobs.Name, Key: last.Key, Value: value}).FirstErr())
	}
	for _, change := range []func(map[string]any){
		func(stood map[string]any) { delete(stood, "build") },
		func(stood map[string]any) {
			stood["build"] = map[string]any{"sha256": "0123456789abcdef", "version": "v1.2.3"}
		},
	} {
		write(change)
		for _, verb := range []string{"run", "resume"} {
			if out := s.totals(exitFailure, "replay", verb, file); !strings.Contains(out, "with another build of the program") || !strings.Contains(out, "replay run FILE --force") {
				t.Errorf("%s: %s", verb, out)
			}
		}
	}
	before := s.receipt(s.totals(exitFailure, "replay", "status", file, "--json"))
	r := s.run(file, "--force")
	if r.State != "done" || r.Read != 60 || r.Run == before.Run {
		t.Errorf("begun again: %+v, after %+v", r, before)
	}
}

// TestASnapshotThatFailsLeavesNothing, and a folder without one is said to be none.
//
// Mutation seen to fail it: Snapshot that leaves its folder behind.
func TestASnapshotThatFailsLeavesNothing(t *testing.T) {
	s := newShop(t)
	if out := s.totals(exitFailure, "state", "snapshot", "--folder", "half", "--topic.prefix", "none."); !strings.Contains(out, "give --topic.prefix as the runs of the topology have it") {
		t.Error(out)
	}
	s.totals(0, "state", "snapshot", "--folder", "half")
	s.must(os.Mkdir("empty", 0o700))
	for _, args := range [][]string{{"restore", "--why", "t"}, {"capture"}} {
		if out := s.totals(exitUsage, append([]string{"state"}, append(args, "--folder", "empty")...)...); !strings.Contains(out, "empty is no snapshot") {
			t.Errorf("%v: %s", args, out)
		}
	}
	if out := s.totals(0, "replay", "list"); !strings.Contains(out, "no replay has run") {
		t.Error(out)
	}
}

// TestASnapshotIsNotRestoredPastRedrivenRecords, which the state would lack.
//
// Mutation: sameAside or settled that refuses nothing.
func TestASnapshotIsNotRestoredPastRedrivenRecords(t *testing.T) {
	s := newShop(t)
	s.totals(0, "state", "snapshot", "--folder", "snap")
	redriven := "customer-totals-" + placed + "-redrive"
	_, err := s.admin.CreateTopics(t.Context(), 2, 1, nil, redriven)
	s.must(err)
	s.totals(0, "state", "restore", "--folder", "snap", "--why", "t")
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: redriven, Key: []byte("customer-1"), Value: []byte("{}")}).FirstErr())
	if out := s.totals(exitFailure, "state", "restore", "--folder", "snap", "--why", "t"); !strings.Contains(out, "were redriven or delayed after the snapshot") {
		t.Error(out)
	}
	if out := s.totals(exitRefused, "replay", "run", s.file("r.yaml", "replay: r\nfrom: {topic: "+placed+"}\ninto: topology\ntopology: customer-totals\nstate: reset\n")); !strings.Contains(out, "records wait in "+redriven) {
		t.Error(out)
	}
	s.totals(0, "state", "snapshot", "--folder", "later") // where they wait
	s.totals(0, "state", "restore", "--folder", "later", "--why", "t")
}

// TestNoStoreIsEmptiedBeforeAllChangelogsSayThatNoneIsWhole.
//
// Mutation: a first record without positions.
func TestNoStoreIsEmptiedBeforeAllChangelogsSayThatNoneIsWhole(t *testing.T) {
	s := newShop(t)
	const log = "customer-totals-totals-changelog"
	s.run(s.file("r.yaml", "replay: r\nfrom: {topic: "+placed+"}\ninto: topology\ntopology: customer-totals\nstate: reset\n"))
	first := map[int32]*kgo.Record{}
	emptied := 0
	for _, r := range s.read(log) {
		if r.Value == nil && first[r.Partition] == nil {
			first[r.Partition] = r
			if len(r.Key) != 0 || len(r.Headers) == 0 {
				t.Errorf("partition %d is emptied, and does not say so first: %q", r.Partition, r.Key)
			}
			emptied++
		}
	}
	if emptied != 2 {
		t.Errorf("%d partitions were emptied", emptied)
	}
}
