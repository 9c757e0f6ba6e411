package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A question that the cluster denies is blocked, and says what to allow, by name.
//
// Mutations: final without the loop; denied without one of its cases; ofPartition without the topic; committedOnce with the
// bare code.
func TestADeniedQuestionSaysWhatToAllow(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), APITimeout: 5 * time.Second, RetryBackoff: time.Millisecond, RetryBackoffMax: 2 * time.Millisecond})
	tp := TopicPartition{Topic: "a", Partition: 0}
	ends := func(ctx context.Context) error { _, err := c.Ends(ctx, []TopicPartition{tp}); return err }
	topics := func(ctx context.Context) error { _, err := c.Topics(ctx, []string{"a"}); return err }
	committed := func(ctx context.Context) error { _, err := c.Committed(ctx, "g", []TopicPartition{tp}); return err }
	members := func(ctx context.Context) error { _, err := c.Members(ctx, "g"); return err }
	epochs := func(ctx context.Context) error {
		_, err := c.EpochEnds(ctx, map[TopicPartition]int32{tp: 0})
		return err
	}
	const topic, group, again = "allow this principal to READ and DESCRIBE topic a", "allow this principal to READ and DESCRIBE group g", "make topic a again"
	for _, tc := range []struct {
		name   string
		call   func(context.Context) error
		key    kmsg.Key
		err    *kerr.Error
		remedy string
	}{
		{"ends", ends, kmsg.ListOffsets, kerr.TopicAuthorizationFailed, topic},
		{"ends", ends, kmsg.Metadata, kerr.TopicAuthorizationFailed, topic},
		{"ends", ends, kmsg.ListOffsets, kerr.UnknownTopicOrPartition, again},
		{"topics", topics, kmsg.Metadata, kerr.TopicAuthorizationFailed, topic},
		{"epochs", epochs, kmsg.OffsetForLeaderEpoch, kerr.TopicAuthorizationFailed, topic},
		{"committed", committed, kmsg.OffsetFetch, kerr.GroupAuthorizationFailed, group},
		{"committed", committed, kmsg.FindCoordinator, kerr.GroupAuthorizationFailed, group},
		{"members", members, kmsg.DescribeGroups, kerr.GroupAuthorizationFailed, group},
	} {
		t.Run(tc.name+" "+tc.key.Name()+" "+tc.err.Message, func(t *testing.T) {
			fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, Err: tc.err, Count: -1})
			defer fault.Remove()
			err := tc.call(t.Context())
			b, ok := err.(*BlockedError)
			if !ok || !strings.Contains(b.Remedy, tc.remedy) {
				t.Errorf("%v: %+v", err, b)
			}
		})
	}
}
