package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// standbyHeartbeat bounds heartbeat.interval.ms where there are copies of state: a member hears of a rebalance by its heartbeat, and a
// task that could go on at once waits for that.
const standbyHeartbeat = 200 * time.Millisecond

// beat sends heartbeats while there is something to be kept alive, also while the handler is at work. It has its own
// connection, since one on which a join waits answers nothing else.
func (g *Group) beat() {
	every := g.tuning.HeartbeatInterval
	if g.cfg.Standby != nil {
		every = min(every, standbyHeartbeat)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-g.ctx.Done():
			return
		}
		g.mu.Lock()
		member, beating := g.member, g.beating
		g.mu.Unlock()
		if beating {
			sent := time.Now()
			g.heartbeatAnswered(member, sent, g.heartbeat(member))
		}
	}
}

func (g *Group) heartbeat(m Member) error {
	// Short enough for another try on a new connection before the session is over.
	ctx, cancel := context.WithTimeout(g.ctx, g.tuning.SessionTimeout/3)
	defer cancel()
	k, err := g.toCoordinator(ctx, g.beats)
	if err != nil {
		return err
	}
	req := &sarama.HeartbeatRequest{Version: 4, GroupId: m.Group, GenerationId: m.Generation, MemberId: m.ID, GroupInstanceId: g.instance()}
	res, err := roundTrip(ctx, g.beats, k, func(b *sarama.Broker) (*sarama.HeartbeatResponse, error) { return b.Heartbeat(req) })
	if err == nil && res.Err != sarama.ErrNoError {
		err = res.Err
	}
	return err
}

// heartbeatAnswered deals with the answer to a heartbeat, unless the member has moved on since: an old generation's refusal says
// nothing about the new one.
func (g *Group) heartbeatAnswered(m Member, sent time.Time, err error) {
	var code sarama.KError
	if err != nil && !errors.As(err, &code) {
		code = sarama.ErrNetworkException
	}
	g.mu.Lock()
	if m != g.member || !g.beating {
		g.mu.Unlock()
		return
	}
	switch code {
	case sarama.ErrNoError, sarama.ErrRebalanceInProgress:
		// The coordinator counts from when it had the heartbeat, which was not before it was sent.
		g.extend(sent.Add(g.tuning.SessionTimeout))
		g.denied.Store(nil)
	case sarama.ErrOffsetsLoadInProgress:
	default:
		g.coordinator = ""
	}
	g.mu.Unlock()
	reason := g.refusal(code)
	switch {
	case code == sarama.ErrRebalanceInProgress:
		g.notify(func(n *groupNews) { n.rebalance = "the group rebalances" }, false)
	case code == sarama.ErrUnknownMemberId, code == sarama.ErrIllegalGeneration:
		g.lose(code.Error(), code == sarama.ErrUnknownMemberId)
	case code == sarama.ErrGroupAuthorizationFailed: // the membership lasts until its session is over
		g.deny("be a member of", code, "allow this principal to READ group "+m.Group)
	case reason != "":
		g.mu.Lock()
		g.invalidate()
		g.mu.Unlock()
		g.notify(func(n *groupNews) {
			n.failed = &Error{Fatal, "be a member of " + g.cfg.Group, fmt.Errorf("%w: %s", code, reason)}
		}, true)
	}
}
