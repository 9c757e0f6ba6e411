package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/topology"
)

// trials adds numbers up, to 100 at most, and calls a service for those over 50. Customers that rates do not know fail.
func trials() *topology.Topology {
	in, out := topology.Stream("number.drawn.v1", codecs.Int64()), topology.Stream("number.summed.v1", codecs.Int64())
	rates := topology.Global("rate.set.v1", codecs.Int64())
	sums, bank := topology.Store("sums", codecs.Int64()), topology.Service("bank", topology.Breaker{})
	return topology.Define("trials", topology.Node("add", topology.On(in, func(ctx topology.Context, key string, n int64) error {
		sum, err := sums.Get(ctx, key)
		if err != nil {
			return err
		}
		if n == 0 {
			return ctx.Drop(topology.Filtered)
		}
		if n > 50 {
			_ = bank.Do(ctx, func(context.Context) error { return nil })
		}
		if _, known, err := rates.Lookup(ctx, key); err != nil || !known {
			return errors.Join(err, fmt.Errorf("no rate for %q", key))
		}
		if sum+n > 100 {
			return topology.Reject(fmt.Errorf("sum %d is over 100", sum+n))
		}
		sums.Set(ctx, key, sum+n)
		out.Emit(ctx, key, sum+n)
		return nil
	}), topology.Uses(sums, rates, bank), topology.Emits(out)))
}

const trialLetters = "number.drawn.v1.dlq"

func trialLetter(key, value, message string) *kgo.Record {
	r := &kgo.Record{Topic: trialLetters, Key: []byte(key), Value: []byte(value)}
	for _, h := range deadletter.Headers(nil, deadletter.Cause{
		Topology: "trials", Node: "add", Topic: "number.drawn.v1", Partition: 1, Offset: 7, Attempts: 1, Reason: "rejected", Err: topology.Reject(errors.New(message)),
	}) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

func newTrial(t *testing.T) *desk {
	d := newDesk(t, -1)
	t.Setenv("TMPDIR", t.TempDir())
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, "number.drawn.v1", "rate.set.v1", "trials-sums-changelog")
	d.must(err)
	_, err = d.admin.CreateTopics(t.Context(), 1, 1, nil, trialLetters)
	d.must(err)
	records := []*kgo.Record{
		{Topic: "rate.set.v1", Key: []byte("a"), Value: []byte("1")}, {Topic: "rate.set.v1", Key: []byte("b"), Value: []byte("1")},
		{Topic: "trials-sums-changelog", Partition: 1, Key: []byte("a"), Value: []byte("10")},
		{Topic: "trials-sums-changelog", Partition: 1, Key: []byte("a"), Value: []byte("60")},
		{Topic: "trials-sums-changelog", Partition: 0, Key: []byte("b"), Value: []byte("99")},
		trialLetter("a", "30", "x"), trialLetter("a", "30", "sum 7 is over 100"), // the first one passes, and then the second does not
		trialLetter("a", "0", "x"), trialLetter("b", "40", "x"), trialLetter("c", "5", "x"), trialLetter("a", "five", "x"), trialLetter("b", "51", "x"),
	}
	cut := trialLetter("a", "1", "x")
	cut.Headers = append(cut.Headers, kgo.RecordHeader{Key: deadletter.HeaderCut, Value: []byte("9")})
	stranger := letter(0, 1, "of another topology")
	stranger.Topic = trialLetters
	foreign := &kgo.Record{Topic: trialLetters, Key: []byte("b"), Value: []byte("10"), Headers: []kgo.RecordHeader{
		{Key: deadletter.HeaderTopic, Value: []byte("number.drawn.v1")}, {Key: deadletter.HeaderPartition, Value: []byte("1")}}}
	d.must(d.client.ProduceSync(t.Context(), append(records, cut, stranger, foreign)...).FirstErr())
	return d
}

// everything tells what the cluster holds. It asks with a client of its own: one that has asked before answers from memory, with topics that it
// only asked for.
func (d *desk) everything() string {
	d.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(d.addr))
	d.must(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopicsWithInternal(d.t.Context())
	d.must(err)
	ends, err := admin.ListEndOffsets(d.t.Context())
	d.must(err)
	groups, err := admin.ListGroups(d.t.Context())
	d.must(err)
	return fmt.Sprint(topics.Names(), groups.Groups(), ends.Offsets())
}

// Letters are tried on the state as it is now, each on what those before it have left, and nothing is written anywhere.
//
// Mutations, each seen to fail it: stores that begin empty; Unserved left out; changes that are taken back after each letter; a global that is
// not read; the folder that is left behind; untried that returns nothing.
func TestATrialSaysWhatWouldPassNow(t *testing.T) {
	d := newTrial(t)
	before := d.everything()
	type trial struct {
		Selected, Passed, Failed   int
		Outcomes, Outputs, Untried map[string]int
		Groups                     []struct {
			Reason        string
			Count, Before int
		}
	}
	try := func(args ...string) (r trial) {
		t.Helper()
		out, code := execute(append([]string{"dlq", "try", "--topic", trialLetters, "--brokers", d.addr, "--json"}, args...), trials())
		if code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
		d.data(out, &r)
		return r
	}
	for _, c := range []struct{ args, want string }{
		{"--all", `{10 4 3 map[filtered:1 processed:3] map[number.summed.v1:3] map[node add calls service bank: give --call-services to have it called:1 ` +
			`the letter does not hold its whole record:1 topology customer-totals is not in this program, or not the one that --topology names: run dlq try of the program that contains it:1] ` +
			`[{undecodable: decode value of number.drawn.v1: decode int64: strconv.ParseInt: parsing "five": invalid syntax 1 0} {rejected: sum 120 is over 100 1 1} {error: no rate for "c" 1 0}]}`},
		{"--all --call-services --limit 8", `{8 4 3 map[filtered:1 processed:3]`},
		{"--all --state empty --limit 2", `{2 2 0 map[processed:2] map[number.summed.v1:2] map[] []}`},
	} {
		got := fmt.Sprint(try(strings.Fields(c.args)...))
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.args, got, c.want)
		}
	}
	if after := d.everything(); after != before {
		t.Errorf("the cluster held\n%s\nand holds\n%s", before, after)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if out, code := execute([]string{"dlq", "try", "--topic", trialLetters, "--brokers", d.addr, "--all"}); code != exitUsage || !strings.Contains(out, "run the program of the topology") {
		t.Errorf("without a topology: exit %d: %s", code, out)
	}
	// Of the letters of another topology nothing is known here.
	if out, code := execute([]string{"dlq", "try", "--topic", trialLetters, "--brokers", d.addr, "--header", deadletter.HeaderTopology + "=customer-totals"}, trials()); code != exitFailure ||
		!strings.Contains(out, "none of the 1 letters was tried") || !strings.Contains(out, "topology customer-totals is not in this program") {
		t.Errorf("of another topology: exit %d: %s", code, out)
	}
	if out, code := execute([]string{"dlq", "try", "--topic", trialLetters, "--brokers", d.addr, "--key", "nobody"}, trials()); code != 0 || !strings.Contains(out, "no open letter is meant") {
		t.Errorf("of no letter: exit %d: %s", code, out)
	}
	if out, code := execute([]string{"dlq", "try", "--topic", trialLetters, "--brokers", d.addr, "--all"}, trials()); code != 0 || !strings.Contains(out, "selected 10: 4 would pass, 3 would fail again") {
		t.Errorf("in words: exit %d: %s", code, out)
	}
}
