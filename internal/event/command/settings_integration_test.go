//go:build integration && unix

package command_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
)

// A real Kafka takes the settings, and has none that a file may not have.
//
// Mutation seen to fail it: describedConfigs without flush.ms.
func TestARealKafkaHasTheSettingsOfAFile(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Options{})
	brokers := strings.Join(cluster.Addrs(), ",")
	tryTopicSettings(t, brokers, serve(t, "/subjects", "registry", "run", "--brokers", brokers), ofATopic)

	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	described, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, "order.placed.v1")
	if err != nil || len(described) != 1 || len(described[0].Configs) < 20 {
		t.Fatalf("%v, %v", described, err)
	}
	for _, c := range described[0].Configs {
		if !slices.Contains(kafka.TopicSettings(), c.Key) {
			t.Errorf("a topic has the setting %s, which a file may not have", c.Key)
		}
	}
}
