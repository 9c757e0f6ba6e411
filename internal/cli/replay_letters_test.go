package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/topology"
)

// tallies counts whatever it sees, so that a record that is processed twice shows. It rejects what begins with one of some texts.
func tallies(bad ...string) *topology.Topology { return talliesInto(tallyLetters, bad...) }

// talliesInto is that with another topic of dead letters.
func talliesInto(letters string, bad ...string) *topology.Topology {
	in, store := topology.Stream("item.seen.v1", codecs.String()), topology.Store("tally", codecs.Int64())
	return topology.Define("tallies", topology.Node("count", topology.On(in, func(ctx topology.Context, key, v string) error {
		if slices.ContainsFunc(bad, func(text string) bool { return strings.HasPrefix(v, text) }) {
			return topology.Reject(errors.New("it is " + v))
		}
		n, err := store.Get(ctx, v)
		if err == nil {
			store.Set(ctx, v, n+1)
		}
		return err
	}), topology.Uses(store), topology.DeadLetter(letters)))
}

const tallied, tallyLetters, tallyLog = "item.seen.v1", "item.seen.v1.dlq", "tallies-tally-changelog"

// counter is a cluster with an input of the topology.
type counter struct {
	*desk
	broker  *embedded.Broker
	letters string                                 // its topic of dead letters, as the program names it
	top     func(bad ...string) *topology.Topology // another program of these topics, nil for tallies
}

func (c *counter) program(bad ...string) *topology.Topology {
	if c.top != nil {
		return c.top(bad...)
	}
	return talliesInto(c.letters, bad...)
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	t.Chdir(t.TempDir())
	d, broker := emptyDesk(t, kgo.MetadataMinAge(10*time.Millisecond)) // the redrive topic is made meanwhile
	c := &counter{broker: broker, desk: d, letters: tallyLetters}
	_, err := c.admin.CreateTopics(t.Context(), 1, 1, nil, tallied)
	c.must(err)
	return c
}

// send writes records.
func (c *counter) send(values ...string) {
	c.t.Helper()
	for _, v := range values {
		c.must(c.client.ProduceSync(c.t.Context(), &kgo.Record{Topic: tallied, Key: []byte("k"), Value: []byte(v)}).FirstErr())
	}
}

// live has an instance read all that there is, and stops it.
func (c *counter) live(bad ...string) {
	c.t.Helper()
	c.liveOf(c.program(bad...))
}

// liveUntil has an instance run for as long as that takes.
func (c *counter) liveUntil(over func(context.Context) bool) {
	c.t.Helper()
	c.runs(c.program(), over)
}

// liveOf is live of a build of the topology.
func (c *counter) liveOf(build *topology.Topology) {
	c.t.Helper()
	c.runs(build, c.drained)
}

