//go:build integration && unix

package identity

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const forGood = "-1"

// A dead letter is kept by the time at which it was written, whatever the age of its record: one of a record that is 60 days old
// outlives the broker's passes over logs that have 30 days. A topic of old is warned of, and so is an output that does not keep
// what comes of old records.
//
// Mutations: the role DeadLetterTopic left out of specs; warnings without the dead-letter topic, or without the output.
func TestRetentionDoesNotDependOnTheInputsAge(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.parts = 1
	dead, out, control := p.name+".in.v1.dlq", p.name+".out.v1", p.name+".control"
	old := time.Now().Add(-60 * 24 * time.Hour).Truncate(time.Millisecond)
	p.create(p.in(), map[string]string{"retention.ms": forGood})
	p.create(out, map[string]string{"retention.ms": "86400000"})
	p.create(control, map[string]string{"retention.ms": "2592000000"})
	aged := func(topic string, n int) {
		for range n {
			p.must(p.client.ProduceSync(p.context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("bad"), Timestamp: old}).FirstErr())
		}
	}
	aged(p.in(), 3)
	l := p.start("--create-topics")
	p.done()
	l.logs("older than the output's retention")
	configs, err := p.admin.DescribeTopicConfigs(p.context(), dead, p.log())
	p.must(err)
	for _, c := range configs {
		kind := ""
		for _, e := range c.Configs {
			if e.Key == "message.timestamp.type" {
				kind = e.MaybeValue()
			}
		}
		if kind != "LogAppendTime" {
			t.Errorf("%s has message.timestamp.type %q", c.Name, kind)
		}
	}
	// The broker has passed over all logs once it has deleted a record of that age elsewhere, twice.
	for range 2 {
		aged(control, 1)
		end := p.ends(control)[0]
		p.until("a record of that age is deleted", func() (bool, string) {
			starts, err := p.admin.ListStartOffsets(p.context(), control)
			p.must(err)
			at, _ := starts.Lookup(control, 0)
			return at.Offset == end, ""
		})
	}
	letters := p.read(dead)
	if len(letters) != 3 {
		t.Fatalf("%d dead letters are left of 3", len(letters))
	}
	for _, l := range letters {
		if time.Since(l.Timestamp) > time.Hour {
			t.Errorf("the letter has the time %s", l.Timestamp)
		}
		if !hasTime(l.Headers, old) {
			t.Errorf("no header has the record's time %d: %.500v", old.UnixMilli(), l.Headers)
		}
	}
	l.stop()
	if bytes.Contains([]byte(l.said()), []byte("dead letters of old records vanish")) {
		t.Error("warned of a topic that is right")
	}

	create := "CreateTime"
	res, err := p.admin.AlterTopicConfigs(p.context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.timestamp.type", Value: &create}}, dead)
	p.must(err, res[0].Err)
	p.until("the setting is there", func() (bool, string) {
		configs, err := p.admin.DescribeTopicConfigs(p.context(), dead)
		p.must(err)
		for _, e := range configs[0].Configs {
			if e.Key == "message.timestamp.type" {
				return e.MaybeValue() == create, e.MaybeValue()
			}
		}
		return false, ""
	})
	l = p.start()
	l.logs("dead letters of old records vanish early")
	l.logs("--entity-name " + dead + " --add-config message.timestamp.type=LogAppendTime")
	l.stop()
}

func hasTime(headers []kgo.RecordHeader, at time.Time) bool {
	for _, h := range headers {
		for _, form := range [][]byte{[]byte(at.UTC().Format(time.RFC3339Nano)), []byte(at.UTC().Format("2006-01-02T15:04:05.000Z")), []byte(itoa(at.UnixMilli()))} {
			if bytes.Equal(h.Value, form) {
				return true
			}
		}
	}
	return false
}
