package weir_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
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

// An instance inside a program of one's own, with a hook that hears how records end.
func ExampleRun() {
	broker, err := embedded.Start(embedded.Options{}) // instead of a cluster
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()

	names := topology.Stream("user.registered.v1", codecs.String())
	greetings := topology.Stream("user.greeted.v1", codecs.String())
	greeter := topology.Define("greeter", topology.Node("greet", topology.Emits(greetings), topology.DeadLetter("user.registered.v1.dlq"),
		topology.On(names, func(ctx topology.Context, key, name string) error {
			if strings.TrimSpace(name) == "" {
				return topology.Reject(fmt.Errorf("user %s has no name", key))
			}
			greetings.Emit(ctx, key, "hello "+name)
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
	// Output:
	// offset 0: processed
	// offset 1: dead_lettered
	// offset 1 is in user.registered.v1.dlq: rejected: user 1 has no name
	// ended with <nil>
}

// register writes an event for each user.
func register(ctx context.Context, broker *embedded.Broker, names ...string) error {
	client, err := kafka.Dial(ctx, kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	input := kafka.TopicPartition{Topic: "user.registered.v1"}
	if err := client.CreateTopics(ctx, []kafka.TopicSpec{{Name: input.Topic, Partitions: 1, ReplicationFactor: 1}}); err != nil {
		return err
	}
	sink, err := client.NewSink(ctx, "")
	if err != nil {
		return err
	}
	defer sink.Close()
	for n, name := range names {
		if err := sink.Append(&kafka.Outgoing{TopicPartition: input, Timestamp: time.Now().UnixMilli(), Key: []byte(fmt.Sprint(n)), Value: []byte(name)}); err != nil {
			return err
		}
	}
	return sink.Flush(ctx)
}
