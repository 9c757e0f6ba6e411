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

// mark is the user data of every assignment that a leader of this build makes, as JSON. It keeps the coordinator from
// converting the group (see group_survey.go), says who made the assignment, and lets a member check it.
//
// Leaders of older builds marked only incomplete assignments, with the word alone. Members of older builds take a mark of
// this build for that of a complete assignment: they do not watch for a handover that was forgotten, which their leader
// does then.
type mark struct {
	Weir       int              `json:"weir"` // the version of the mark, 1
	Group      string           `json:"group"`
	Incomplete bool             `json:"incomplete,omitempty"` // see Group.stay
	Partitions map[string]int32 `json:"partitions"`           // of all topics, as the leader saw them
	// Copies and Moves are the copies of state that the member is to keep, each by one input of its task; Moves are those of tasks
	// that are to move to the member when the copy is warm. Builds that keep no copies do not look at them.
	Copies map[string][]int32 `json:"copies,omitempty"`
	Moves  map[string][]int32 `json:"moves,omitempty"`
}

// incompleteWord is the user data of an assignment by a leader of an older build in which some partitions are given to
// nobody yet, because their holder has to give them up first.
const incompleteWord = "incomplete"

func (m mark) encode() ([]byte, error) { return json.Marshal(m) }

// readMark returns the mark of an assignment, or nil when it has none.
func readMark(user []byte) *mark {
	if string(user) == incompleteWord {
		return &mark{Incomplete: true}
	}
	var m mark
	if json.Unmarshal(user, &m) != nil || m.Weir < 1 {
		return nil
	}
	return &m
}

// take checks an assignment before anything is done with it, and keeps it.
func (g *Group) take(ctx context.Context, addr string, a *sarama.ConsumerGroupMemberAssignment) error {
	m := readMark(a.UserData)
	if m == nil {
		// Either an older build leads the group, which it may while instances are replaced one by one, or the coordinator has
		// converted the group and assigns partitions itself.
		ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
		defer cancel()
		if s := g.stranger(ctx, addr); s != nil {
			return s
		}
		g.log.Info("an older build leads the group: until it is replaced nothing keeps consumers of the KIP-848 protocol out of it", zap.Int("partitions", partitionsOf(a)))
		m = &mark{}
	}
	if m.Weir > 0 && m.Group != g.cfg.Group {
		return &StrangerError{Group: g.cfg.Group, why: fmt.Sprintf("an assignment for the group %q came", m.Group)}
	}
	if err := g.checkAssignment(a.Topics, m.Partitions); err != nil {
		return err
	}
	g.assigned, g.incomplete = nil, m.Incomplete || g.outgrown(m.Partitions)
	for topic, ps := range a.Topics {
		for _, p := range ps {
			g.assigned = append(g.assigned, TopicPartition{Topic: topic, Partition: p})
		}
	}
	slices.SortFunc(g.assigned, TopicPartition.Compare)
	g.assigned = g.existing(ctx, g.assigned)
	g.copies = g.copiesOf(m)
	return nil
}

// existing leaves out partitions that their topics do not have. A static member that restarts is answered with its assignment of
// old (KIP-345), also when an input was deleted meanwhile and created again with fewer. What is left out comes back with a
// rebalance when the topic has it after all.
func (g *Group) existing(ctx context.Context, assigned []TopicPartition) []TopicPartition {
	absent := func(tp TopicPartition) bool {
		n, known := g.counts[tp.Topic]
		return known && tp.Partition >= n
	}
	if !slices.ContainsFunc(assigned, absent) {
		return assigned
	}
	g.recount(ctx) // the leader may have heard of new partitions before this member
	return slices.DeleteFunc(assigned, func(tp TopicPartition) bool {
		if absent(tp) {
			g.log.Warn("an assigned partition does not exist: its topic was deleted and created again with fewer; the others are read as auto.offset.reset says",
				zap.Stringer("partition", tp), zap.Int32("partitions_now", g.counts[tp.Topic]))
		}
		return absent(tp)
	})
}

// outgrown says whether this member knows of more partitions than the leader had assigned. A static member that restarts is
// answered with its assignment of old (KIP-345), and partitions that were added meanwhile would be nobody's: it asks for a
// rebalance after a session, as where a handover did not come.
func (g *Group) outgrown(assigned map[string]int32) bool {
	for topic, n := range g.counts {
		if known, ok := assigned[topic]; ok && n > known {
			return true
		}
	}
	return false
}

// surveyTimeout bounds a look at the group; who cannot be asked is not waited for.
const surveyTimeout = 10 * time.Second

func partitionsOf(a *sarama.ConsumerGroupMemberAssignment) (n int) {
	for _, ps := range a.Topics {
		n += len(ps)
	}
	return n
}

// checkAssignment refuses what Weir's leader does not assign: topics that were not subscribed, and a partition of a
// co-partitioned set without its siblings. counts are the partitions as the leader saw them: a topic may have grown since.
func (g *Group) checkAssignment(topics map[string][]int32, counts map[string]int32) error {
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		if !slices.Contains(g.topics, topic) {
			return &StrangerError{Group: g.cfg.Group, why: fmt.Sprintf("partitions of %q were assigned, which this topology does not read", topic)}
		}
	}
	for _, set := range g.cfg.Copartitioned {
		for _, topic := range set {
			for _, p := range topics[topic] {
				for _, sibling := range set {
					if p < counts[sibling] && !slices.Contains(topics[sibling], p) {
						return &StrangerError{Group: g.cfg.Group, why: fmt.Sprintf(
							"partition %d of %q was assigned without that of %q, which is processed together with it", p, topic, sibling)}
					}
				}
			}
		}
	}
	return nil
}
