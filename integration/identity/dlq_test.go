//go:build integration && unix

package identity

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
)

// groups is what dlq list prints.
func (p *place) groups() (groups []struct {
	Fingerprint, Reason, Node string
	First, Last               time.Time // texts of them have no order: a fraction ends where its zeros begin
	Count                     int
}) {
	p.t.Helper()
	out, messages, code := p.tool("dlq", "list", "--topic", p.in()+".dlq", "--json")
	if code != 0 {
		p.t.Fatalf("dlq list: exit code %d: %s", code, messages)
	}
	p.must(json.Unmarshal([]byte(out), &groups))
	return groups
}

// open is how many letters are open.
func (p *place) open() (n int) {
	for _, g := range p.groups() {
		n += g.Count
	}
	return n
}

// dlq runs a verb on the letters of a fingerprint, and returns what it prints.
func (p *place) dlq(verb, fingerprint string, args ...string) (r struct{ Selected, Done int }, messages string) {
	p.t.Helper()
	out, messages, code := p.tool(append([]string{"dlq", verb, "--topic", p.in() + ".dlq", "--fingerprint", fingerprint, "--json"}, args...)...)
	if code != 0 {
		p.t.Fatalf("dlq %s: exit code %d: %s", verb, code, messages)
	}
	p.must(json.Unmarshal([]byte(out), &r))
	return r, messages
}

// sendBad writes records that are rejected, numbered by key.
func (p *place) sendBad(n int) {
	p.t.Helper()
	for i := range n {
		part := int32(i) % p.parts
		p.client.Produce(p.context(), &kgo.Record{Topic: p.in(), Partition: part, Key: fmt.Appendf(nil, "%d-%d", part, i/int(p.parts)%10), Value: fmt.Appendf(nil, "bad %04d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				p.t.Error(err)
			}
		})
	}
	p.must(p.client.Flush(p.context()))
}

// TestLettersAreRedrivenOnceWhateverKillsTheCommand: a poisoned topic is drained after the program was mended, the first command is
// killed in the middle, and each record is counted once, in the order of its key, also where the instance is killed too. Other readers
// of the input see nothing twice.
func TestLettersAreRedrivenOnceWhateverKillsTheCommand(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const good, bad = 40, 600
	p.begun(good)
	l := p.start()
	p.sendBad(bad)
	p.done()
	l.stop()
	groups := p.groups()
	if len(groups) != 1 || groups[0].Count != bad || groups[0].Node != "count" || groups[0].Reason == "" || groups[0].First.IsZero() || groups[0].Last.Before(groups[0].First) {
		t.Fatalf("the letters: %+v", groups)
	}
	fingerprint := groups[0].Fingerprint
	before := p.topics()
	if r, _ := p.dlq("redrive", fingerprint); r.Selected != bad || r.Done != 0 || !slices.Equal(before, p.topics()) {
		t.Fatalf("without --execute: %+v, topics %v", r, p.topics())
	}

	// The instance runs before there is a redrive topic.
	p.mended = true
	l = p.start()
	l.logs("tasks assigned")
	cmd := p.command("dlq", "redrive", "--topic", p.in()+".dlq", "--fingerprint", fingerprint, "--rate", "20", "--execute", "--why", "mended",
		"--brokers", strings.Join(p.cluster.Addrs(), ","))
	p.must(cmd.Start())
	p.until("some letters are redriven", func() (bool, string) { n := p.open(); return n < bad, fmt.Sprint(n) })
	p.must(cmd.Process.Kill())
	_ = cmd.Wait()
	left := p.open()
	if left == 0 || left == bad {
		t.Fatalf("%d letters are open after the kill: it was not in the middle", left)
	}
	p.must(l.cmd.Process.Kill()) // and the instance with it
	l.code()
	l = p.start()
	if r, _ := p.dlq("redrive", fingerprint, "--execute"); r.Done != r.Selected || r.Selected > left || r.Selected == 0 {
		t.Fatalf("the second command: %+v of %d", r, left)
	}
	p.until("all are counted", func() (bool, string) { n := p.counted(); return n >= good+bad, fmt.Sprint(n) })
	r, messages := p.dlq("redrive", fingerprint, "--execute")
	if r.Done != 0 || r.Selected != 0 || !strings.Contains(messages, "drained") {
		t.Errorf("the third command: %+v, %s", r, messages)
	}
	if n := len(p.groups()); n != 0 {
		t.Errorf("%d groups are left", n)
	}
	l.stop()
	p.counts(good + bad)
	last := map[string]string{}
	n := 0
	for _, r := range p.read(p.name + ".out.v1") {
		key, value := string(r.Key), string(r.Value)
		if !strings.HasPrefix(value, "bad") {
			continue
		}
		if n++; value <= last[key] {
			t.Errorf("key %s: %s came after %s", key, value, last[key])
		}
		last[key] = value
	}
	redriven := p.read(p.name + "-" + p.in() + "-redrive")
	if n != bad || len(redriven) != bad || len(p.read(p.in())) != good+bad {
		t.Errorf("%d emitted, %d redriven, %d in the input", n, len(redriven), len(p.read(p.in())))
	}
	for _, r := range redriven[:1] {
		var headers []deadletter.Header
		for _, h := range r.Headers {
			headers = append(headers, deadletter.Header{Key: h.Key, Value: h.Value})
		}
		if l, err := deadletter.Read(headers); err != nil || l.Redrives != 1 || l.First.Topic != p.in() || l.Topology != p.name {
			t.Errorf("a redriven record: %+v, %v", l, err)
		}
	}
	states := map[string]int{}
	for _, r := range p.read("_weir.audit") {
		var e struct{ What, State, Topic, Who string }
		p.must(json.Unmarshal(r.Value, &e))
		if e.Topic == p.in()+".dlq" && e.What == "dlq redrive" && e.Who != "" {
			states[e.State]++
		}
	}
	if states["begun"] != 2 || states["done"] != 1 {
		t.Errorf("the audit tells %v", states)
	}
}
