package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/system"
)

const lettersOf = "order.placed.v1.dlq"

// letter is a dead letter of record i of a partition, of a topology that the program does not contain.
func letter(partition int32, i int, message string, more ...deadletter.Header) *kgo.Record {
	r := &kgo.Record{Topic: lettersOf, Partition: partition, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "value %d", i)}
	headers := deadletter.Timed(deadletter.Headers([]deadletter.Header{{Key: "trace", Value: []byte("x")}}, deadletter.Cause{
		Topology: "customer-totals", Group: "customer-totals", Node: "accumulate", Topic: "order.placed.v1", Partition: partition, Offset: int64(i),
		Attempts: 1, Reason: "rejected", At: 1_700_000_000_000 + int64(i), Err: errors.New(message),
	}), 1_600_000_000_000)
	for _, h := range append(headers, more...) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// newLetters has an input of two partitions and its letters: 5 of one kind in each partition, 2 of another, one that was redriven too often,
// and one that was cut.
func newLetters(t *testing.T) *desk {
	d := newDesk(t, -1)
	d.fill()
	return d
}

func (d *desk) fill() {
	d.t.Helper()
	_, err := d.admin.CreateTopics(d.t.Context(), 2, 1, nil, "order.placed.v1", lettersOf)
	d.must(err)
	var records []*kgo.Record
	for i := range 5 {
		records = append(records, letter(0, i, fmt.Sprintf("amount %d is wrong", i)), letter(1, i, "amount 9 is wrong"))
	}
	records = append(records, letter(0, 10, "no customer"), letter(0, 11, "no customer"),
		letter(1, 12, "round and round", deadletter.Header{Key: deadletter.HeaderRedrives, Value: []byte("3")}),
		letter(1, 13, "large", deadletter.Header{Key: deadletter.HeaderCut, Value: []byte("1000")}))
	d.must(d.client.ProduceSync(d.t.Context(), records...).FirstErr())
}

func (d *desk) dlq(want int, args ...string) string {
	d.t.Helper()
	out, code := execute(append([]string{"dlq"}, append(args, "--brokers", d.addr)...), sound)
	if code != want {
		d.t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
	}
	return out
}

// data is the JSON in what a command says.
func (d *desk) data(out string, to any) {
	d.t.Helper()
	at := strings.IndexAny(out, "[{")
	if at < 0 {
		d.t.Fatalf("no JSON: %s", out)
	}
	d.must(json.NewDecoder(strings.NewReader(out[at:])).Decode(to))
}

func (d *desk) groups() map[string]int {
	d.t.Helper()
	var list []struct {
		Reason string
		Count  int
	}
	d.data(d.dlq(0, "list", "--topic", lettersOf, "--json"), &list)
	groups := map[string]int{}
	for _, g := range list {
		groups[g.Reason] += g.Count
	}
	return groups
}

func (d *desk) records(topic string) (n int64) {
	d.t.Helper()
	ends, err := d.admin.ListEndOffsets(d.t.Context(), topic)
	d.must(err)
	ends.Each(func(o kadm.ListedOffset) { n += max(0, o.Offset) })
	return n
}

var amounts = deadletter.Fingerprint("accumulate", "rejected", "amount 1 is wrong")

// TestTheCommandsOfFailuresMdDoWhatTheySay runs each command line of the page, in order.
//
// Mutation: Plan that does; resolved that looks at the selection alone; takes without refuses.
func TestTheCommandsOfFailuresMdDoWhatTheySay(t *testing.T) {
	d := newLetters(t)
	page, err := os.ReadFile("../../docs/failures.md")
	d.must(err)
	t.Chdir(t.TempDir())
	ran := 0
	for _, line := range strings.Split(string(page), "\n") {
		words, ok := strings.CutPrefix(line, "totals ")
		if !ok {
			continue
		}
		ran++
		fingerprint := amounts
		if strings.Contains(words, "discard") {
			fingerprint = deadletter.Fingerprint("accumulate", "rejected", "no customer")
		}
		words = strings.NewReplacer("localhost:9092", d.addr, "FINGERPRINT", fingerprint).Replace(words)
		var args []string
		for i, part := range strings.Split(words, `"`) { // a text in quotes is one argument
			if i%2 == 1 {
				args = append(args, part)
			} else {
				args = append(args, strings.Fields(part)...)
			}
		}
		before := d.groups()
		out, code := execute(args, orders.Totals)
		if code != 0 {
			t.Fatalf("%s: exit %d: %s", line, code, out)
		}
		after := d.groups()
		if changed := fmt.Sprint(before) != fmt.Sprint(after); changed != strings.Contains(line, "--execute") {
			t.Errorf("%s: %v became %v", line, before, after)
		}
	}
	if ran != 14 {
		t.Errorf("%d commands were run: count them on the page", ran)
	}
	if got := fmt.Sprint(d.groups()); got != "map[rejected: large:1 rejected: round and round:1]" {
		t.Errorf("left: %s", got)
	}
	if n := d.records("order.placed.v1"); n != 0 {
		t.Errorf("%d records came into the input", n)
	}
}

