package simkafka

import (
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// groupState is the state of a group at its coordinator.
type groupState int8

const (
	groupEmpty      groupState = iota
	groupPreparing             // members are asked to join again
	groupCompleting            // all have, and wait for the leader's assignment
	groupStable
)

// group is a consumer group of the classic protocol at its coordinator.
type group struct {
	name       string
	state      groupState
	generation int32
	members    []*member // in the order in which they came; the first is the leader
	fenced     map[string]bool
	sets       [][]string
	rebalance  *time.Timer
	round      int // of preparing, so that an old timer does nothing

	offsets map[kafka.TopicPartition]kafka.CommittedOffset
	pending map[int64]map[kafka.TopicPartition]kafka.CommittedOffset // in open transactions, by producer id
}

// member is a member at the coordinator.
type member struct {
	id, instance string
	process      string // the name of its instance, static or not
	session      *time.Timer
	owned        []kafka.TopicPartition // as it said when it joined last
	assigned     []kafka.TopicPartition
	standby      int // copies of state that it wants; it keeps some where it is above 0
	copies       []kafka.Copy
	join         chan int32 // it waits for the generation; nil when it has not joined again
}

// group is called with c.mu held.
func (c *Cluster) group(name string) *group {
	g := c.groups[name]
	if g == nil {
		g = &group{name: name, fenced: map[string]bool{}, offsets: map[kafka.TopicPartition]kafka.CommittedOffset{}, pending: map[int64]map[kafka.TopicPartition]kafka.CommittedOffset{}}
		c.groups[name] = g
	}
	return g
}

func (g *group) find(id string) *member {
	for _, m := range g.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (g *group) check(id string) (*member, error) {
	if g.fenced[id] {
		return nil, errFencedInstance
	}
	m := g.find(id)
	if m == nil {
		return nil, errUnknownMember
	}
	return m, nil
}

// commit is OffsetCommit.
func (g *group) commit(m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	if m.ID == "" && len(g.members) > 0 {
		return errUnknownMember
	}
	if err := g.mayCommit(m); err != nil {
		return err
	}
	// Not so for transactional offsets: GroupCoordinator refuses these only by generation.
	if g.state == groupCompleting {
		return errRebalancing
	}
	maps.Copy(g.offsets, offsets)
	return nil
}

// commitInTransaction is TxnOffsetCommit.
func (g *group) commitInTransaction(pid int64, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	if err := g.mayCommit(m); err != nil {
		return err
	}
	if g.pending[pid] == nil {
		g.pending[pid] = map[kafka.TopicPartition]kafka.CommittedOffset{}
	}
	maps.Copy(g.pending[pid], offsets)
	return nil
}

// mayCommit checks a member and its generation. Who names none is not checked.
func (g *group) mayCommit(m kafka.Member) error {
	if m.ID == "" && m.Generation < 0 {
		return nil
	}
	if _, err := g.check(m.ID); err != nil {
		return err
	}
	if m.Generation != g.generation {
		return errIllegalGen
	}
	return nil
}

// endOffsets is the marker of a transaction in the group's offsets.
func (g *group) endOffsets(pid int64, commit bool) {
	if commit {
		maps.Copy(g.offsets, g.pending[pid])
	}
	delete(g.pending, pid)
}

// join is JoinGroup. A new member is known from then on. ready gets the generation when every member has joined; it is
// nil when the answer is immediate, to a static member that comes back (KIP-345).
func (g *group) join(c *Cluster, id, instance string, isNew bool, sets [][]string, owned []kafka.TopicPartition, standby int) (ready chan int32, err error) {
	m := g.find(id)
	switch {
	case g.fenced[id]:
		return nil, errFencedInstance
	case m == nil && !isNew:
		return nil, errUnknownMember
	case m == nil:
		if instance != "" {
			if i := slices.IndexFunc(g.members, func(m *member) bool { return m.instance == instance }); i >= 0 {
				old := g.members[i]
				g.fenced[old.id] = true
				old.stopSession()
				m = &member{id: id, instance: instance, assigned: old.assigned, owned: old.owned}
				g.members[i] = m
				if old.join != nil {
					close(old.join)
				}
				if g.state == groupStable {
					g.startSession(c, m)
					return nil, nil
				}
			}
		}
		if m == nil {
			m = &member{id: id, instance: instance}
			g.members = append(g.members, m)
		}
	}
	g.sets = sets
	m.owned, m.standby = slices.Clone(owned), standby
	m.stopSession() // a member that waits for the others is not expired
	m.join = make(chan int32, 1)
	ready = m.join
	if g.state != groupPreparing {
		g.prepare(c)
	} else {
		g.proceed(c)
	}
	return ready, nil
}

// prepare begins a rebalance: every member has to join again, and those that do not in time are out.
func (g *group) prepare(c *Cluster) {
	if len(g.members) == 0 {
		g.state = groupEmpty
		return
	}
	if g.state == groupPreparing {
		g.proceed(c)
		return
	}
	first := g.state == groupEmpty
	g.state = groupPreparing
	g.round++
	round := g.round
	limit := c.cfg.RebalanceTimeout
	if first {
		limit = 50 * time.Millisecond // group.initial.rebalance.delay.ms: others are about to come
	}
	g.rebalance = time.AfterFunc(limit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if g.state == groupPreparing && g.round == round {
			g.complete(c)
		}
	})
	if !first {
		g.proceed(c)
	}
}

// proceed completes the rebalance when all have joined.
func (g *group) proceed(c *Cluster) {
	if g.generation > 0 && !slices.ContainsFunc(g.members, func(m *member) bool { return m.join == nil }) {
		g.complete(c)
	}
}

func (g *group) complete(c *Cluster) {
	g.rebalance.Stop()
	for _, m := range g.members {
		if m.join == nil {
			m.stopSession()
			c.trace("%s is out of group %s: it has not joined in time", m.id, g.name)
		}
	}
	g.members = slices.DeleteFunc(g.members, func(m *member) bool { return m.join == nil })
	g.generation++
	if len(g.members) == 0 {
		g.state = groupEmpty
		return
	}
	g.state = groupCompleting
	if g.assign(c) {
		g.watchWithheld(c)
	}
	g.assignCopies(c)
	for _, m := range g.members {
		c.trace("group %s generation %d: %s gets %v", g.name, g.generation, m.id, m.assigned)
		m.join <- g.generation
		m.join = nil
		g.startSession(c, m)
	}
}

// watchWithheld is the leader's: a unit that it gave to nobody is given away when its owner joins again. A static owner
// that dies before that and comes back in time does not, for it gets its assignment without a rebalance.
func (g *group) watchWithheld(c *Cluster) {
	generation := g.generation
	time.AfterFunc(c.cfg.SessionTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if g.generation == generation && g.state == groupStable {
			g.prepare(c)
		}
	})
}

