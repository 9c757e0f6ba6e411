package embedded_test

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
)

func ExampleStart() {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()

	ctx := context.Background()
	client, err := kafka.Dial(ctx, kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	err = client.CreateTopics(ctx, []kafka.TopicSpec{{Name: "order.placed.v1", Partitions: 3, ReplicationFactor: 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	topics, err := client.Topics(ctx, []string{"order.placed.v1", "order.cancelled.v1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for name, info := range topics {
		fmt.Println(name, "has", info.Partitions, "partitions")
	}
	// Output: order.placed.v1 has 3 partitions
}
