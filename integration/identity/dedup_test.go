//go:build integration && unix

package identity

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sendIDs writes a record for each of the first n ids, in an order of its own, with times from at on. Each id has its key.
func (p *place) sendIDs(prefix string, n int, at time.Time) {
	p.t.Helper()
	for _, i := range rand.Perm(n) {
		part := int32(i) % p.parts
		p.client.Produce(p.context(), &kgo.Record{Topic: p.in(), Partition: part, Key: fmt.Appendf(nil, "%d-%d", part, i/int(p.parts)%10), Value: fmt.Appendf(nil, "%s %06d", prefix, i),
			Timestamp: at.Add(time.Duration(i) * time.Millisecond)}, func(_ *kgo.Record, err error) {
			if err != nil {
				p.t.Error(err)
			}
		})
	}
	p.must(p.client.Flush(p.context()))
}

// TestAProducerThatSendsAgainIsCountedOnce: a producer sends everything again, hours later and in another order, while the instance is killed again
// and again, once with its disk. Each id is counted once. What was rejected leaves no id: it is counted when the producer sends it again to
// a program that is mended, or when its letter is redriven, whichever comes first. Ids that are older than the window are deleted from
// the changelog, and counted again.
func TestAProducerThatSendsAgainIsCountedOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.window = 24 * time.Hour
	const ids, bad, rounds = 4000, 20, 3
	start := time.Now().Add(-4 * 24 * time.Hour) // the broker keeps a week
	p.begun(0)
	l := p.start()
	p.sendIDs("good", ids, start)
	p.sendIDs("bad", bad, start)
	p.sendIDs("good", ids/2, start)
	p.done()
	p.counts(ids)
	want := ids
	for round := range rounds {
		later := start.Add(time.Duration(round+1) * 5 * time.Hour)
		p.sendIDs("good", ids, later)
		p.sendIDs(fmt.Sprint("more", round), ids/4, later)
		p.until("the instance is in the middle", func() (bool, string) { n := p.counted(); return n > want, fmt.Sprint(n) })
		p.must(l.cmd.Process.Kill())
		l.code()
		if round == 1 {
			p.must(os.RemoveAll(p.dir))
		}
		l = p.start()
		p.done()
		want += ids / 4
		p.counts(want)
	}
	l.stop()

	p.mended = true
	l = p.start()
	p.sendIDs("bad", bad/2, start.Add(16*time.Hour))
	p.done()
	want += bad / 2
	p.counts(want)
	groups := p.groups()
	if len(groups) != 1 || groups[0].Count != bad {
		t.Fatalf("the letters: %+v", groups)
	}
	p.dlq("redrive", groups[0].Fingerprint, "--execute")
	want += bad - bad/2
	p.until("the letters are counted that are no duplicates", func() (bool, string) { n := p.counted(); return n >= want, fmt.Sprint(n) })

	p.sendIDs("later", 2*ids, start.Add(72*time.Hour))
	p.done()
	p.sendIDs("good", 10, start.Add(73*time.Hour))
	p.done()
	l.stop()
	p.counts(want + 2*ids + 10)
	tombstones, kept := 0, map[string]bool{}
	for _, r := range p.read(p.name + "-count-ids-changelog") {
		switch {
		case r.Value == nil:
			tombstones++
			delete(kept, string(r.Key))
		case string(r.Key) != "clock":
			kept[string(r.Key)] = true
		}
	}
	if tombstones != want || len(kept) != 2*ids+10 {
		t.Errorf("%d tombstones and %d ids in the changelog, want %d and %d", tombstones, len(kept), want, 2*ids+10)
	}
}
