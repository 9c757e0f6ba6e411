package processors

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

const (
	cleanupPolicy = "cleanup.policy"
	retentionTime = "retention.ms"
	remoteStorage = "remote.storage.enable"
	timestampType = "message.timestamp.type"
	logAppendTime = "LogAppendTime"
)

// topicSettings are those with which a topic is created.
//
// What Weir alone writes takes the time at which it is appended: its retention must not depend on the age of the records
// that it stems from. A dead letter keeps its record's time in a header.
func topicSettings(t plan.Topic) map[string]string {
	config := map[string]string{}
	if t.Cleanup != "" {
		config[cleanupPolicy] = t.Cleanup
	}
	switch {
	case t.Retention < 0:
		config[retentionTime] = "-1"
	case t.Retention > 0:
		config[retentionTime] = strconv.FormatInt(t.Retention.Milliseconds(), 10)
	}
	if t.Tiered {
		config[remoteStorage] = "true"
	}
	if t.LocalRetention > 0 {
		config["local.retention.ms"] = strconv.FormatInt(t.LocalRetention.Milliseconds(), 10)
	}
	if t.MaxMessage > 0 {
		config["max.message.bytes"] = strconv.Itoa(t.MaxMessage)
	}
	if t.Role == plan.DeadLetterTopic || t.Role == plan.ChangelogTopic || t.Role == plan.RetryTopic {
		config[timestampType] = logAppendTime
	}
	return config
}

// statedSettings are those of a topic that its stream states: what is left to defaults is not held against a topic that exists.
func statedSettings(t plan.Topic) map[string]string {
	if t.Stream == nil {
		return nil
	}
	config := topicSettings(t)
	if !t.Stream.Compacted && t.Stream.Retention == 0 {
		delete(config, cleanupPolicy) // a Retention says that records are deleted by age and nothing else, or by nothing
	}
	if t.Stream.Retention == 0 || t.Cleanup == "compact" {
		delete(config, retentionTime) // which only compacting topics do not look at
	}
	return config
}

// warnOfOtherSettings names an existing topic whose settings are not what its stream states, with the command that changes them.
func (e *engine) warnOfOtherSettings(t plan.Topic, info kafka.TopicInfo) {
	if len(info.Config) == 0 {
		return // its settings may not be read
	}
	stated := statedSettings(t)
	var differs, changes []string
	for _, name := range slices.Sorted(maps.Keys(stated)) {
		has, known := info.Config[name]
		if !known && name == remoteStorage {
			has, known = "false", true
		}
		if !known || kafka.SameSetting(has, stated[name]) {
			continue
		}
		differs = append(differs, fmt.Sprintf("%s is %s, stated is %s", name, has, stated[name]))
		value := stated[name]
		if strings.Contains(value, ",") {
			value = "[" + value + "]"
		}
		changes = append(changes, name+"="+value)
	}
	if len(differs) > 0 {
		e.log.Warn("a topic exists with other settings than its stream states: change the topic, or what the stream states",
			zap.String("topic", t.Name), zap.Strings("differs", differs), zap.String("run", e.alter(t.Name, changes...)))
	}
}

// alter is the line of Kafka's own tools that changes settings of a topic, each as name=value.
func (e *engine) alter(topic string, settings ...string) string {
	add := strings.Join(settings, ",")
	if strings.Contains(add, "[") {
		add = "'" + add + "'"
	}
	return fmt.Sprintf("%s --alter --entity-type topics --entity-name %s --add-config %s", e.cluster().Tool("kafka-configs.sh"), topic, add)
}

// statedCount is the partition count that a topic's stream, or a stream that is processed together with it, states; 0: none.
func (e *engine) statedCount(topic string) int32 {
	for _, t := range e.graph.plan.Topics {
		if t.Name == topic {
			return t.Partitions
		}
	}
	return 0
}

// otherCounts lists the topics of streams that have another number of partitions than is stated. Which partition a key belongs to
// depends on it, so these are refused.
func (e *engine) otherCounts(infos map[string]kafka.TopicInfo) (problems []string) {
	for _, t := range e.graph.plan.Topics {
		info, ok := infos[t.Name]
		if !ok || t.Stream == nil || t.Partitions == 0 || t.Partitions == info.Partitions {
			continue
		}
		who, do := "its stream states", fmt.Sprintf("state Partitions(%d), or leave Partitions out", info.Partitions)
		if t.Stream.Partitions == 0 {
			who = fmt.Sprintf("it is processed together with %s, which states", t.PartitionsOf)
			do = "both need the same number: recreate one of them with the other's count"
		}
		problems = append(problems, fmt.Sprintf("%s topic %s has %d partitions, but %s %d: %s; to change the topic, see docs/adding-partitions.md",
			t.Role, t.Name, info.Partitions, who, t.Partitions, do))
	}
	return problems
}
