//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/topology"
)

// Two instances look up what a compacted topic of three partitions holds, from the first record on: the last committed value of each key,
// before and after the topic is recreated while they run.
//
// What each part of it is for is shown with damaged code in the simulation: processors/globals_test.go.
func TestAGlobalOnARealKafka(t *testing.T) {
	c := theCluster(t)
	const prefix = "global-test."
	orders := topology.Stream("order.placed.v1", codecs.String(), topology.Partitions(4))
	customers := topology.Global("customer.profile.v1", codecs.String(), topology.Partitions(3))
	named := topology.Stream("order.named.v1", codecs.String(), topology.Partitions(4))
	graph := topology.Define("naming", topology.Node("name", topology.On(orders, func(ctx topology.Context, key, customer string) error {
		name, _, err := customers.Lookup(ctx, customer)
		named.Emit(ctx, key, customer+" is "+name)
		return err
	}), topology.Uses(customers), topology.Emits(named)))

	client := func(opts ...kgo.Opt) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.Addrs()...), kgo.UnknownTopicRetries(-1))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	producer, writer := client(), client(kgo.TransactionalID(prefix+"writer"))
	admin := kadm.NewClient(producer)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func() {
		t.Helper()
		for deadline := time.Now().Add(drainBound); ; time.Sleep(200 * time.Millisecond) { // one of that name may be about to be deleted
			resp, err := admin.CreateTopic(t.Context(), 3, 3, map[string]*string{"cleanup.policy": new("compact")}, prefix+customers.Name())
			if err == nil && resp.Err == nil {
				everyBroker(t, c.Addrs(), "the new "+resp.Topic, func(ctx context.Context, broker *kgo.Broker) bool {
					of, ok := knownTopics(ctx, broker)[resp.Topic]
					return ok && of.TopicID == resp.ID
				})
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err, resp.Err)
			}
		}
	}
	profiles := func(commit bool, from, to int, name string) {
		t.Helper()
		must(writer.BeginTransaction())
		var failed kgo.FirstErrPromise
		for i := from; i < to; i++ {
			writer.Produce(t.Context(), &kgo.Record{Topic: prefix + customers.Name(), Key: fmt.Appendf(nil, "c%d", i), Value: fmt.Appendf(nil, "%s %d", name, i)}, failed.Promise())
		}
		must(errors.Join(writer.Flush(t.Context()), failed.Err()))
		must(writer.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)))
	}
	create()
	profiles(true, 0, 3000, "old")
	profiles(true, 0, 1000, "Ada")
	profiles(false, 0, 1000, "nobody")

	reader := client(kgo.ConsumeTopics(prefix+named.Name()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ask := func(customer string) {
		must(producer.ProduceSync(t.Context(), &kgo.Record{Topic: prefix + orders.Name(), Key: []byte(customer), Value: []byte(customer)}).FirstErr())
	}
	seen := map[string]bool{}
	answer := func(want string, ask func()) { // asks again until it comes: a copy follows in its own time
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), drainBound)
		defer cancel()
		for !seen[want] && ctx.Err() == nil {
			if ask != nil {
				ask()
			}
			poll, done := context.WithTimeout(ctx, time.Second)
			for _, r := range reader.PollFetches(poll).Records() {
				seen[strings.TrimSpace(string(r.Value))] = true
			}
			done()
		}
		if !seen[want] {
			t.Fatalf("%q did not come, but %v", want, seen)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for i := range 2 {
		go func() {
			ended <- weir.Run(ctx, graph, weir.Options{Brokers: c.Addrs(), TopicPrefix: prefix, CreateTopics: true, Workers: 1,
				StateDir: filepath.Join(t.TempDir(), fmt.Sprint(i))})
		}()
	}
	defer func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	for deadline := time.Now().Add(drainBound); ; {
		topics, err := admin.ListTopics(kafkatest.Uncached(t.Context()), prefix+orders.Name(), prefix+named.Name())
		must(err)
		if topics.Error() == nil && len(topics) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no topics")
		}
		time.Sleep(100 * time.Millisecond)
	}
	for i := range 8 { // the first answers that there are, from both instances
		ask(fmt.Sprint("c", i*100))
	}
	ask("c2999")
	for i := range 8 {
		answer(fmt.Sprintf("c%d is Ada %d", i*100, i*100), nil)
	}
	answer("c2999 is old 2999", nil)
	if len(seen) != 9 {
		t.Errorf("seen %v", seen)
	}
	profiles(true, 2999, 3000, "Grace")
	answer("c2999 is Grace 2999", func() { ask("c2999") })

	_, err := admin.DeleteTopics(t.Context(), prefix+customers.Name())
	must(err)
	create()
	writer = client(kgo.TransactionalID(prefix + "writer-2")) // it knows the new topic
	profiles(true, 0, 10, "Alan")
	answer("c5 is Alan 5", func() { ask("c5") })
	answer("c2999 is", func() { ask("c2999") }) // it is not in the topic any more
}