// sync is SyncGroup: the leader's makes the group stable, the others' wait for that.
func (g *group) sync(c *Cluster, id string, generation int32) (assigned []kafka.TopicPartition, copies []kafka.Copy, err error) {
	m, err := g.check(id)
	switch {
	case err != nil:
		return nil, nil, err
	case generation != g.generation:
		return nil, nil, errIllegalGen
	case g.state == groupPreparing:
		return nil, nil, errRebalancing
	case g.state == groupCompleting && m != g.members[0]:
		return nil, nil, errUnstableOffset // to be asked again
	}
	g.state = groupStable
	g.startSession(c, m)
	return slices.Clone(m.assigned), slices.Clone(m.copies), nil
}

// heartbeat is Heartbeat.
func (g *group) heartbeat(c *Cluster, id string, generation int32) error {
	m, err := g.check(id)
	if err != nil {
		return err
	}
	if m.join == nil {
		g.startSession(c, m)
	}
	switch {
	case generation != g.generation:
		return errIllegalGen
	case g.state == groupPreparing:
		return errRebalancing
	}
	return nil
}

// leave is LeaveGroup, and what happens when a session times out.
func (g *group) leave(c *Cluster, id string) {
	i := slices.IndexFunc(g.members, func(m *member) bool { return m.id == id })
	if i < 0 {
		return
	}
	m := g.members[i]
	m.stopSession()
	if m.join != nil {
		close(m.join)
	}
	g.members = slices.Delete(g.members, i, i+1)
	if g.state == groupPreparing && len(g.members) > 0 {
		g.proceed(c)
		return
	}
	g.prepare(c)
}

func (m *member) stopSession() {
	if m.session != nil {
		m.session.Stop()
	}
}

func (g *group) startSession(c *Cluster, m *member) {
	m.stopSession()
	var timer *time.Timer
	timer = time.AfterFunc(c.cfg.SessionTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if m.session == timer && m.join == nil && g.find(m.id) == m {
			c.trace("session of %s times out", m.id)
			g.leave(c, m.id)
		}
	})
	m.session = timer
}

// Offset returns a group's committed offset, or -1.
func (c *Cluster) Offset(group string, tp kafka.TopicPartition) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o, ok := c.group(group).offsets[tp]; ok {
		return o.Offset
	}
	return -1
}

// SetOffset commits an offset from outside, as Kafka's tools do with a group that is empty.
func (c *Cluster) SetOffset(group string, tp kafka.TopicPartition, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group(group).offsets[tp] = kafka.CommittedOffset{Offset: offset, LeaderEpoch: -1}
}

// CommitOffset commits an offset from outside with what goes along with it, as a tool that copies offsets does.
func (c *Cluster) CommitOffset(group string, tp kafka.TopicPartition, o kafka.CommittedOffset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group(group).offsets[tp] = o
}

// Members is how many members a group has.
func (c *Cluster) Members(group string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.group(group).members)
}

// OffsetOf returns what a group has committed, kafka.NoOffset for nothing.
func (c *Cluster) OffsetOf(group string, tp kafka.TopicPartition) kafka.CommittedOffset {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o, ok := c.group(group).offsets[tp]; ok {
		return o
	}
	return kafka.NoOffset
}

// ExpireOffsets takes offsets of a group away, all of them where no partition is named: brokers do so when it was idle for
// offsets.retention.minutes, and with a topic that is deleted, and Kafka's tools when they are told to.
func (c *Cluster) ExpireOffsets(group string, of ...kafka.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(of) == 0 {
		clear(c.group(group).offsets)
	}
	for _, tp := range of {
		delete(c.group(group).offsets, tp)
	}
}

// Rebalance makes every member of a group join again.
func (c *Cluster) Rebalance(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.group(group).prepare(c)
}