// TestRedrivesAreFactsInTheirTopic looks at what is redriven: to the partition of its record, with its headers, once.
//
// Mutation: target by key; Open that is not counted down.
func TestRedrivesAreFactsInTheirTopic(t *testing.T) {
	d := newLetters(t)
	var r struct {
		Selected, Done, Open int
		Refused              map[string]int
	}
	d.data(d.dlq(1, "redrive", "--topic", lettersOf, "--all", "--execute", "--json"), &r)
	if r.Selected != 12 || r.Done != 12 || r.Open != 2 || len(r.Refused) != 2 {
		t.Fatalf("%+v", r)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.DisableFetchSessions(), kgo.ConsumeTopics("customer-totals-order.placed.v1-redrive"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	d.must(err)
	defer reader.Close()
	for n := 0; n < 12; {
		reader.PollFetches(t.Context()).EachRecord(func(rec *kgo.Record) {
			n++
			var headers []deadletter.Header
			for _, h := range rec.Headers {
				headers = append(headers, deadletter.Header{Key: h.Key, Value: h.Value})
			}
			l, err := deadletter.Read(headers)
			if err != nil || l.Redrives != 1 || l.First.Partition != rec.Partition || string(rec.Value) != fmt.Sprintf("value %d", l.First.Offset) || l.Timestamp != 1_600_000_000_000 {
				t.Errorf("%d/%d: %+v, %v", rec.Partition, rec.Offset, l, err)
			}
		})
	}
	if out := d.dlq(1, "redrive", "--topic", lettersOf, "--all", "--execute"); !strings.Contains(out, "selected 0, done 0") || !strings.Contains(out, "redriven 3 times") {
		t.Errorf("again: %s", out)
	}
	d.data(d.dlq(1, "redrive", "--topic", lettersOf, "--all", "--force", "--execute", "--json"), &r)
	if r.Selected != 1 || r.Done != 1 || r.Open != 1 {
		t.Errorf("forced: %+v", r)
	}
	d.data(d.dlq(0, "discard", "--topic", lettersOf, "--all", "--execute", "--json"), &r)
	if out := d.dlq(0, "list", "--topic", lettersOf, "--json"); r.Done != 1 || !strings.Contains(out, "no letter is open, 14 were") || !strings.Contains(out, "[]") {
		t.Errorf("drained: %+v, %s", r, out)
	}
	if out := d.dlq(0, "redrive", "--topic", lettersOf, "--all", "--execute"); !strings.Contains(out, "is drained") {
		t.Errorf("a drained topic does not say so: %s", out)
	}
}

// TestLettersGoToTheirOriginAsTheyWere: with --to no header of the envelope goes along.
//
// Mutation: outgoing with the headers of the letter; the time of the record.
func TestLettersGoToTheirOriginAsTheyWere(t *testing.T) {
	d := newLetters(t)
	d.dlq(0, "redrive", "--topic", lettersOf, "--fingerprint", amounts, "--to", "origin", "--execute", "--rate", "1000")
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.DisableFetchSessions(), kgo.ConsumeTopics("order.placed.v1"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	d.must(err)
	defer reader.Close()
	for n := 0; n < 10; {
		reader.PollFetches(t.Context()).EachRecord(func(rec *kgo.Record) {
			if n++; len(rec.Headers) != 1 || rec.Headers[0].Key != "trace" || rec.Timestamp.UnixMilli() < 1_700_000_000_000 {
				t.Errorf("%v at %s", rec.Headers, rec.Timestamp)
			}
		})
	}
}

// TestWrongUseOfLettersIsRefused before anything is changed.
//
// Mutation: Check left out; --to that is not checked, or not against --topic; an audit that is not checked.
func TestWrongUseOfLettersIsRefused(t *testing.T) {
	d := newLetters(t)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "which letters?", []string{"redrive", "--topic", lettersOf, "--execute"}},
		{exitUsage, "which topic?", []string{"list"}},
		{exitUsage, "without --partition", []string{"discard", "--topic", lettersOf, "--offset", "3"}},
		{exitUsage, "--all is given", []string{"discard", "--topic", lettersOf, "--all", "--key", "k1"}},
		{exitUsage, "_weir.jobs is a topic of Kafka's or of Weir's own", []string{"redrive", "--topic", lettersOf, "--all", "--to", "_weir.jobs", "--execute"}},
		{exitUsage, "is a topic of Kafka's or of Weir's own (a retry topic)", []string{"redrive", "--topic", lettersOf, "--all", "--to", "customer-totals-order.placed.v1-retry-1m", "--execute"}},
		{exitUsage, "failures is the topic of the letters themselves", []string{"redrive", "--topic", "failures", "--all", "--to", "failures", "--execute"}},
		{exitFailure, "does not exist", []string{"list", "--topic", "nothing"}},
		{exitFailure, "nothing-here does not exist", []string{"redrive", "--topic", lettersOf, "--all", "--to", "nothing-here", "--execute"}},
	} {
		if out := d.dlq(c.code, c.args...); !strings.Contains(out, c.says) {
			t.Errorf("%v: %s", c.args, out)
		}
	}
	_, err := d.admin.DeleteTopics(t.Context(), system.Audit.Name)
	d.must(err)
	_, err = d.admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": new("compact")}, system.Audit.Name)
	d.must(err)
	if out := d.dlq(exitRefused, "redrive", "--topic", lettersOf, "--all", "--execute"); !strings.Contains(out, "--add-config cleanup.policy=delete") {
		t.Errorf("an audit that would be compacted: %s", out)
	}
	if n := len(d.groups()); n != 4 {
		t.Errorf("%d groups are open", n)
	}
}
