//go:build integration && unix

package identity

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A store that would begin empty after processed records is refused although topics may be created: its changelog was deleted, or
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

// A changelog that was recreated, emptied or cut, with no store of it on the instance that starts, is refused although it is there:
// the committed offsets say what it was. Both ways out work, the second one with the loss that it names, and are asked for once.
//
// Mutation seen to fail it: marks without their changelogs (fault rule mark-changelogs).
func TestAChangelogThatDoesNotHoldTheStateIsRefused(t *testing.T) {
	// Kafka deletes records only where the policy is delete, as it is by mistake or for a while.
	policy := func(p *place, policy string) {
		res, err := p.admin.AlterTopicConfigs(p.context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, p.log())
		p.must(err, res[0].Err)
		p.until("the broker knows the policy "+policy, func() (bool, string) {
			configs, err := p.admin.DescribeTopicConfigs(p.context(), p.log())
			if err != nil || len(configs) != 1 {
				return false, fmt.Sprint(err)
			}
			for _, c := range configs[0].Configs {
				if c.Key == "cleanup.policy" {
					return c.MaybeValue() == policy, c.MaybeValue()
				}
			}
			return false, ""
		})
	}
	cut := func(p *place, to func(end int64) int64) {
		policy(p, "delete")
		defer policy(p, "compact")
		at := kadm.Offsets{}
		for part, end := range p.ends(p.log()) {
			at.Add(kadm.Offset{Topic: p.log(), Partition: int32(part), At: to(end)})
		}
		p.until("the records are deleted", func() (bool, string) { // the log heeds the policy a moment later
			res, err := p.admin.DeleteRecords(p.context(), at)
			err = errors.Join(err, res.Error())
			return err == nil, fmt.Sprint(err)
		})
	}
	for _, c := range []struct {
		name, why string
		do        func(p *place)
		left      bool // some of the state is left
	}{
		{"recreated", "deleted and created again", func(p *place) {
			p.deleteTopic(p.log())
			p.create(p.log(), map[string]string{"cleanup.policy": "compact"})
		}, false},
		{"emptied", "it is empty, and held state", func(p *place) { cut(p, func(end int64) int64 { return end }) }, false},
		{"cut", "so it does not hold the whole state", func(p *place) { cut(p, func(end int64) int64 { return end - 3 }) }, true},
	} {
		for _, way := range []string{"rebuild", "go on"} {
			t.Run(c.name+" "+way, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				p.begun(100)
				c.do(p)
				offsets := p.committed()
				p.must(os.RemoveAll(p.dir))
				for _, flags := range [][]string{nil, {"--create-topics"}} {
					said := p.start(flags...).refused(p.log(), c.why, "(1)", "(2)", "--accept-empty-state")
					if now := p.committed(); !slices.Equal(now, offsets) {
						t.Errorf("the refused start has committed: %v, then %v", offsets, now)
					}
					p.noMembers()
					if way == "rebuild" && flags != nil {
						p.deleteTopic(p.log())
						p.follow(ways(said, "--to earliest"))
					}
				}
				l := p.start("--accept-empty-state")
				p.send(10)
				p.done()
				l.stop()
				want := p.counted()
				if way == "rebuild" {
					p.counts(110)
				} else if (want > 10) != c.left || want >= 110 {
					t.Errorf("the accepted state counts %d records", want)
				}
				p.must(os.RemoveAll(p.dir))
				l = p.start() // the next one needs no word
				p.send(10)
				p.done()
				l.stop()
				if got := p.counted(); got != want+10 {
					t.Errorf("10 more records made %d of %d", got, want)
				}
			})
		}
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