func (c *counter) runs(build *topology.Topology, over func(context.Context) bool) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	root := New("tallies", build)
	root.SetOut(os.Stderr)
	root.SetErr(os.Stderr)
	done := make(chan error, 1)
	go func() {
		done <- Execute(ctx, root, []string{"run", "--brokers", c.addr, "--create-topics", "--state-dir", "state", "--commit-interval", "20ms", "--log-level", "error", "--stop-line-after", "0"})
	}()
	for !over(ctx) {
		select {
		case err := <-done:
			c.t.Fatal("the instance has ended: ", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	c.must(<-done)
}

// drained says whether the group has read the input, and what was redriven.
func (c *counter) drained(ctx context.Context) bool {
	at, err := c.admin.FetchOffsets(ctx, "tallies")
	if err != nil {
		return false
	}
	ends, err := c.admin.ListEndOffsets(ctx, tallied, "tallies-"+tallied+"-redrive")
	read := err == nil
	ends.Each(func(o kadm.ListedOffset) {
		committed, ok := at.Lookup(o.Topic, o.Partition)
		read = read && (o.Err != nil || o.Offset == 0 || ok && committed.At >= o.Offset)
	})
	return read
}

// tally is what was counted, without what was counted once.
func (c *counter) tally() (total int64, odd map[string]int64) {
	c.t.Helper()
	last := map[string]int64{}
	for _, r := range (&shop{desk: c.desk}).read(tallyLog) {
		if len(r.Key) == 0 {
			continue
		}
		delete(last, string(r.Key))
		if r.Value != nil {
			var n int64
			_, err := fmt.Sscan(string(r.Value), &n)
			c.must(err)
			last[string(r.Key)] = n
		}
	}
	odd = map[string]int64{}
	for v, n := range last {
		if total += n; n != 1 {
			odd[v] = n
		}
	}
	return total, odd
}

// do runs a command line of the program.
func (c *counter) do(want int, bad []string, args ...string) string {
	c.t.Helper()
	out, code := execute(append(args, "--brokers", c.addr), c.program(bad...))
	if code != want {
		c.t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
	}
	return out
}

func (c *counter) openLetters() (n int) {
	c.t.Helper()
	var groups []struct{ Count int }
	c.data(c.do(0, nil, "dlq", "list", "--topic", tallyLetters, "--json"), &groups)
	for _, g := range groups {
		n += g.Count
	}
	return n
}

// redrive redrives all open letters, and says how many.
func (c *counter) redrive() int {
	c.t.Helper()
	var r struct{ Done int }
	c.data(c.do(0, nil, "dlq", "redrive", "--topic", tallyLetters, "--all", "--execute", "--json"), &r)
	return r.Done
}

// replay replays the whole input.
func (c *counter) replay(name, more string, bad ...string) (r struct {
	Read     int64
	Answered int64 `json:"letters_answered"`
}) {
	c.t.Helper()
	c.data(c.do(0, bad, "replay", "run", c.file(name, more), "--state-dir", "state", "--log-level", "error", "--json"), &r)
	return r
}

func (c *counter) file(name, more string) string {
	c.t.Helper()
	c.must(os.WriteFile(name+".yaml", []byte("replay: "+name+"\nfrom: {topic: "+tallied+"}\ninto: topology\ntopology: tallies\n"+more), 0o600))
	return name + ".yaml"
}

// edited changes the file of a job.
func (c *counter) edited(name, from, to string) string {
	c.t.Helper()
	text, err := os.ReadFile(name + ".yaml")
	c.must(err)
	c.must(os.WriteFile(name+".yaml", []byte(strings.Replace(string(text), from, to, 1)), 0o600))
	return name + ".yaml"
}

// TestALetterWhoseRecordIsReplayedIsNotRedrivenToo: a record has its effect by one of the two: by the redrive where the state is kept, by the replay where it is
// rebuilt. What fails again is a letter, one.
//
// Mutations, each seen to fail it: end of a rebuild without answers; engine that takes records whose letters are open.
func TestALetterWhoseRecordIsReplayedIsNotRedrivenToo(t *testing.T) {
	for _, c := range []struct {
		state         string
		counted       int64 // after the replay, of 7 good records, 2 that are mended and 1 that is not
		answered, odd int
		open          int
	}{{"keep", 7 * 2, 0, 7, 3}, {"reset", 7 + 2, 3, 0, 1}} {
		t.Run(c.state, func(t *testing.T) {
			d := newCounter(t)
			d.send("a", "b", "bad1", "c", "worse", "d", "bad2", "e", "f", "g")
			d.live("bad", "worse")
			if n := d.openLetters(); n != 3 {
				t.Fatalf("%d letters are open", n)
			}
			r := d.replay("again", "state: "+c.state+"\n", "worse")
			if r.Read != 10 || int(r.Answered) != c.answered {
				t.Errorf("%+v", r)
			}
			if total, odd := d.tally(); total != c.counted || len(odd) != c.odd {
				t.Errorf("%d are counted after the replay, want %d: %v", total, c.counted, odd)
			}
			if n := d.openLetters(); n != c.open {
				t.Errorf("%d letters are open after the replay, want %d", n, c.open)
			}
			if out := d.do(0, nil, "dlq", "show", "--topic", tallyLetters, "--json"); strings.Count(out, `"how": "answered"`) != c.answered || strings.Count(out, `"why": "replay again"`) != c.answered {
				t.Errorf("who has answered the letters is not said: %s", out)
			}
			if n := d.redrive(); n != c.open {
				t.Errorf("%d letters were redriven", n)
			}
			d.live()
			if total, odd := d.tally(); total != c.counted+int64(c.open) || len(odd) != c.odd {
				t.Errorf("%d are counted after the redrive, want %d: %v", total, c.counted+int64(c.open), odd)
			}
			if n := d.openLetters(); n != 0 {
				t.Errorf("%d letters are open at the end", n)
			}
		})
	}
}

// TestWhatAReplayWouldProcessTwiceIsRefused: letters are not redriven while a replay stands as begun, and one does not begin while such records
// have not been read. Outputs that are suppressed would leave out those of letters.
//
// Mutations, each seen to fail it: refuseReplayed that refuses nothing; unread that looks only where the state is rebuilt; Plan without foresee; withLetters without suppress.
func TestWhatAReplayWouldProcessTwiceIsRefused(t *testing.T) {
	d := newCounter(t)
	d.send("a", "bad1", "b", "bad2")
	d.live("bad")
	if out := d.do(exitRefused, nil, "replay", "plan", d.file("silent", "outputs: suppress\n")); !strings.Contains(out, "2 dead letters of records of the range are open, and suppress would leave out") {
		t.Error(out)
	}
	if out := d.do(0, nil, "replay", "plan", d.file("again", "")); !strings.Contains(out, "2 dead letters of the range are open") {
		t.Error(out)
	}
	d.do(0, nil, "dlq", "redrive", "--topic", tallyLetters, "--all", "--limit", "1", "--execute")
	for _, line := range [][]string{{"plan", "again.yaml"}, {"run", "again.yaml", "--state-dir", "state"}} {
		if out := d.do(exitRefused, nil, append([]string{"replay"}, line...)...); !strings.Contains(out, "records of the range wait in tallies-item.seen.v1-redrive") {
			t.Error(out)
		}
	}
	begun := &kgo.Record{Topic: system.Jobs.Name, Key: []byte("replay/other"), Value: []byte(`{"version":1,"job":"other","state":"begun","file":{"into":"topology","topology":"tallies"}}`)}
	d.must(d.client.ProduceSync(t.Context(), begun).FirstErr())
	redriven := d.records("tallies-" + tallied + "-redrive")
	if out := d.do(exitFailure, nil, "dlq", "redrive", "--topic", tallyLetters, "--all", "--execute"); !strings.Contains(out, "replay other into topology tallies has begun and has not ended") {
		t.Error(out)
	}
	if n := d.records("tallies-" + tallied + "-redrive"); n != redriven || d.openLetters() != 1 {
		t.Errorf("%d records were redriven, and then %d", redriven, n)
	}
	begun.Value = []byte(strings.Replace(string(begun.Value), "begun", "done", 1))
	d.must(d.client.ProduceSync(t.Context(), begun).FirstErr())
	if n := d.redrive(); n != 1 {
		t.Errorf("%d letters were redriven after it", n)
	}
	d.live()
	if total, odd := d.tally(); total != 4 || len(odd) > 0 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestAShadowNamesReplaysThatWroteItsOutputsTwice: the differences are the comparison's own then.
//
// Mutation seen to fail it: writtenAgain that names none.
func TestAShadowNamesReplaysThatWroteItsOutputsTwice(t *testing.T) {
	s := newShop(t)
	const job = "from: {topic: " + placed + "}\ntopology: customer-totals\n"
	s.run(s.file("r.yaml", "replay: silent\n"+job+"into: topology\nstate: reset\naccept: partial-state\n"))
	r := s.run(s.file("s.yaml", "replay: shadow\n"+job+"into: shadow\n"))
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "replay silent, which began at ") {
		t.Errorf("%v", r.Notes)
	}
}

// TestOffsetsThatAreSetBackAnswerLetters, unless something else is said: what fails again has another letter, and a redrive is of that one.
//
// Mutation, seen to fail it: record without answers.
func TestOffsetsThatAreSetBackAnswerLetters(t *testing.T) {
	d := newCounter(t)
	d.send("a", "bad1", "b", "worse", "bad2")
	d.live("bad", "worse")
	reset := []string{"offsets", "reset", "--to", "2", "--why", "t", "--json"}
	if out := d.do(0, nil, reset...); !strings.Contains(out, `"letters": 2`) {
		t.Error(out)
	}
	if n := d.openLetters(); n != 3 {
		t.Errorf("%d letters are open after a dry run", n)
	}
	d.do(0, nil, append(reset, "--execute")...)
	if n := d.openLetters(); n != 1 {
		t.Errorf("%d letters are open", n)
	}
	d.live("worse") // counts b once more, as that is asked for, and bad2
	if n := d.openLetters(); n != 2 {
		t.Errorf("%d letters are open after records were processed again", n)
	}
	d.do(0, nil, append(reset, "--execute", "--letters", "keep")...)
	if n := d.openLetters(); n != 2 {
		t.Errorf("%d letters are open", n)
	}
	d.do(0, nil, "offsets", "reset", "--to", "latest", "--why", "t", "--execute")
	if n := d.redrive(); n != 2 {
		t.Errorf("%d letters were redriven", n)
	}
	d.live()
	if total, odd := d.tally(); total != 6 || len(odd) != 1 || odd["b"] != 2 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestAStateIsRebuiltWholeUnlessThatIsSaid: records before the start, which the state was made of too, would be lost with a receipt that says done.
//
// Mutations, each seen to fail it: partial that is not called; partial that takes what retention has removed for what was not there.
func TestAStateIsRebuiltWholeUnlessThatIsSaid(t *testing.T) {
	d := newCounter(t)
	d.send("a", "b", "c", "d")
	d.live()
	from := func(name, start, more string) string {
		t.Helper()
		text, err := os.ReadFile(d.file(name, "state: reset\n"+more))
		d.must(err)
		d.must(os.WriteFile(name+".yaml", []byte(strings.Replace(string(text), tallied+"}", tallied+", start: "+start+"}", 1)), 0o600))
		return name + ".yaml"
	}
	late := from("late", "2", "")
	for _, verb := range []string{"plan", "run"} {
		if out := d.do(exitRefused, nil, "replay", verb, late, "--state-dir", "state"); !strings.Contains(out, "without what the 2 offsets before the start have led to, such as totals of them") {
			t.Error(out)
		}
	}
	if total, _ := d.tally(); total != 4 {
		t.Errorf("%d are counted after a refusal", total)
	}
	if out := d.do(exitUsage, nil, "replay", "plan", from("odd", "0", "accept: all\n")); !strings.Contains(out, `accept: "all" is not allowed`) {
		t.Error(out)
	}
	if out := d.do(0, nil, "replay", "run", from("meant", "2", "accept: partial-state\n"), "--state-dir", "state"); !strings.Contains(out, "the 2 offsets before the start have led to: that is lost") {
		t.Error(out)
	}
	if total, _ := d.tally(); total != 2 {
		t.Errorf("%d are counted of the last two records", total)
	}
	_, err := d.admin.DeleteRecords(t.Context(), kadm.Offsets{tallied: {0: {Topic: tallied, Partition: 0, At: 1}}})
	d.must(err)
	whole := from("whole", "earliest", "")
	if out := d.do(exitRefused, nil, "replay", "run", whole, "--state-dir", "state"); !strings.Contains(out, "the 1 offsets before the start have led to, and retention has removed them") {
		t.Error(out)
	}
	d.do(0, nil, "replay", "run", whole, "--state-dir", "state", "--from-earliest")
	if total, _ := d.tally(); total != 3 {
		t.Errorf("%d are counted of what retention has left", total)
	}
}

// TestASnapshotThatIsRestoredAnswersLaterLetters, whose records come again.
//
// Mutation seen to fail it: end of a rebuild without answers.
func TestASnapshotThatIsRestoredAnswersLaterLetters(t *testing.T) {
	d := newCounter(t)
	d.send("a", "bad1", "b")
	d.live("bad")
	d.do(0, nil, "state", "snapshot", "--folder", "snap")
	d.send("c", "bad2", "d")
	d.live("bad")
	d.do(0, nil, "state", "restore", "--folder", "snap", "--why", "t", "--execute")
	if n := d.openLetters(); n != 1 {
		t.Errorf("%d letters are open", n)
	}
	d.live() // and what came after the snapshot passes
	if n := d.redrive(); n != 1 {
		t.Errorf("%d letters were redriven", n)
	}
	d.live()
	if total, odd := d.tally(); total != 6 || len(odd) > 0 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestALetterWhoseRecordIsGoneStaysOpen: what compaction has removed from the input comes again by a redrive alone, not with a rebuilt state, nor with offsets that are set back.
//
// Mutation, seen to fail it: Again that takes each letter for one of a record that comes again.
func TestALetterWhoseRecordIsGoneStaysOpen(t *testing.T) {
	for _, by := range []string{"replay", "offsets"} {
		t.Run(by, func(t *testing.T) {
			d := newCounter(t)
			_, err := d.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, tallied)
			d.must(err)
			d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: tallied, Key: []byte("first"), Value: []byte("first")}).FirstErr()) // by which the topic begins at 0
			d.send("bad1", "a", "b", "c")
			d.live("bad")
			d.broker.Cluster().Compact()
			if by == "offsets" {
				d.do(0, nil, "offsets", "reset", "--to", "1", "--why", "t", "--execute")
			} else if r := d.replay("again", "state: reset\n"); r.Answered != 0 {
				t.Errorf("%+v", r)
			}
			if n := d.redrive(); n != 1 {
				t.Errorf("%d letters were redriven: the record is lost", n)
			}
		})
	}
}

