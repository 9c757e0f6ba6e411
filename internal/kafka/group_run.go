package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// run goes through the states. It is the handler's goroutine.
func (g *Group) run() {
	var beat sync.WaitGroup
	beat.Go(g.beat)
	defer func() {
		g.mu.Lock()
		g.invalidate()
		g.mu.Unlock()
		g.stop()
		g.links.close()
		g.beats.close()
		g.calls.Wait()
		beat.Wait()
		close(g.done)
	}()
	for state := unjoined; state != ended; {
		var event groupEvent
		switch state {
		case unjoined:
			event = g.rest()
		case joining:
			event = g.join()
		case syncing:
			event = g.sync()
		case stable:
			event = g.stay()
		case leaving:
			event = g.leave()
		}
		next, ok := groupMoves[state][event]
		if !ok {
			next, event = ended, g.fail("be a member of", fmt.Errorf("%v while %v", event, state))
		}
		g.log.Debug("group", zap.Stringer("was", state), zap.Stringer("event", event), zap.Stringer("is", next))
		switch event {
		case lost:
			g.abandon()
		case failed:
			g.mu.Lock()
			g.invalidate()
			err, old := g.news.failed, g.member
			g.mu.Unlock()
			g.give(g.handler.Lost)
			g.depart(old, "failed")
			g.handler.Failed(err)
		}
		state = next
	}
}

// rest is between memberships.
func (g *Group) rest() groupEvent {
	if event := g.pending(); event != none && event != rebalance {
		return event
	}
	return start
}

// stay takes over the assignment, then waits for something to happen.
func (g *Group) stay() groupEvent {
	if g.fresh {
		g.fresh = false
		if event := g.takeOver(); event != none {
			return event
		}
	}
	age := min(g.client.cfg.MetadataMaxAge, maxCountsAge)
	if slices.ContainsFunc(g.cfg.Optional, func(topic string) bool { return g.counts[topic] == 0 }) {
		age = min(age, optionalAge)
	}
	check := time.NewTicker(age)
	defer check.Stop()
	var overdue <-chan time.Time
	if g.incomplete {
		// The holder joins again as soon as it has given up what moves, or its session ends. If neither happens the
		// handover was forgotten, and the partitions would stay with nobody.
		timer := time.NewTimer(g.tuning.SessionTimeout)
		defer timer.Stop()
		overdue = timer.C
	}
	for {
		if event := g.pending(); event != none {
			return event
		}
		select {
		case <-g.wake:
		case <-g.ctx.Done():
		case <-overdue:
			g.overdue++
			g.reason = "partitions that were to move have not come"
			return rebalance
		case <-check.C:
			ctx, cancel := g.request()
			why := g.recount(ctx)
			cancel()
			if why != "" {
				g.reason = why
				return rebalance
			}
		}
	}
}

// maxCountsAge bounds metadata.max.age.ms for the number of partitions of the inputs: records in a new partition wait
// until it is found.
const maxCountsAge = 30 * time.Second

// optionalAge is the same while an optional topic does not exist: it is made because somebody waits for what goes through it.
const optionalAge = 5 * time.Second

// takeOver gives back what is not assigned any more and takes what is new. Having given something back, the member
// joins again, because only then others may have it.
func (g *Group) takeOver() groupEvent {
	member, _ := g.Member()
	var kept, revoked, added []TopicPartition
	for _, tp := range g.owned {
		if slices.Contains(g.assigned, tp) {
			kept = append(kept, tp)
		} else {
			revoked = append(revoked, tp)
		}
	}
	for _, tp := range g.assigned {
		if !slices.Contains(kept, tp) {
			added = append(added, tp)
		}
	}
	if len(revoked) > 0 {
		g.handler.Revoked(revoked)
		g.owned = kept
	}
	switch event := g.pending(); event {
	case lost, failed, leave:
		return event
	}
	g.generation = member.Generation
	if s := g.cfg.Standby; s != nil {
		s.Assigned(g.copies, added)
	}
	if len(added) > 0 {
		g.owned = append(g.owned, added...)
		g.handler.Assigned(added)
	}
	if len(revoked) > 0 {
		g.reason = fmt.Sprintf("gave up %d partitions", len(revoked))
		return rebalance
	}
	return none
}

// give hands everything held to a method of the handler.
func (g *Group) give(call func([]TopicPartition)) {
	if owned := g.owned; len(owned) > 0 {
		g.owned = nil
		call(owned)
	}
}

// abandon tells the handler that everything is lost, and forgets the member.
func (g *Group) abandon() {
	g.mu.Lock()
	why, gone := g.news.lost, g.news.gone
	g.news.lost, g.news.gone, g.news.rebalance, g.news.asked = "", false, "", false
	g.invalidate()
	old := g.member
	g.member = Member{}
	g.mu.Unlock()
	g.log.Warn("lost the membership, joining again", zap.String("reason", why), zap.Int("partitions", len(g.owned)))
	g.give(g.handler.Lost)
	g.fresh = false
	g.reason = why
	if !gone {
		g.depart(old, why)
	}
}

// depart says goodbye for a member that ends by itself: otherwise the next rebalance would wait for one that is not there.
func (g *Group) depart(m Member, why string) {
	ctx, cancel := context.WithTimeout(g.ctx, 2*time.Second)
	defer cancel()
	g.goodbye(ctx, m, why)
}

// leave hands everything back and tells the coordinator.
func (g *Group) leave() groupEvent {
	if g.ctx.Err() != nil {
		return left // Leave has returned already
	}
	if _, ok := g.Member(); ok {
		g.give(g.handler.Revoked)
	} else {
		g.give(g.handler.Lost)
	}
	if g.late != nil {
		g.late()
		g.calls.Wait()
	}
	g.mu.Lock()
	g.invalidate()
	old, quit := g.member, g.news.quit
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(g.ctx, g.client.cfg.RequestTimeout)
	defer cancel()
	if quit {
		g.farewell(ctx, old, "the topology is paused")
	} else {
		g.goodbye(ctx, old, "the instance stops")
	}
	return left
}

// goodbye tells the coordinator, if it can be reached, that a dynamic member is gone, so that its partitions need not
// wait for the session to time out.
func (g *Group) goodbye(ctx context.Context, m Member, why string) {
	if g.cfg.InstanceID == "" {
		g.farewell(ctx, m, why)
	}
}

// farewell tells it of any member.
func (g *Group) farewell(ctx context.Context, m Member, why string) {
	if m.ID == "" || ctx.Err() != nil {
		return
	}
	req := &sarama.LeaveGroupRequest{Version: 5, GroupId: g.cfg.Group,
		Members: []sarama.MemberIdentity{{MemberId: m.ID, GroupInstanceId: g.instance(), Reason: brief(why)}}}
	var err error
	// Twice: a broker closes connections that were idle for connections.max.idle.ms, and that shows with the next request.
	for range 2 {
		var k *link
		if k, err = g.toCoordinator(ctx, g.links); err != nil {
			continue
		}
		var res *sarama.LeaveGroupResponse
		res, err = roundTrip(ctx, g.links, k, func(b *sarama.Broker) (*sarama.LeaveGroupResponse, error) { return b.LeaveGroup(req) })
		if err == nil && res.Err != sarama.ErrNoError {
			err = res.Err
			break
		}
		if err == nil {
			return
		}
	}
	g.log.Warn("could not tell the coordinator that the member is gone; the group goes on without it when its session ends", zap.Error(err))
}
