//go:build integration && unix

package identity

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// receipt is what replay run and status print.
type receipt struct {
	State                                                                string
	Read, Filtered, Replayed, Deduplicated, Done, Offsets, Dead_lettered int64
	New_effects, Letters_answered, Delayed, Parked                       int64
	Downstream_unchanged                                                 *bool
	Downstream                                                           []struct{ Changed []struct{ Key string } }
	Partitions                                                           []struct{ Checksum string }
	Compared                                                             *struct{ Keys, Equal, Different int64 }
	Differences                                                          []struct {
		Key    string
		Causes []string
	}
}

// file writes the file of a replay.
func (p *place) file(lines ...string) string {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "replay.yaml")
	p.must(os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

// replay runs a verb, and returns what it prints.
func (p *place) replay(verb, file string, args ...string) (r receipt, messages string, code int) {
	p.t.Helper()
	out, messages, code := p.tool(append([]string{"replay", verb, file, "--json", "--state-dir", p.dir, "--commit-interval", "100ms", "--session.timeout.ms", "6000"}, args...)...)
	if out != "" {
		p.must(json.Unmarshal([]byte(out), &r))
	}
	return r, messages, code
}

// killed has a replay run until it has done something, and kills it. The file's rate is for who goes on: this process is slow, since it is to be in the
// middle still when that has been seen.
func (p *place) killed(file string) {
	p.t.Helper()
	text, err := os.ReadFile(file)
	p.must(err)
	p.killedWhen(p.file(regexp.MustCompile(`(?m)^rate: .*`).ReplaceAllString(strings.TrimSpace(string(text)), "rate: 5/s")), func(r receipt) bool { return r.Done > 0 })
}

// killedWhen has a replay run until what it has done says so, and kills it.
func (p *place) killedWhen(file string, enough func(receipt) bool) {
	p.t.Helper()
	cmd := p.command("replay", "run", file, "--state-dir", p.dir, "--commit-interval", "100ms", "--session.timeout.ms", "6000", "--brokers", strings.Join(p.cluster.Addrs(), ","))
	cmd.Stderr = os.Stderr
	p.must(cmd.Start())
	var r receipt
	p.until("the replay has done something", func() (bool, string) {
		var messages string
		r, messages, _ = p.replay("status", file)
		return enough(r), messages
	})
	p.must(cmd.Process.Kill())
	_ = cmd.Wait()
	if r.Done >= r.Offsets {
		p.t.Fatalf("it was not in the middle: %+v", r)
	}
}

// done runs or resumes a replay to its end.
func (p *place) replayed(verb, file string, args ...string) receipt {
	p.t.Helper()
	r, messages, code := p.replay(verb, file, args...)
	if code != 0 || r.State != "done" || r.Downstream_unchanged == nil {
		p.t.Fatalf("replay %s: exit code %d: %+v: %s", verb, code, r, messages)
	}
	return r
}

// TestAReplayDoesEachRecordOnceWhateverKillsIt: of a topology that counts whatever it sees, so that each record shows. The first process
// is killed in the middle; the offsets of the group stay; a second run does nothing. The instance whose topology it is waits meanwhile, also
// while nobody runs the replay, and goes on by itself, with the folder of state that the replay has used.
func TestAReplayDoesEachRecordOnceWhateverKillsIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.begun(400) // 200 in each partition
	at := p.committed()
	file := p.file("replay: "+p.name, "from: {topic: "+p.in()+", start: {0: 0, 1: 50}}", "into: topology", "topology: "+p.name, "rate: 200/s")
	live := p.start()
	live.logs("tasks assigned")
	p.killed(file)
	live.logs("the topology is paused")
	if got := p.committed(); !slices.Equal(got, at) {
		t.Errorf("the offsets of the group are %v, and were %v", got, at)
	}
	r := p.replayed("resume", file)
	if r.Read != 350 || r.Replayed != 350 || r.Deduplicated != 0 || r.New_effects != 700 || *r.Downstream_unchanged {
		t.Errorf("%+v", r)
	}
	p.counts(400 + 350)
	if got := p.committed(); !slices.Equal(got, at) {
		t.Errorf("the offsets of the group are %v, and were %v", got, at)
	}
	if again := p.replayed("run", file); fmt.Sprint(again.Partitions) != fmt.Sprint(r.Partitions) {
		t.Errorf("again: %+v", again)
	}
	p.counts(400 + 350)
	live.logs("the topology is resumed")
	p.send(20) // it goes on where the group was
	p.done()
	live.stop()
	p.counts(400 + 350 + 20)
}

