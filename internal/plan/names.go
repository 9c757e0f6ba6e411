package plan

import (
	"regexp"
	"strings"
	"time"
)

var eventName = regexp.MustCompile(`^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*\.v[1-9][0-9]*$`)

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// IsTopicName says whether Kafka takes a topic of that name.
func IsTopicName(topic string) bool {
	return topicName.MatchString(topic) && topic != "." && topic != ".."
}

// IsEventName says whether a topic is named entity.event_type.vN, as topics of events are.
func IsEventName(topic string) bool { return eventName.MatchString(topic) }

// Names says what topics and groups are called in a cluster.
type Names struct {
	// Prefix stands before every name (topic.prefix), so that several environments can share a cluster. It is part of the name as it is:
	// a dot between is the prefix's own.
	Prefix string
	// Real, if not nil, are streams that have another name than the prefix gives them: those of a shadow, by the names of streams.
	Real map[string]string
	// Schemas, if not nil, are topics by whose names schemas go of streams that are written elsewhere: production's, for a shadow.
	Schemas map[string]string
}

// What the names of topics have that Weir makes beside those of streams. Owned knows the topics by it.
const (
	deadLetterEnd = ".dlq"
	redriveEnd    = "-redrive"
	retryMiddle   = "-retry-"
	changelogEnd  = "-changelog"
)

// ParkedEnd is what the name of the store of parked records ends in, after that of an input.
const ParkedEnd = "-parked"

// Topic is what the stream's topic is called.
func (n Names) Topic(s *Stream) string {
	if real, ok := n.Real[s.Name]; ok {
		return real
	}
	if s.Unprefixed {
		return s.Name
	}
	return n.Prefix + s.Name
}

// SchemaTopic is the topic by whose name the schemas of a stream go in a registry.
func (n Names) SchemaTopic(s *Stream) string {
	if real, ok := n.Schemas[s.Name]; ok {
		return real
	}
	return n.Topic(s)
}

// DeadLetter is the topic to which a record of the input goes that failed in the node. It has the prefix also where its input has none.
func (n Names) DeadLetter(node *Node, input *Stream) string {
	if node.DeadLetter != "" {
		return n.Prefix + node.DeadLetter
	}
	return n.Prefix + input.Name + deadLetterEnd
}

// Redrive is the topic through which dead letters of an input come back to a topology, and to nobody else.
func (n Names) Redrive(topology string, input *Stream) string {
	return n.Prefix + topology + "-" + input.Name + redriveEnd
}

// IsRedriveOf says whether a topic is a redrive topic of the topology, by its name.
func (n Names) IsRedriveOf(topology, topic string) bool {
	return IsRedrive(topic) && strings.HasPrefix(topic, n.Prefix+topology+"-")
}

// IsRedrive says whether a topic is named as a redrive topic, of whatever topology and environment.
func IsRedrive(topic string) bool { return strings.HasSuffix(topic, redriveEnd) }

// Retry is the topic where records of an input are delayed that are tried again later.
func (n Names) Retry(topology string, input *Stream, delay time.Duration) string {
	return n.Prefix + topology + "-" + input.Name + retryMiddle + shortly(delay)
}

// RetryOf is the delay of a topic that is named as Retry names one of the input.
func (n Names) RetryOf(topology string, input *Stream, topic string) (delay time.Duration, ok bool) {
	text, ok := strings.CutPrefix(topic, n.Prefix+topology+"-"+input.Name+retryMiddle)
	if !ok {
		return 0, false
	}
	delay, err := time.ParseDuration(text)
	return delay, err == nil && delay > 0 && shortly(delay) == text
}

// shortly is a time without what is zero in it: 1h, not 1h0m0s.
func shortly(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// Changelog is the compacted topic behind a store of a topology.
func (n Names) Changelog(topology, store string) string {
	return n.Prefix + topology + "-" + store + changelogEnd
}

// Group is the consumer group of a topology.
func (n Names) Group(topology string) string { return n.Prefix + topology }

// System is one of the topics in which Weir keeps what concerns several topologies, such as _weir.jobs.
func (n Names) System(topic string) string { return n.Prefix + topic }
