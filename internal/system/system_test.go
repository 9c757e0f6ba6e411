package system

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// Mutations: Check that compares nothing; the policy of one topic for both; policies compared as texts.
func TestSystemTopicsAreCheckedBeforeTheyAreUsed(t *testing.T) {
	for _, c := range []struct {
		topic  Topic
		policy string
		says   string // "" where the topic will do
	}{
		{Jobs, "compact", ""},
		{Jobs, "", ""}, // it may not be read
		{Jobs, "delete", "deleted with time"},
		{Jobs, "compact,delete", "deleted with time"},
		{Audit, "delete", ""},
		{Audit, "compact", "only some would stay"},
		{Audit, "compact,delete", "cleanup.policy=delete"},
		{Status, "delete,compact", ""},
		{Status, "compact", "for ever"},
		{Status, "delete", "cleanup.policy=compact,delete"},
		{Desired, "delete", "forgotten with time"},
	} {
		err := c.topic.Check(kafka.TopicInfo{Name: "x." + c.topic.Name, Partitions: 4, Config: map[string]string{"cleanup.policy": c.policy}})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "x."+c.topic.Name)) {
			t.Errorf("%s with %q: %v", c.topic.Name, c.policy, err)
		}
		spec := c.topic.Spec("x")
		if err := c.topic.Check(kafka.TopicInfo{Name: spec.Name, Config: spec.Config}); err != nil || spec.Config["message.timestamp.type"] != "LogAppendTime" {
			t.Errorf("as it is made: %v, %v", spec, err)
		}
	}
}