// TestAReplayAnswersItsLettersWhateverKillsIt: records whose letters are open are processed again by a build that is mended, on a state that is
// rebuilt. Each is counted by the replay, and by no redrive after it.
func TestAReplayAnswersItsLettersWhateverKillsIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const good, bad = 100, 200
	p.begun(good)
	fail := func() {
		p.mended = false
		l := p.start()
		p.sendBad(bad)
		p.done()
		l.stop()
		p.mended = true
		if n := p.open(); n != bad {
			t.Fatalf("%d letters are open, want %d", n, bad)
		}
	}
	fail()
	fingerprint := p.groups()[0].Fingerprint
	file := func(state string) string {
		return p.file("replay: "+p.name+"-"+state, "from: {topic: "+p.in()+"}", "into: topology", "topology: "+p.name, "state: "+state, "rate: 200/s")
	}
	drained := func(r receipt) {
		t.Helper()
		if r.Letters_answered != bad {
			t.Errorf("%+v", r)
		}
		if r, _ := p.dlq("redrive", fingerprint, "--execute"); r.Selected != 0 {
			t.Errorf("%d letters are open after it", r.Selected)
		}
	}
	reset := file("reset")
	p.killed(reset)
	drained(p.replayed("resume", reset))
	p.counts(good + bad)
}

// TestAReplayThatKeepsTheStateLeavesItsLettersToARedriveWhateverKillsIt: records whose letters are open are left out by the replay, also by the process that goes on after a kill, and a redrive is
// refused until it is done. Then each has its effect once, by the redrive. A record that was redriven into the input itself is processed where its copy is, and nowhere else.
//
// Mutations, each seen to fail it: leavesOut without letterOpen; leavesOut without letterCopied.
func TestAReplayThatKeepsTheStateLeavesItsLettersToARedriveWhateverKillsIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const good, bad, copied = 60, 200, 10
	p.begun(good)
	p.mended = false
	l := p.start()
	p.sendBad(bad)
	p.send(good)
	p.done()
	l.stop()
	p.mended = true
	l = p.start()
	fingerprint := p.groups()[0].Fingerprint
	if r, messages := p.dlq("redrive", fingerprint, "--to", "origin", "--limit", fmt.Sprint(copied), "--execute"); r.Done != copied {
		t.Fatalf("%+v: %s", r, messages)
	}
	p.done()
	l.stop()
	p.counts(2*good + copied)
	file := p.file("replay: "+p.name, "from: {topic: "+p.in()+"}", "into: topology", "topology: "+p.name, "state: keep", "rate: 200/s")
	p.killed(file)
	if out, messages, code := p.tool("dlq", "redrive", "--topic", p.in()+".dlq", "--fingerprint", fingerprint, "--execute", "--json"); code == 0 || !strings.Contains(messages, "has begun and has not ended") {
		t.Errorf("a redrive beside it: exit code %d: %s%s", code, out, messages)
	}
	r := p.replayed("resume", file)
	if r.Read != 2*good+bad+copied || r.Filtered != bad || r.Replayed != 2*good+copied || r.Letters_answered != 0 || r.Dead_lettered != 0 {
		t.Errorf("%+v", r)
	}
	p.counts(2 * (2*good + copied))
	if n := p.open(); n != bad-copied {
		t.Errorf("%d letters are open after it, want %d", n, bad-copied)
	}
	if r, messages := p.dlq("redrive", fingerprint, "--execute"); r.Done != bad-copied {
		t.Errorf("%+v: %s", r, messages)
	}
	l = p.start()
	p.until("all are counted", func() (bool, string) {
		n := p.counted()
		return n >= 2*(2*good+copied)+bad-copied, fmt.Sprint(n)
	})
	p.done()
	l.stop()
	p.counts(2*(2*good+copied) + bad - copied)
}

