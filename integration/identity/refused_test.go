//go:build integration && unix

package identity

import (
	"slices"
	"testing"
)

// A store that would begin empty behind processed records is refused although topics may be created: its changelog was deleted, or
// the store was renamed. --accept-empty-state goes on, and says so. The refused start leaves no topic.
//
// Mutation: planTopics that takes Create for AcceptEmptyState.
func TestEmptyStateBehindProcessedRecordsTakesAWordOfItsOwn(t *testing.T) {
	for name, do := range map[string]func(p *place){
		"renamed": func(p *place) { p.store = "other" },
		"deleted": func(p *place) { p.deleteTopic(p.log()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.begun(100)
			do(p)
			before := p.topics()
			for _, flags := range [][]string{{"--create-topics"}, nil} {
				p.start(flags...).refused(p.log(), "would begin empty", "--accept-empty-state")
				if after := p.topics(); !slices.Equal(before, after) {
					t.Errorf("there were %v, and the refused start left %v", before, after)
				}
			}
			l := p.start("--accept-empty-state")
			p.send(40)
			p.done()
			l.logs("a store begins empty although records of its inputs were processed before")
			l.stop()
			p.counts(40)
			l = p.start("--create-topics") // the next one needs no word
			p.send(10)
			p.done()
			l.stop()
			p.counts(50)
		})
	}
}

// A start that is refused leaves no topic that would stand in the way of the correction, and the correction works.
//
// Mutation: CreateTopics before planTopics has checked; without ValidateTopics.
func TestARefusedStartLeavesNoTopic(t *testing.T) {
	for _, c := range []struct {
		name, why string
		flags     []string
		before    func(p *place)
	}{
		{"more replicas than brokers", "replication", []string{"--replication-factor", "7"}, func(p *place) {}},
		{"nowhere to begin", "auto.offset.reset is none", []string{"--auto.offset.reset", "none"}, func(p *place) { p.create(p.in(), nil) }},
		{"a changelog that forgets", "cleanup.policy", nil, func(p *place) { p.create(p.log(), map[string]string{"cleanup.policy": "delete"}) }},
		{"a changelog of another count", "partitions", []string{"--partitions", "5"}, func(p *place) { p.create(p.log(), map[string]string{"cleanup.policy": "compact"}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			c.before(p)
			before := p.topics()
			p.start(append([]string{"--create-topics"}, c.flags...)...).refused(c.why)
			if after := p.topics(); !slices.Equal(before, after) {
				t.Errorf("there were %v, and the refused start left %v", before, after)
			}
			if c.name == "a changelog that forgets" {
				p.deleteTopic(p.log())
			}
			p.begun(20)
		})
	}
}
