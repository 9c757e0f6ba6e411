// Package system has the topics in which Weir keeps what concerns several topologies: what operators have done, how far what they
// asked for has come, what they want of topologies, what instances say of themselves, and what teams declare of their events. They are made on first use with the right settings, and refused where they exist with wrong ones. Values are
// JSON with a version.
package system

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/internal/kafka"
)

// Topic is one of these topics.
type Topic struct {
	Name string // after the prefix of names (topic.prefix)

	policy    string            // the cleanup.policy that it needs
	config    map[string]string // the other settings that it is made with
	otherwise string            // what happens with another policy
}

// Jobs is where recorded resets are, and the jobs that move dead letters with their progress: the newest record of each key counts.
var Jobs = Topic{
	Name: "_weir.jobs", policy: "compact", config: map[string]string{"message.timestamp.type": "LogAppendTime"},
	otherwise: "recorded resets would be deleted with time",
}

// Audit is where each change by a tool is told, for a year: who did what, and why, and what came of it.
var Audit = Topic{
	Name: "_weir.audit", policy: "delete",
	config:    map[string]string{"message.timestamp.type": "LogAppendTime", "retention.ms": "31536000000"},
	otherwise: "of the changes that it tells only some would stay",
}

// Events is where teams declare their events: who may publish them, and how. The newest record of each key counts.
var Events = Topic{
	Name: "_weir.events", policy: "compact", config: map[string]string{"message.timestamp.type": "LogAppendTime"},
	otherwise: "declarations of events would be deleted with time",
}

// Owners is which gateway answers for which ids of events that are taken once. The newest record of each key counts.
var Owners = Topic{
	Name: "_weir.gateway.owners", policy: "compact", config: map[string]string{"message.timestamp.type": "LogAppendTime"},
	otherwise: "gateways would not find each other",
}

// Status is where instances announce themselves. The newest record of each key counts, until it is old: an instance that is not heard of any
// more is forgotten after a day.
var Status = Topic{
	Name: "_weir.status", policy: "compact,delete",
	// A segment that is written to is neither compacted nor deleted, so it is not to be large.
	config: map[string]string{"message.timestamp.type": "LogAppendTime", "retention.ms": "86400000", "segment.ms": "3600000",
		"segment.bytes": "16777216", "delete.retention.ms": "3600000"},
	otherwise: "it would keep each announcement of each instance for ever, or none but the newest ones of all",
}

// Desired is what operators want of topologies: whether they are paused. The newest record of each key counts.
var Desired = Topic{
	Name: "_weir.desired", policy: "compact", config: map[string]string{"message.timestamp.type": "LogAppendTime"},
	otherwise: "that a topology is paused would be forgotten with time",
}

// Of is the partition that is written and read, whatever the number of partitions: what these topics say needs an order.
func Of(topic string) kafka.TopicPartition { return kafka.TopicPartition{Topic: topic} }

// Spec is how the topic is made. name is its name in the cluster.
func (t Topic) Spec(name string) kafka.TopicSpec {
	config := map[string]string{"cleanup.policy": t.policy}
	for key, value := range t.config {
		config[key] = value
	}
	return kafka.TopicSpec{Name: name, Partitions: 1, ReplicationFactor: -1, Config: config}
}

// Check refuses a topic that would lose what is written to it, with an UnfitError.
func (t Topic) Check(info kafka.TopicInfo) error {
	if policy := info.Config["cleanup.policy"]; policy != "" && !kafka.SameSetting(policy, t.policy) {
		return &UnfitError{Topic: info.Name, Policy: policy, of: t}
	}
	return nil
}

// Cluster is what Ensure asks of a cluster.
type Cluster interface {
	Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error)
	CreateTopics(ctx context.Context, topics []kafka.TopicSpec) error
}

// Ensure makes the topic, or checks the one that exists.
func (t Topic) Ensure(ctx context.Context, cluster Cluster, name string) error {
	infos, err := cluster.Topics(ctx, []string{name})
	if err != nil {
		return err
	}
	if info, ok := infos[name]; ok {
		return t.Check(info)
	}
	return cluster.CreateTopics(ctx, []kafka.TopicSpec{t.Spec(name)})
}

// Source is what Read asks of a cluster.
type Source interface {
	Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error)
	Starts(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)
	Ends(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)
}

// Read calls each with the records that the topic holds, in order, and with none where there is no topic. name is its name in the
// cluster. One that would have lost records is refused with an UnfitError.
func (t Topic) Read(ctx context.Context, source Source, reader kafka.Reader, name string, each func(*kafka.Record) error) error {
	infos, err := source.Topics(ctx, []string{name})
	if err != nil {
		return err
	}
	info, ok := infos[name]
	if !ok {
		return nil
	}
	if err := t.Check(info); err != nil {
		return err
	}
	tp := Of(name)
	starts, err := source.Starts(ctx, []kafka.TopicPartition{tp})
	if err != nil {
		return err
	}
	ends, err := source.Ends(ctx, []kafka.TopicPartition{tp})
	if err != nil {
		return err
	}
	return kafka.Scan(ctx, reader, tp, starts[tp], ends[tp], each)
}

// UnfitError says that a topic has a cleanup policy with which records in it are lost. Whoever needs them cannot go on.
type UnfitError struct {
	Topic, Policy string

	of Topic
}

func (e *UnfitError) Error() string { return e.Problem(kafka.Config{}) }

// Problem is the error with the line of Kafka's own tools that mends it, on a cluster that is reached by the config.
func (e *UnfitError) Problem(c kafka.Config) string {
	return fmt.Sprintf("topic %s has cleanup.policy=%s: %s; set it with %s --alter --entity-type topics --entity-name %s --add-config cleanup.policy=%s",
		e.Topic, e.Policy, e.of.otherwise, c.Tool("kafka-configs.sh"), e.Topic, e.of.policy)
}
