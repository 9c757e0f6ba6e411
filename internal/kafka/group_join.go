package kafka

import (
	"context"
	"time"

	"github.com/IBM/sarama"
)

const (
	groupProtocolType = "consumer" // so that Kafka's tools can show the group
	groupProtocol     = "weir-cooperative-sticky"
)

// joinAnswer is what JoinGroup answered.
type joinAnswer struct {
	leader  bool
	members []groupMember // for the leader
}

// join asks for a generation. The member of the last one stays valid meanwhile: what it commits is accepted until
// everybody has joined, and refused afterwards.
func (g *Group) join() groupEvent {
	if event := g.pending(); event != none && event != rebalance {
		return event
	}
	ctx, cancel := g.request()
	defer cancel()
	if g.failures > 0 {
		g.client.pause(ctx, g.failures-1)
	}
	g.recount(ctx)
	k, err := g.toCoordinator(ctx, g.links)
	if err != nil {
		return g.verdict("find the coordinator of", err)
	}
	if event := g.pending(); event != none && event != rebalance {
		return event
	}
	req, err := g.joinRequest(k.conf.Version)
	if err != nil {
		return g.fail("join", err)
	}
	if req.MemberId == "" {
		if err := g.survey(ctx, k.addr); err != nil {
			return g.fail("join", err)
		}
	}
	g.quiet()
	silent := g.logWait()
	res, event, err := await(g, func(ctx context.Context) (*sarama.JoinGroupResponse, error) {
		res, err := roundTrip(ctx, g.links, k, func(b *sarama.Broker) (*sarama.JoinGroupResponse, error) { return b.JoinGroup(req) })
		if err == nil {
			g.entered(res)
		}
		return res, err
	})
	silent()
	switch {
	case event != none:
		return event
	case err != nil:
		return g.verdict("join", err)
	case res.Err == sarama.ErrMemberIdRequired:
		return retry
	case res.Err == sarama.ErrInconsistentGroupProtocol:
		return g.fail("join", g.unlikeUs(ctx, k.addr))
	case res.Err != sarama.ErrNoError:
		return g.verdict("join", res.Err)
	}
	if res.LeaderId == "" {
		// The coordinator leads the group itself: a KIP-848 consumer has come between the survey and the join.
		s := g.stranger(ctx, k.addr)
		if s == nil {
			s = &StrangerError{Group: g.cfg.Group, Kind: "consumer", at: g.client.Config()}
		}
		return g.fail("join", s)
	}
	members, err := membersOf(g.cfg.Group, res)
	if err != nil {
		return g.fail("join", err)
	}
	g.failures, g.surveyed = 0, survey{}
	g.joined.Store(true)
	g.denied.Store(nil)
	g.answer = joinAnswer{leader: res.LeaderId == res.MemberId, members: members}
	return joined
}

// entered takes over the member id and the generation from the answer to a join, at once, because offsets are committed
// in that generation from now on.
func (g *Group) entered(res *sarama.JoinGroupResponse) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch res.Err {
	case sarama.ErrMemberIdRequired:
		g.member.ID = res.MemberId
	case sarama.ErrNoError:
		if g.news.lost != "" || g.news.failed != nil {
			g.member.ID = res.MemberId // so that it can be given up
			return
		}
		g.member = Member{Group: g.cfg.Group, ID: res.MemberId, InstanceID: g.cfg.InstanceID, Generation: res.GenerationId}
		g.valid, g.beating = true, true
		g.expires = time.Now().Add(g.tuning.SessionTimeout)
		g.expiry.Reset(g.tuning.SessionTimeout)
		g.announce()
	}
}

// await makes a request that may be answered late. News end the wait for it, and the request with it, but for one case:
// when the owner wants to leave, the request continues while everything is handed back, because the generation that its
// answer brings is needed for the last commit as soon as the coordinator is in it.
func await[R any](g *Group, request func(context.Context) (R, error)) (R, groupEvent, error) {
	ctx, cancel := context.WithTimeout(g.ctx, g.tuning.RebalanceTimeout+g.client.cfg.RequestTimeout)
	news, stop := g.listen()
	defer stop()
	var res R
	var err error
	done := make(chan struct{})
	g.calls.Go(func() {
		defer close(done)
		res, err = request(ctx)
	})
	select {
	case <-done:
	case <-news.Done():
		if g.pending() == leave {
			g.late = cancel
			var nothing R
			return nothing, leave, nil
		}
	}
	cancel()
	<-done
	return res, none, err
}

func (g *Group) instance() *string {
	if g.cfg.InstanceID == "" {
		return nil
	}
	return &g.cfg.InstanceID
}

// quiet stops heartbeats for the time of a join, in which the coordinator expects none, and keeps the member for as long
// as the coordinator may.
func (g *Group) quiet() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beating = false
	if g.news.asked { // the join that begins now is it
		g.asked++
	}
	g.news.rebalance, g.news.asked = "", false
	g.extend(time.Now().Add(g.tuning.RebalanceTimeout + g.tuning.SessionTimeout))
}

// sync asks for the assignment; the leader makes everybody's.
func (g *Group) sync() groupEvent {
	member, _ := g.Member()
	kind, name := groupProtocolType, groupProtocol
	req := &sarama.SyncGroupRequest{
		Version: 5, GroupId: g.cfg.Group, GenerationId: member.Generation, MemberId: member.ID,
		GroupInstanceId: g.instance(), ProtocolType: &kind, ProtocolName: &name,
	}
	if g.answer.leader {
		if err := g.share(req); err != nil {
			return g.fail("assign partitions of", err)
		}
	}
	res, event, err := await(g, func(ctx context.Context) (*sarama.SyncGroupResponse, error) {
		k, err := g.toCoordinator(ctx, g.links)
		if err != nil {
			return nil, err
		}
		return roundTrip(ctx, g.links, k, func(b *sarama.Broker) (*sarama.SyncGroupResponse, error) { return b.SyncGroup(req) })
	})
	if event != none {
		return event
	}
	if err == nil && res.Err != sarama.ErrNoError {
		err = res.Err
	}
	if err != nil {
		return g.resync(g.verdict("sync with", err))
	}
	g.assigned, g.incomplete = nil, false
	if len(res.MemberAssignment) > 0 {
		a, err := res.GetMemberAssignment()
		if err != nil {
			return g.fail("read the assignment of", err)
		}
		g.mu.Lock()
		addr := g.coordinator
		g.mu.Unlock()
		ctx, cancel := g.request()
		defer cancel()
		if err := g.take(ctx, addr, a); err != nil {
			return g.fail("take the assignment of", err)
		}
	}
	g.fresh = true
	g.failures = 0
	return synced
}

// resync makes a failed sync a new join: whether the generation still waits for it cannot be known.
func (g *Group) resync(event groupEvent) groupEvent {
	if event == retry {
		return rebalance
	}
	return event
}

// toCoordinator returns the connection to the group's coordinator.
func (g *Group) toCoordinator(ctx context.Context, l *links) (*link, error) {
	g.mu.Lock()
	addr := g.coordinator
	g.mu.Unlock()
	if addr != "" {
		return l.toAddress(ctx, addr)
	}
	k, err := l.coordinator(ctx, sarama.CoordinatorGroup, g.cfg.Group)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.coordinator = k.addr
	g.mu.Unlock()
	return k, nil
}