// begunAndStopped runs a job with a rebuilt state over 30 records, and stops it when some are done.
func begunAndStopped(t *testing.T) (d *counter, file string) {
	t.Helper()
	d = newCounter(t)
	for i := range 30 {
		d.send(fmt.Sprint("r", i))
	}
	d.live()
	file, _ = d.stopped("state: reset\n")
	return d, file
}

// stopped runs a job, and stops it when some is done. It is slow, to be in the middle still when that is seen; the file is that of who goes on, and has
// no rate.
func (d *counter) stopped(more string, bad ...string) (file, said string) {
	d.t.Helper()
	file = d.file("slow", more+"rate: 1/s\n")
	done := make(chan int, 1)
	go func() {
		var code int
		said, code = execute([]string{"replay", "run", file, "--state-dir", "state", "--brokers", d.addr, "--commit-interval", "20ms", "--log-level", "error"}, d.program(bad...))
		done <- code
	}()
	for r := (receiptOfSlow{}); r.Done == 0; time.Sleep(20 * time.Millisecond) {
		if out, _ := execute([]string{"replay", "status", file, "--json", "--brokers", d.addr}, tallies()); strings.Contains(out, `"offsets"`) {
			d.data(out, &r)
		}
	}
	d.do(0, nil, "replay", "stop", file)
	if code := <-done; code != exitFailure {
		d.t.Errorf("exit %d: %s", code, said)
	}
	return d.edited("slow", "rate: 1/s\n", ""), said
}

