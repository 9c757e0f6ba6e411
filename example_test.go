package weir_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// watcher hears how records end, and stops the program after the second one.
type watcher struct{ stop func() }

func (w watcher) OnRecordEnded(r processors.RecordEnded) {
	fmt.Printf("offset %d: %s\n", r.Offset, r.Outcome)
	if r.Offset == 1 {
		w.stop()
	}
}

func (w watcher) OnDeadLettered(l processors.DeadLettered) {
	fmt.Printf("offset %d is in %s: %s\n", l.Offset, l.DeadLetterTopic, l.Err)
}

// An instance inside a program of one's own, with a hook that hears how records end, and a plain Kafka client on both sides of it. In a
// program of yours this function is main.
func ExampleRun() {
	broker, err := embedded.Start(embedded.Options{Partitions: 1, AutoCreateTopics: true}) // instead of a cluster
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()

	names := topology.Stream("user.registered.v1", codecs.String())
	greeted := topology.Stream("user.greeted.v1", codecs.String())
	greeter := topology.Define("greeter", topology.Node("greet", topology.Emits(greeted), topology.DeadLetter("user.registered.v1.dlq"),
		topology.On(names, func(ctx topology.Context, key, name string) error {
			if strings.TrimSpace(name) == "" {
				return topology.Reject(fmt.Errorf("user %s has no name", key))
			}
			greeted.Emit(ctx, key, "hello "+name)
			return nil
		})))

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := register(ctx, broker, "ada", ""); err != nil {
		fmt.Println(err)
		return
	}
	err = weir.Run(ctx, greeter, weir.Options{
		Brokers:      broker.Addrs(),
		CreateTopics: true,
		Hooks:        []processors.Hook{watcher{stop: cancel}},
		Settings:     map[string]string{"partitions": "1"},
	})
	fmt.Println("ended with", err)
	if err := greetings(context.Background(), broker, 1); err != nil {
		fmt.Println(err)
	}
	// Output:
	// offset 0: processed
	// offset 1: dead_lettered
	// offset 1 is in user.registered.v1.dlq: rejected: user 1 has no name
	// ended with <nil>
	// greeted: hello ada
}

// register writes an event for each user, as any Kafka client does.
func register(ctx context.Context, broker *embedded.Broker, names ...string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.AllowAutoTopicCreation())
	if err != nil {
		return err
	}
	defer client.Close()
	for n, name := range names {
		event := &kgo.Record{Topic: "user.registered.v1", Key: []byte(fmt.Sprint(n)), Value: []byte(name)}
		if err := client.ProduceSync(ctx, event).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// greetings reads n records that the instance has written and committed.
func greetings(ctx context.Context, broker *embedded.Broker, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DisableFetchSessions(), kgo.ConsumeTopics("user.greeted.v1"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	for n > 0 {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		fetched.EachRecord(func(r *kgo.Record) {
			fmt.Printf("greeted: %s\n", r.Value)
			n--
		})
	}
	return nil
}
