package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// verdict turns an error of run's requests into an event. Whether a request that got no answer had an effect makes no
// difference here: joining again is right in either case.
func (g *Group) verdict(op string, err error) groupEvent {
	if event := g.pending(); event != none && event != rebalance {
		return event // which is why the request was ended
	}
	var code sarama.KError
	if !errors.As(err, &code) {
		if connectClass(err) == Fatal {
			if !g.joined.Load() {
				return g.fail(op, err)
			}
			g.deny(op, err, remedyCredentials)
		}
		code = sarama.ErrNetworkException
	}
	if code == sarama.ErrGroupAuthorizationFailed && g.joined.Load() {
		g.deny(op, code, "allow this principal to READ group "+g.cfg.Group)
	} else if reason := g.refusal(code); reason != "" {
		return g.fail(op, fmt.Errorf("%w: %s", code, reason))
	}
	switch code {
	case sarama.ErrUnknownMemberId, sarama.ErrIllegalGeneration:
		g.lose(code.Error(), code == sarama.ErrUnknownMemberId)
		return lost
	case sarama.ErrRebalanceInProgress:
		g.reason = "another rebalance came between"
		return rebalance
	case sarama.ErrOffsetsLoadInProgress:
	default:
		g.mu.Lock()
		g.coordinator = ""
		g.mu.Unlock()
	}
	g.failures++
	if n := g.failures; n&(n-1) == 0 && n > 2 {
		g.log.Warn("cannot "+op+" the group, trying again", zap.Int("tries", n), zap.Error(err))
	}
	return retry
}

// deny notes that the cluster denies a group of which this was a member: that passes when it is mended, so it is waited for. At a
// first start it is a mistake of the set-up, and ends it.
func (g *Group) deny(op string, err error, remedy string) {
	e := &BlockedError{TopicPartition: TopicPartition{Partition: -1}, Op: op + " group " + g.cfg.Group, Err: err, Remedy: remedy}
	if g.denied.Swap(e) == nil {
		g.log.Error("the cluster denies the group, trying again", zap.Error(e), zap.String("remedy", remedy))
	}
}

// Denied is why the cluster does not let a former member into its group at the moment, or nil.
func (g *Group) Denied() *BlockedError { return g.denied.Load() }

// refusal says what an error means that no repetition will change, or nothing.
func (g *Group) refusal(code sarama.KError) string {
	switch code {
	case sarama.ErrFencedInstancedId:
		return fmt.Sprintf("another process has instance id %q (group.instance.id) and has joined after this one; give each process one of its own", g.cfg.InstanceID)
	case sarama.ErrGroupAuthorizationFailed:
		return "this principal may not READ the group"
	case sarama.ErrInconsistentGroupProtocol:
		return "another kind of consumer uses this group name; rename the topology or stop the other one"
	case sarama.ErrInvalidSessionTimeout:
		return fmt.Sprintf("session.timeout.ms is %v here, and the brokers take what is within their "+
			"group.min.session.timeout.ms (6s by default) and group.max.session.timeout.ms (30m)", g.tuning.SessionTimeout)
	case sarama.ErrGroupMaxSizeReached:
		return "the group has as many members as the brokers' group.max.size allows"
	case sarama.ErrInvalidGroupId:
		return "the brokers do not take this group name"
	case sarama.ErrUnsupportedVersion:
		return "the brokers are older than Kafka 2.4"
	}
	return ""
}
