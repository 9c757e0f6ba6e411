package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behind starts an embedded broker with a proxy in front of it. The broker advertises its own port, so the client dials
// the proxy whatever it is told.
func behind(t *testing.T, opts ...kgo.Opt) (*Proxy, *kgo.Client) {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	p, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	p.Forward(broker.ListenAddrs()[0])
	var dialer net.Dialer
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(p.Addr()), kgo.DefaultProduceTopic("t"), kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, p.Addr())
		}),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return p, cl
}

func produce(cl *kgo.Client, n int) error {
	for i := range n {
		if err := cl.ProduceSync(context.Background(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func end(t *testing.T, cl *kgo.Client) int64 {
	t.Helper()
	listed, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	o, _ := listed.Lookup("t", 0)
	return o.Offset
}

// An idempotent producer writes everything once through all of it. Mutation: forward a cut request whole.
func TestEveryActionStrikesAndAnIdempotentProducerSurvives(t *testing.T) {
	for _, rule := range []Rule{
		{Action: CutRequest, Probability: 0.3},
		{Action: LoseAnswer, Probability: 0.3},
		{Action: CutAnswer, Probability: 0.3},
		{Action: Delay, Probability: 0.5, Min: time.Millisecond, Max: 5 * time.Millisecond},
	} {
		t.Run(rule.Action.String(), func(t *testing.T) {
			p, cl := behind(t)
			rule.Keys = []Key{Produce}
			p.Inject(7, rule)
			if err := produce(cl, 100); err != nil {
				t.Fatal(err)
			}
			p.Inject(0)
			if n := end(t, cl); n != 100 {
				t.Errorf("%d records in the topic, wanted 100", n)
			}
			strikes := p.Strikes()
			if n := strikes[Strike{Produce, rule.Action}]; n < 15 || len(strikes) != 1 {
				t.Errorf("strikes: %v", strikes)
			}
		})
	}
}

// Mutation: close the connection before the broker has answered.
func TestALostAnswerIsOfWorkThatWasDone(t *testing.T) {
	p, cl := behind(t, kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RequestRetries(0))
	if err := produce(cl, 1); err != nil {
		t.Fatal(err)
	}
	p.Inject(1, Rule{Action: LoseAnswer, Probability: 1, Keys: []Key{Produce}})
	err := produce(cl, 1)
	p.Inject(0)
	if n := end(t, cl); err == nil || n != 2 {
		t.Errorf("produce: %v, and %d records in the topic, wanted an error and 2", err, n)
	}
}

// Mutation: as LoseAnswer, send the whole request.
func TestACutRequestIsOfWorkThatWasNotDone(t *testing.T) {
	p, cl := behind(t, kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RequestRetries(0))
	p.Inject(1, Rule{Action: CutRequest, Probability: 1, Keys: []Key{Produce}})
	err := produce(cl, 1)
	p.Inject(0)
	if n := end(t, cl); err == nil || n != 0 {
		t.Errorf("produce: %v, and %d records in the topic, wanted an error and 0", err, n)
	}
}

// Mutation: close the client's connection in Silence: the error comes before the deadline.
func TestSilenceLeavesTheClientToGiveUp(t *testing.T) {
	p, cl := behind(t)
	p.Inject(1, Rule{Action: Silence, Probability: 1, Keys: []Key{ListOffsets}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := kadm.NewClient(cl).ListEndOffsets(ctx, "t"); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("answered before the deadline: %v", err)
	}
	if n := p.Strikes()[Strike{ListOffsets, Silence}]; n != 1 {
		t.Errorf("%d requests struck, wanted 1: the client gave up early", n)
	}
}

// Mutation: let Refuse leave open connections alone.
func TestARefusedBrokerIsGoneUntilItIsBack(t *testing.T) {
	p, cl := behind(t)
	if err := produce(cl, 1); err != nil {
		t.Fatal(err)
	}
	p.Refuse(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := cl.Ping(ctx); err == nil {
		t.Error("reached the broker")
	}
	p.Refuse(false)
	if err := produce(cl, 1); err != nil {
		t.Error(err)
	}
}

// Mutation: draw from one source for all keys; or leave the key out of the seed.
func TestASeedStrikesTheSameRequestsInAnyInterleaving(t *testing.T) {
	rules := []Rule{
		{Action: CutRequest, Probability: 0.2, Keys: []Key{Produce, EndTxn}},
		{Action: Delay, Probability: 0.3, Max: time.Second},
	}
	run := func(order []Key) map[Key][]verdict {
		p := &Proxy{requests: map[Key]uint64{}, strikes: map[Strike]int{}}
		p.Inject(42, rules...)
		got := map[Key][]verdict{}
		for _, key := range order {
			got[key] = append(got[key], p.decide(key))
		}
		return got
	}
	var one, other []Key
	for range 200 {
		one = append(one, Produce, EndTxn, Fetch)
	}
	for _, key := range []Key{Fetch, EndTxn, Produce} {
		for range 200 {
			other = append(other, key)
		}
	}
	a, b := run(one), run(other)
	if !reflect.DeepEqual(a, b) {
		t.Error("the interleaving changes what is struck")
	}
	if reflect.DeepEqual(a[Produce], a[EndTxn]) {
		t.Error("two kinds of request are struck in step")
	}
	cut := 0
	for _, v := range a[Produce] {
		if v.action == CutRequest {
			cut++
		}
	}
	if cut < 20 || cut > 60 {
		t.Errorf("%d of 200 cut, wanted about 40", cut)
	}
	for _, v := range a[Fetch] {
		if v.action == CutRequest {
			t.Error("a request was struck that the rule does not name")
		}
	}
}

func TestStrikesReadWell(t *testing.T) {
	for want, strike := range map[string]Strike{
		"lose answer of EndTxn": {EndTxn, LoseAnswer}, "delay of key 77": {Key(77), Delay},
	} {
		if got := strike.String(); !strings.EqualFold(got, want) {
			t.Errorf("%q, wanted %q", got, want)
		}
	}
}

// A client is told nothing else than the truth, but for one bit of a record. Mutations: the first byte of the batch flipped in place of the
// last; an answer without a batch counted.
func TestACorruptedAnswerDiffersInOneRecordBatch(t *testing.T) {
	p, cl := behind(t)
	if err := produce(cl, 3); err != nil {
		t.Fatal(err)
	}
	p.Inject(1, Rule{Action: Corrupt, Probability: 1, Keys: []Key{Fetch, ListOffsets}})
	if n := end(t, cl); n != 3 || p.Corrupted() != 0 {
		t.Errorf("the end of the topic is %d, and %d batches were made wrong, wanted 3 and 0", n, p.Corrupted())
	}
	fetch := func() []byte {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.MaxWaitMillis = 1<<20, 100
		topics, err := kadm.NewClient(cl).ListTopics(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		ft := kmsg.NewFetchRequestTopic()
		ft.Topic, ft.TopicID = "t", topics["t"].ID
		fp := kmsg.NewFetchRequestTopicPartition()
		fp.PartitionMaxBytes = 1 << 20
		ft.Partitions = append(ft.Partitions, fp)
		req.Topics = append(req.Topics, ft)
		answer, err := req.RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Topics[0].Partitions[0].RecordBatches
	}
	wrong := fetch()
	p.Inject(0)
	right := fetch()
	var differ []int
	for i := range right {
		if len(wrong) != len(right) || wrong[i] != right[i] {
			differ = append(differ, i)
		}
	}
	if !reflect.DeepEqual(differ, []int{len(right) - 1}) || p.Corrupted() != 1 {
		t.Errorf("bytes %v of %d and %d differ, %d batches were made wrong", differ, len(wrong), len(right), p.Corrupted())
	}
}