// TestAReplayRebuildsAState of all that its input holds, also when it is killed while it does; no instance begins on half of one.
func TestAReplayRebuildsAState(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.begun(400)
	// What nobody knows of: counts of keys that no record has any more.
	p.must(p.client.ProduceSync(p.context(), &kgo.Record{Topic: p.log(), Partition: 0, Key: []byte("stray"), Value: []byte("1000")}).FirstErr())
	file := p.file("replay: "+p.name, "from: {topic: "+p.in()+"}", "into: topology", "topology: "+p.name, "state: reset", "outputs: suppress", "rate: 200/s")
	outputs := len(p.read(p.name + ".out.v1"))
	p.killed(file)
	r := p.replayed("resume", file)
	if r.Read != 400 || r.Replayed != 400 {
		t.Errorf("%+v", r)
	}
	last := map[string]string{}
	for _, r := range p.read(p.log()) {
		last[string(r.Key)] = string(r.Value)
	}
	if v, ok := last["stray"]; v != "" || !ok {
		t.Errorf("a key of the old state has %q", v)
	}
	l := p.start()
	p.send(20)
	p.done()
	l.stop()
	sum := 0
	for _, r := range p.read(p.log()) {
		last[string(r.Key)] = string(r.Value)
	}
	for _, v := range last {
		n := 0
		_, _ = fmt.Sscan(v, &n)
		sum += n
	}
	if sum != 420 {
		t.Errorf("%d records are counted, want 420", sum)
	}
	if n := len(p.read(p.name + ".out.v1")); n != outputs+20 {
		t.Errorf("%d outputs, want %d", n, outputs+20)
	}
}

// TestAReplayIntoATopicWritesEachRecordOnceWhateverKillsIt, with those that are chosen only, in order.
func TestAReplayIntoATopicWritesEachRecordOnceWhateverKillsIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.create(p.in(), nil)
	p.create(p.name+".copy.v1", nil)
	p.send(400)
	file := p.file("replay: "+p.name, "from: {topic: "+p.in()+"}", "where: {keys: ['0-[0-4]', '1-*']}", "into: topic", "topic: "+p.name+".copy.v1", "rewrite: {headers: {by: replay}}", "rate: 200/s")
	p.killed(file)
	r := p.replayed("run", file)
	if r.Read != 400 || r.Filtered != 100 || r.Replayed != 300 || r.New_effects != 300 || *r.Downstream_unchanged {
		t.Errorf("%+v", r)
	}
	keys := map[string]int{}
	for _, one := range p.read(p.name + ".copy.v1") {
		keys[string(one.Key)]++
		if len(one.Headers) == 0 || one.Headers[0].Key != "by" || string(one.Headers[0].Value) != "replay" || fmt.Sprint(one.Partition) != string(one.Key[:1]) {
			t.Fatalf("%+v", one)
		}
	}
	for key, n := range keys {
		if n != 20 {
			t.Errorf("key %s was written %d times, want 20", key, n)
		}
	}
	if len(keys) != 15 {
		t.Errorf("%d keys were written, want 15", len(keys))
	}
}

// TestAShadowOfALiveTopologyIsEqual, also when it is killed in the middle, and takes nothing from production.
func TestAShadowOfALiveTopologyIsEqual(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.begun(400)
	file := p.file("replay: "+p.name, "from: {topic: "+p.in()+"}", "into: shadow", "topology: "+p.name, "rate: 200/s")
	p.killed(file)
	l := p.start()
	p.send(100)
	r := p.replayed("run", file)
	p.done()
	l.stop()
	if r.Read != 400 || !*r.Downstream_unchanged || len(r.Differences) != 0 || r.Compared == nil || r.Compared.Keys != 20 || r.Compared.Equal != 20 {
		t.Errorf("%+v", r)
	}
	p.counts(500)
}

// TestASnapshotOfALiveTopologyIsOfItsOffsets: of a topology that counts each record once the sum of the counts is the offset.
func TestASnapshotOfALiveTopologyIsOfItsOffsets(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.begun(100)
	l := p.start("--commit-interval", "5ms")
	l.logs("tasks assigned")
	for n := range 3 {
		p.send(5000)
		dir := filepath.Join(p.t.TempDir(), fmt.Sprint("snap", n))
		out, messages, code := p.tool("state", "snapshot", "--folder", dir, "--json")
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, messages)
		}
		var m struct {
			Inputs []struct{ Partition, Offset int64 }
			Stores []struct {
				Partition int64
				File      string
			}
		}
		p.must(json.Unmarshal([]byte(out), &m))
		sums := map[int64]int64{}
		for _, s := range m.Stores {
			data, err := os.ReadFile(filepath.Join(dir, s.File))
			p.must(err)
			for line := range strings.Lines(string(data)) {
				var e struct{ Value string }
				p.must(json.Unmarshal([]byte(line), &e))
				var n int64
				_, err := fmt.Sscan(e.Value, &n)
				p.must(err)
				sums[s.Partition] += n
			}
		}
		if len(m.Inputs) != int(p.parts) {
			t.Fatalf("%+v", m)
		}
		for _, in := range m.Inputs {
			if sums[in.Partition] != in.Offset {
				t.Errorf("partition %d: %d records are counted, and the offset is %d", in.Partition, sums[in.Partition], in.Offset)
			}
		}
	}
	p.done()
	l.stop()
}
