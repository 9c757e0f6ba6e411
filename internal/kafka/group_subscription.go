package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// subscription travels in the user data of a member's subscription, as JSON.
type subscription struct {
	Sets [][]string `json:"sets"`
	// Partitions are the members' inputs as this member sees them. When a topic has grown, the changed subscription makes
	// the coordinator rebalance, whoever sees it first: it does not for a follower that joins again as it was.
	Partitions map[string]int32 `json:"partitions"`
	// Overdue counts how often this member has asked for a rebalance because a handover did not come. It makes the
	// subscription another one.
	Overdue int `json:"overdue,omitempty"`
	// Instance names the process, so that it knows its former self after a kill.
	Instance string `json:"instance,omitempty"`
	// Started is when the process began, in milliseconds, by its own clock: of two with one name the younger one gives way.
	Started int64 `json:"started,omitempty"`
	// Standby is how many copies of each task's state the member wants, and that it keeps some where it is above 0. Stateful and Held
	// are as in Standby; a member that wants none says nothing of them.
	Standby  int               `json:"standby,omitempty"`
	Rack     string            `json:"rack,omitempty"`
	Stateful []string          `json:"stateful,omitempty"`
	Held     map[string][]byte `json:"held,omitempty"`
	Asked    int               `json:"asked,omitempty"` // rebalances asked for, as Overdue
}

func (g *Group) joinRequest(version sarama.KafkaVersion) (*sarama.JoinGroupRequest, error) {
	sub := subscription{Sets: g.cfg.Copartitioned, Partitions: g.counts, Overdue: g.overdue, Instance: g.cfg.Instance, Started: millis(g.cfg.Started)}
	if s := g.cfg.Standby; s != nil {
		sub.Standby, sub.Rack, sub.Stateful, sub.Held, sub.Asked = s.Replicas, g.cfg.Rack, s.Stateful, encodeHeld(s.Held()), g.asked
	}
	user, err := json.Marshal(sub)
	if err != nil {
		return nil, err
	}
	req := sarama.NewJoinGroupRequest(version)
	req.GroupId = g.cfg.Group
	req.SessionTimeout = int32(g.tuning.SessionTimeout.Milliseconds())
	req.RebalanceTimeout = int32(g.tuning.RebalanceTimeout.Milliseconds())
	g.mu.Lock()
	req.MemberId = g.member.ID
	g.mu.Unlock()
	req.GroupInstanceId = g.instance()
	req.ProtocolType = groupProtocolType
	req.Reason = brief(g.reason)
	meta := &sarama.ConsumerGroupMemberMetadata{Version: 2, Topics: g.topics, UserData: user, GenerationID: -1}
	if len(g.owned) > 0 {
		meta.GenerationID = g.generation
	}
	byTopic := map[string][]int32{}
	for _, tp := range g.owned {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		slices.Sort(byTopic[topic])
		meta.OwnedPartitions = append(meta.OwnedPartitions, &sarama.OwnedPartition{Topic: topic, Partitions: byTopic[topic]})
	}
	return req, req.AddGroupProtocolMetadata(groupProtocol, meta)
}

// brief cuts a reason to what the coordinator takes (KIP-800).
func brief(reason string) *string {
	reason = reason[:min(len(reason), 255)]
	return &reason
}

func membersOf(group string, res *sarama.JoinGroupResponse) ([]groupMember, error) {
	metas, err := res.GetMembers()
	if err != nil {
		return nil, fmt.Errorf("read the subscriptions of the members: %w", err)
	}
	var members []groupMember
	for _, m := range res.Members {
		meta := metas[m.MemberId]
		member := groupMember{id: m.MemberId, generation: meta.GenerationID}
		if m.GroupInstanceId != nil {
			member.instance = *m.GroupInstanceId
		}
		var sub subscription
		if err := json.Unmarshal(meta.UserData, &sub); err != nil {
			return nil, &StrangerError{Group: group, why: fmt.Sprintf("the subscription of member %q is not Weir's (%v)", m.MemberId, err)}
		}
		member.sets, member.counts = sub.Sets, sub.Partitions
		member.standby, member.rack, member.stateful, member.held = sub.Standby, sub.Rack, sub.Stateful, decodeHeld(sub.Held)
		for _, owned := range meta.OwnedPartitions {
			for _, p := range owned.Partitions {
				member.owned = append(member.owned, TopicPartition{Topic: owned.Topic, Partition: p})
			}
		}
		members = append(members, member)
	}
	return members, nil
}

