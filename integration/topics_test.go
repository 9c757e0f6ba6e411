//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/kafkatest"
)

// wipe deletes what an earlier scenario left, and waits until it is gone.
func (r *rig) wipe() {
	r.t.Helper()
	ctx := r.context(drainBound)
	topics := []string{r.names.Input, r.names.Output, r.names.DeadLetter, r.names.Changelog}
	for {
		_, err := r.admin.DeleteTopics(ctx, topics...)
		if err == nil {
			err = r.dismiss(ctx)
		}
		if err == nil {
			_, err = r.admin.DeleteGroups(ctx, r.names.Group)
		}
		var left []string
		if err == nil {
			var listed kadm.TopicDetails
			if listed, err = r.admin.ListTopics(kafkatest.Uncached(ctx)); err == nil {
				for _, topic := range topics {
					if listed.Has(topic) {
						left = append(left, topic)
					}
				}
				if groups, gerr := r.admin.ListGroups(ctx); gerr != nil {
					err = gerr
				} else if _, ok := groups[r.names.Group]; ok {
					left = append(left, "group "+r.names.Group)
				}
				if err == nil && len(left) == 0 {
					return
				}
			}
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("wipe the cluster: %v; left: %v", err, left)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// dismiss takes static members out of the group, which would stay until their sessions end.
func (r *rig) dismiss(ctx context.Context) error {
	groups, err := r.admin.DescribeGroups(ctx, r.names.Group)
	if err != nil {
		return err
	}
	leave := kadm.LeaveGroup(r.names.Group)
	static := false
	for _, m := range groups[r.names.Group].Members {
		if m.InstanceID != nil {
			leave = leave.InstanceIDs(*m.InstanceID)
			static = true
		}
	}
	if static {
		_, err = r.admin.LeaveGroup(ctx, leave)
	}
	return err
}

func (r *rig) createTopics() {
	r.t.Helper()
	for _, topic := range []string{r.names.Input, r.names.Output, r.names.DeadLetter} {
		r.createTopic(topic, nil)
	}
	r.createTopic(r.names.Changelog, compacted(r.opts.changelog))
	r.awaitTopics(r.names.Input, r.names.Output, r.names.DeadLetter, r.names.Changelog)
}

// compacted are the settings of a topic that is compacted, with further ones.
func compacted(further map[string]string) map[string]*string {
	compact := "compact"
	config := map[string]*string{"cleanup.policy": &compact}
	for key, value := range further {
		config[key] = &value
	}
	return config
}

// awaitTopics waits until every broker knows the topics: a controller answers before the brokers have heard.
func (r *rig) awaitTopics(topics ...string) {
	r.t.Helper()
	awaitTopics(r.t, r.cluster.brokers(), topics...)
}

func awaitTopics(t *testing.T, brokers []string, topics ...string) {
	t.Helper()
	everyBroker(t, brokers, fmt.Sprint("topics ", topics), func(ctx context.Context, broker *kgo.Broker) bool {
		known := knownTopics(ctx, broker)
		return !slices.ContainsFunc(topics, func(topic string) bool {
			of, ok := known[topic]
			return !ok || slices.ContainsFunc(of.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.Leader < 0 })
		})
	})
}

// knownTopics are the topics that a broker knows, nil where it does not answer.
func knownTopics(ctx context.Context, broker *kgo.Broker) map[string]kmsg.MetadataResponseTopic {
	answer, err := broker.Request(ctx, kmsg.NewPtrMetadataRequest())
	if err != nil {
		return nil
	}
	known := map[string]kmsg.MetadataResponseTopic{}
	for _, t := range answer.(*kmsg.MetadataResponse).Topics {
		if t.Topic != nil {
			known[*t.Topic] = t
		}
	}
	return known
}

// everyBroker asks each broker until it says yes.
func everyBroker(t *testing.T, brokers []string, what string, ok func(context.Context, *kgo.Broker) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), drainBound)
	defer cancel()
	for _, addr := range brokers {
		client, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			t.Fatal(err)
		}
		for !ok(ctx, client.SeedBrokers()[0]) {
			if ctx.Err() != nil {
				client.Close()
				t.Fatalf("broker %s does not know of %s", addr, what)
			}
			time.Sleep(50 * time.Millisecond)
		}
		client.Close()
	}
}

func (r *rig) createTopic(topic string, config map[string]*string) {
	r.t.Helper()
	if config == nil {
		config = map[string]*string{}
	}
	factor := int16(min(3, r.cluster.size()))
	inSync := strconv.Itoa(max(1, int(factor)-1))
	config["min.insync.replicas"] = &inSync
	ctx := r.context(drainBound)
	for {
		answer, err := r.admin.CreateTopic(ctx, int32(r.opts.partitions), factor, config, topic)
		if err == nil && answer.Err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			return
		}
		if ctx.Err() != nil {
			r.t.Fatalf("create topic %s: %v", topic, errors.Join(err, answer.Err))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// deleteTopic waits until no broker takes records for the topic any more: these would go with it.
func (r *rig) deleteTopic(topic string) {
	r.t.Helper()
	if answer, err := r.admin.DeleteTopic(r.context(drainBound), topic); err != nil || answer.Err != nil {
		r.t.Fatalf("delete %s: %v %v", topic, err, answer.Err)
	}
	everyBroker(r.t, r.cluster.brokers(), "the deletion of "+topic, func(ctx context.Context, broker *kgo.Broker) bool {
		known := knownTopics(ctx, broker)
		_, is := known[topic]
		return known != nil && !is
	})
}
