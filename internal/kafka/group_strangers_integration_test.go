//go:build integration

package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stranger is a member of another kind in a group, by the bare protocol.
type stranger struct {
	t      *testing.T
	client *kgo.Client
	links  *links
	group  string
	topic  string
	id     string
	epoch  int32
}

// strangers are the kinds: each enters the group, and leaves it. Only enter's error counts.
var strangers = map[string]struct {
	enter func(context.Context, *stranger) error
	leave func(context.Context, *stranger)
	named string // in the text of the instance that is refused
}{
	"consumer": {
		func(ctx context.Context, s *stranger) error { return s.beat848(ctx, 0) },
		func(ctx context.Context, s *stranger) { _ = s.beat848(ctx, -1) },
		"KIP-848 protocol",
	},
	"share": {
		func(ctx context.Context, s *stranger) error { return s.beatShare(ctx, 0) },
		func(ctx context.Context, s *stranger) { _ = s.beatShare(ctx, -1) },
		"it is a share group",
	},
	"streams": {
		func(ctx context.Context, s *stranger) error { return s.beatStreams(ctx, 0) },
		func(ctx context.Context, s *stranger) { _ = s.beatStreams(ctx, -1) },
		"Kafka Streams",
	},
	"classic": {
		func(ctx context.Context, s *stranger) error { return s.joinClassic(ctx) },
		func(ctx context.Context, s *stranger) {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group = s.group
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = s.id
			req.Members = append(req.Members, m)
			_, _ = req.RequestWith(ctx, s.client)
		},
		"classic consumers with another assignor",
	},
}

func (s *stranger) beat848(ctx context.Context, epoch int32) error {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = s.group, s.id, epoch
	req.RebalanceTimeoutMillis = 60_000
	req.SubscribedTopicNames = []string{s.topic}
	if epoch == 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	res, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return err
	}
	return coded(res.ErrorCode, res.ErrorMessage)
}

func (s *stranger) beatShare(ctx context.Context, epoch int32) error {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch = s.group, s.id, epoch
	req.SubscribedTopicNames = []string{s.topic}
	res, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return err
	}
	return coded(res.ErrorCode, res.ErrorMessage)
}

func (s *stranger) beatStreams(ctx context.Context, epoch int32) error {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = s.group, s.id, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis = 60_000
		process := "stranger"
		req.ProcessID = &process
		topology := kmsg.NewStreamsGroupHeartbeatRequestTopology()
		sub := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
		sub.SubtopologyID, sub.SourceTopics = "0", []string{s.topic}
		topology.Subtopologies = append(topology.Subtopologies, sub)
		req.Topology = &topology
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	}
	answer, err := s.links.request(ctx, s.links.order(nil)[0], req, 0) // kgo does not send it
	if err != nil {
		return err
	}
	res := answer.(*kmsg.StreamsGroupHeartbeatResponse)
	return coded(res.ErrorCode, res.ErrorMessage)
}

func (s *stranger) joinClassic(ctx context.Context) error {
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = s.group, "consumer", 30_000, 30_000
		req.MemberID = s.id
		if !strings.HasPrefix(s.id, "weir-stranger") {
			req.MemberID = ""
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		meta := kmsg.NewConsumerMemberMetadata()
		meta.Topics = []string{s.topic}
		p.Metadata = meta.AppendTo(nil)
		req.Protocols = append(req.Protocols, p)
		res, err := req.RequestWith(ctx, s.client)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(res.ErrorCode)
		if errors.Is(err, kerr.MemberIDRequired) {
			s.id = res.MemberID
			continue
		}
		s.epoch = res.Generation
		return err
	}
}

func coded(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil {
		err = fmt.Errorf("%w: %s", err, *message)
	}
	return err
}

// TestStrangersInTheGroupOnARealKafka: whoever else uses a topology's group name is refused, or the instance is, at once and
// by name, so that no partition is ever with somebody who does not process it as the topology does.
//
// Mutations, each fails: share leaves the mark out of complete assignments (the KIP-848 consumer that comes second gets in);
// survey does not look (the instance that comes second joins a group that the coordinator leads; join's own check of the
// leader ends that too, so take both out).
func TestStrangersInTheGroupOnARealKafka(t *testing.T) {
	cluster := oneBroker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...), kgo.ClientID("weir-stranger"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cfg := Config{Brokers: cluster.Addrs(), Group: GroupTuning{SessionTimeout: 30 * time.Second, HeartbeatInterval: 200 * time.Millisecond}}
	c := dial(t, cfg)
	topic := "strangers-" + time.Now().Format("150405.000000")
	if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: topic, Partitions: 3, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	for kind, k := range strangers {
		t.Run(kind, func(t *testing.T) {
			meet := func(t *testing.T, when string) (*stranger, GroupConfig, *board) {
				group := topic + "-" + kind + "-" + when
				s := &stranger{t: t, client: client, links: c.admin, group: group, topic: topic, id: fmt.Sprintf("stranger-%s-%d", kind, time.Now().UnixNano())}
				return s, GroupConfig{Group: group, Copartitioned: [][]string{{topic}}}, newBoard(t)
			}
			refused := func(t *testing.T, p *player) {
				t.Helper()
				p.until("the instance is refused", func(owner map[TopicPartition]string) bool { return p.failed != nil && len(owner) == 0 })
				var s *StrangerError
				if !errors.As(p.failed, &s) || s.Kind != kind || !strings.Contains(p.failed.Error(), k.named) || ClassOf(p.failed) != Fatal {
					t.Errorf("failed with %v", p.failed)
				}
			}
			t.Run("comes second", func(t *testing.T) {
				s, group, b := meet(t, "second")
				p := b.joinOn(c, "one", group)
				b.shared(3, 1)
				before, _ := p.group.Member()
				err := k.enter(t.Context(), s)
				if err == nil {
					t.Fatal("the stranger is in the group")
				}
				t.Log(err)
				if after, ok := p.group.Member(); !ok || after != before || b.moves != 3 {
					t.Errorf("member %+v is %+v, %d moves", before, after, b.moves)
				}
			})
			t.Run("comes first", func(t *testing.T) {
				s, group, b := meet(t, "first")
				if err := k.enter(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				p := b.joinOn(c, "one", group)
				refused(t, p)
				if kind != "classic" && !strings.Contains(p.failed.Error(), s.id[:20]) {
					t.Errorf("the stranger is not named: %v", p.failed)
				}
			})
			t.Run("takes the group while it is empty", func(t *testing.T) {
				s, group, b := meet(t, "empty")
				p := b.joinOn(c, "one", group)
				b.shared(3, 1)
				p.leave()
				if err := k.enter(t.Context(), s); err != nil {
					t.Log(err) // a group that has been used stays what it was for some kinds
					b.joinOn(c, "two", group)
					b.shared(3, 1)
					return
				}
				refused(t, b.joinOn(c, "two", group))
			})
			t.Run("has left", func(t *testing.T) {
				s, group, b := meet(t, "left")
				if err := k.enter(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				k.leave(t.Context(), s)
				p := b.joinOn(c, "one", group)
				switch kind {
				case "share", "streams": // the group keeps its kind until somebody deletes it
					refused(t, p)
					if !strings.Contains(p.failed.Error(), "--delete --group "+group.Group) {
						t.Errorf("no way out is named: %v", p.failed)
					}
				default:
					b.shared(3, 1)
				}
			})
		})
	}
}