type receiptOfSlow struct {
	State      string
	Done, Read int64
	Notes      []string
}

// TestARebuildThatInstancesFinishIsDone: they go on with it while its job is stopped, and the job is to have an end.
//
// Mutation, seen to fail it: passed that is never true.
func TestARebuildThatInstancesFinishIsDone(t *testing.T) {
	d, file := begunAndStopped(t)
	d.live()
	var r receiptOfSlow
	d.data(d.do(0, nil, "replay", "resume", file, "--state-dir", "state", "--log-level", "error", "--json"), &r)
	if r.State != "done" || r.Done == 30 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the group has passed the end") {
		t.Errorf("%+v", r)
	}
	if total, odd := d.tally(); total != 30 || len(odd) > 0 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestAReplaySaysWhatRetentionTookMeanwhile: it begins with what is there, and a slow one may not find all of that any more.
//
// Mutation, seen to fail it: conclude without removed.
func TestAReplaySaysWhatRetentionTookMeanwhile(t *testing.T) {
	d, file := begunAndStopped(t)
	_, err := d.admin.DeleteRecords(t.Context(), kadm.Offsets{tallied: {0: {Topic: tallied, Partition: 0, At: 28}}})
	d.must(err)
	var r receiptOfSlow
	d.do(0, nil, "replay", "resume", file, "--state-dir", "state")
	d.data(d.do(0, nil, "replay", "status", file, "--json"), &r)
	if r.State != "done" || r.Read == 30 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "offsets 0 to 27 of item.seen.v1/0 were removed") {
		t.Errorf("%+v", r)
	}
}

