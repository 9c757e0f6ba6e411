package embedded

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestEveryOptionIsHeardByTheBrokers: what Options say of topics, groups, ports and settings, and what they say by default.
//
// Mutations: BrokerConfigs, GroupMinSessionTimeout or AllowAutoTopicCreation left out; another default of Partitions; ports
// that do not follow each other.
func TestEveryOptionIsHeardByTheBrokers(t *testing.T) {
	for name, c := range map[string]struct {
		opts       Options
		partitions int // of a topic without a count
		auto       bool
		refused    []time.Duration // as session timeouts
		taken      []time.Duration
		maxBytes   string
	}{
		"defaults": {partitions: 4, refused: []time.Duration{time.Second, 5999 * time.Millisecond}, taken: []time.Duration{6 * time.Second}, maxBytes: "1048588"},
		"other": {opts: Options{Partitions: 7, AutoCreateTopics: true, MinSessionTimeout: time.Second, Config: map[string]string{"message.max.bytes": "70000"}},
			partitions: 7, auto: true, refused: []time.Duration{999 * time.Millisecond}, taken: []time.Duration{time.Second, 5 * time.Second}, maxBytes: "70000"},
	} {
		t.Run(name, func(t *testing.T) {
			broker, err := Start(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer broker.Close()
			client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.AllowAutoTopicCreation())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()

			create := kmsg.NewPtrCreateTopicsRequest()
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "counted", -1, -1
			create.Topics = append(create.Topics, topic)
			if res, err := create.RequestWith(ctx, client); err != nil || kerr.ErrorForCode(res.Topics[0].ErrorCode) != nil || int(res.Topics[0].NumPartitions) != c.partitions {
				t.Errorf("a topic without a count: %+v, %v; want %d partitions", res.Topics, err, c.partitions)
			}

			ask := kmsg.NewPtrMetadataRequest()
			asked := kmsg.NewMetadataRequestTopic()
			asked.Topic = kmsg.StringPtr("asked-for")
			ask.Topics, ask.AllowAutoTopicCreation = append(ask.Topics, asked), true
			if res, err := ask.RequestWith(ctx, client); err != nil || (res.Topics[0].ErrorCode == 0) != c.auto {
				t.Errorf("a topic that is asked for: %+v, %v; made %v wanted", res.Topics, err, c.auto)
			}

			for _, timeout := range append(c.refused, c.taken...) {
				join := kmsg.NewPtrJoinGroupRequest()
				join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", int32(timeout.Milliseconds()), 1000, "consumer"
				protocol := kmsg.NewJoinGroupRequestProtocol()
				protocol.Name = "range"
				join.Protocols = append(join.Protocols, protocol)
				res, err := join.RequestWith(ctx, client)
				if err != nil {
					t.Fatal(err)
				}
				refused := res.ErrorCode == kerr.InvalidSessionTimeout.Code
				if want := timeout < c.taken[0]; refused != want {
					t.Errorf("a session of %v: refused %v, want %v", timeout, refused, want)
				}
			}

			describe := kmsg.NewPtrDescribeConfigsRequest()
			resource := kmsg.NewDescribeConfigsRequestResource()
			resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeBroker, "0", []string{"message.max.bytes"}
			describe.Resources = append(describe.Resources, resource)
			res, err := describe.RequestWith(ctx, client)
			if err != nil || len(res.Resources) != 1 || len(res.Resources[0].Configs) != 1 || *res.Resources[0].Configs[0].Value != c.maxBytes {
				t.Errorf("message.max.bytes: %+v, %v; want %s", res, err, c.maxBytes)
			}
		})
	}
	t.Run("ports", func(t *testing.T) {
		for try := range 20 { // somebody else may have one of the ports
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			l.Close()
			broker, err := Start(Options{Addr: l.Addr().String(), Brokers: 3})
			if err != nil && try < 19 {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer broker.Close()
			for i, addr := range broker.Addrs() {
				if want := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i)); addr != want {
					t.Errorf("broker %d is at %s, want %s", i, addr, want)
				}
			}
			return
		}
	})
}
