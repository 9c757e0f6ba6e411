package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
)

// What the cluster denies while an instance runs was allowed before, or is allowed soon: whoever asked waits until somebody
// has mended it. So access that is denied, and a topic that is not there, are a *BlockedError, with what to do about it.

// subject is an error with what the cluster was asked about: a topic or a group.
type subject struct {
	what         string // as the error begins
	topic, group string
	err          error
}

func (s *subject) Error() string { return s.what + ": " + s.err.Error() }
func (s *subject) Unwrap() error { return s.err }

func ofTopic(topic string, err error) error {
	return &subject{what: "topic " + topic, topic: topic, err: err}
}

func ofPartition(tp TopicPartition, err error) error {
	return &subject{what: tp.String(), topic: tp.Topic, err: err}
}

func ofGroup(group string, err error) error {
	return &subject{what: "group " + group, group: group, err: err}
}

// final is the error of a question that asking again at once would not answer.
func final(op string, err error) error {
	for _, e := range flatten(err) {
		if b := denied(op, e); b != nil {
			return b
		}
	}
	return &Error{Fatal, op, err}
}

// denied is an answer that passes when somebody has mended the cluster, or its access, or nil.
func denied(op string, err error) *BlockedError {
	b := &BlockedError{TopicPartition: TopicPartition{Partition: -1}, Op: op, Err: err}
	s, ok := errors.AsType[*subject](err)
	switch {
	case !ok:
		s = &subject{}
	case err == error(s) && strings.HasSuffix(op, s.what):
		b.Err = s.err
	}
	topic, group := cmp.Or(s.topic, "in question"), cmp.Or(s.group, "in question")
	code, _ := errors.AsType[sarama.KError](err)
	switch {
	case connectClass(err) == Fatal:
		b.Remedy = remedyCredentials
	case code == sarama.ErrTopicAuthorizationFailed:
		b.Topic, b.Remedy = s.topic, fmt.Sprintf("allow this principal to READ and DESCRIBE topic %s", topic)
	case code == sarama.ErrGroupAuthorizationFailed:
		b.Remedy = fmt.Sprintf("allow this principal to READ and DESCRIBE group %s", group)
	case code == sarama.ErrClusterAuthorizationFailed:
		b.Remedy = "allow this principal to DESCRIBE the cluster, or what the error names"
	case code == sarama.ErrUnknownTopicOrPartition:
		b.Topic, b.Remedy = s.topic, fmt.Sprintf("make topic %s again, with at least as many partitions as before, or allow this principal to DESCRIBE it", topic)
	default:
		return nil
	}
	return b
}

const remedyCredentials = "the brokers refuse this client: check its credentials and certificates, and theirs"