// TestARestoreKeepsTheEmptyKey, under which records without a key have their state. Its last record, which says where the state stands, is no deletion either: a changelog
// forgets deletions after a while.
//
// Mutation seen to fail it: touch that deletes the empty key.
func TestARestoreKeepsTheEmptyKey(t *testing.T) {
	d := newCounter(t)
	stands := func() (text string, at []byte) {
		last := map[string]string{}
		for _, r := range (&shop{desk: d.desk}).read(tallyLog) {
			if last[string(r.Key)] = string(r.Value); r.Value == nil {
				delete(last, string(r.Key))
			}
			at = r.Value
		}
		return fmt.Sprint(last), at
	}
	d.send("", "b", "")
	d.live()
	d.do(0, nil, "state", "snapshot", "--folder", "snap")
	before, _ := stands()
	d.send("", "b")
	d.live()
	d.do(0, nil, "state", "restore", "--folder", "snap", "--why", "t", "--execute")
	if got, at := stands(); got != before || before != "map[:2 b:1]" || at == nil {
		t.Errorf("restored: %s, want %s; the last record is a deletion: %v", got, before, at == nil)
	}
	d.live()
	if got, _ := stands(); got != "map[:3 b:2]" {
		t.Errorf("after what came later: %s", got)
	}
}