// share adds everybody's assignment to the leader's SyncGroup.
func (g *Group) share(req *sarama.SyncGroupRequest) error {
	for i := range g.answer.members {
		m := &g.answer.members[i]
		if m.instance != "" && len(m.owned) == 0 {
			m.previous = g.previous[m.instance]
		}
	}
	counts := allCounts(g.answer.members, g.counts)
	assigned := assign(g.answer.members, counts)
	incomplete := !complete(assigned, counts)
	previous := map[string][]TopicPartition{}
	for _, m := range g.answer.members {
		to := assigned[m.id]
		topics := to.partitions
		user, err := mark{Weir: 1, Group: g.cfg.Group, Incomplete: incomplete, Partitions: counts, Copies: to.copies, Moves: to.moves}.encode()
		if err != nil {
			return err
		}
		if err := req.AddGroupAssignmentMember(m.id, &sarama.ConsumerGroupMemberAssignment{Topics: topics, UserData: user}); err != nil {
			return err
		}
		if m.instance != "" {
			for topic, ps := range topics {
				for _, p := range ps {
					previous[m.instance] = append(previous[m.instance], TopicPartition{Topic: topic, Partition: p})
				}
			}
		}
	}
	g.previous = previous
	g.log.Info("assigned partitions", zap.Int32("generation", req.GenerationId), zap.Int("members", len(g.answer.members)), zap.String("reason", g.reason))
	return nil
}

// complete says whether every partition was given to somebody.
func complete(assigned map[string]*assignment, counts map[string]int32) bool {
	var want, have int
	for _, n := range counts {
		want += int(n)
	}
	for _, to := range assigned {
		for _, ps := range to.partitions {
			have += len(ps)
		}
	}
	return have == want
}

// allCounts adds what the others know about topics that this member does not read, of another version of the topology.
func allCounts(members []groupMember, own map[string]int32) map[string]int32 {
	counts := map[string]int32{}
	for _, m := range members {
		for topic, n := range m.counts {
			counts[topic] = max(counts[topic], n)
		}
	}
	maps.Copy(counts, own)
	return counts
}

// recount asks how many partitions the inputs have, and returns which of them have grown. They never shrink: a topic that
// is gone all of a sudden is more often a broker that has just started and knows no topics yet, and if it is really
// gone, reading it says so.
func (g *Group) recount(ctx context.Context) (why string) {
	ctx, cancel := context.WithTimeout(ctx, g.client.cfg.RequestTimeout)
	defer cancel()
	res, err := g.links.metadata(ctx, g.topics...)
	if err != nil {
		g.log.Debug("could not ask for the partitions of the inputs", zap.Error(err))
		return ""
	}
	counts := maps.Clone(g.counts)
	if counts == nil {
		counts = map[string]int32{}
	}
	for _, t := range res.Topics {
		n := int32(len(t.Partitions))
		if t.Err == sarama.ErrTopicAuthorizationFailed && !g.joined.Load() && !slices.Contains(g.cfg.Optional, t.Name) { // later it is waited for by whoever reads it
			g.fail("read "+t.Name+" as a member of", t.Err)
			return ""
		}
		if n > counts[t.Name] {
			why = fmt.Sprintf("%s has %d partitions, had %d", t.Name, n, counts[t.Name])
			counts[t.Name] = n
		}
	}
	g.counts = counts
	return why
}

// millis is 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
