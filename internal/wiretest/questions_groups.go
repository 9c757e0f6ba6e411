package wiretest

import (
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

var groups = []question{
	{name: "members come, go and die", ask: func(a *asker) {
		in, other := a.topic(2), a.topic(2)
		one := a.join(a.process(), "", in, other)
		one.has(4)
		w, kill := a.c.Wire(a.t)
		two := a.join(w, "", in, other)
		two.has(2)
		one.has(2)
		one.events("one")
		two.events("two")
		held := slices.Concat(one.holds(), two.holds())
		a.say("co-partitioned: %v", one.holds()[0].Partition == one.holds()[1].Partition)
		slices.SortFunc(held, func(x, y kafka.TopicPartition) int { return slices.Compare([]byte(x.String()), []byte(y.String())) })
		a.say("all of them: %d", len(slices.Compact(held)))
		kill()
		one.has(4)
		one.events("one")
		a.result("leave", one.Leave(a.context()))
		one.events("one")
	}},
	{name: "who may commit offsets in a transaction", ask: func(a *asker) { a.mayCommit(a.id("t")) }},
	{name: "who may commit offsets without one", ask: func(a *asker) { a.mayCommit("") }},
	{name: "commits while a rebalance is prepared, in a transaction", ask: func(a *asker) { a.whilePreparing(a.id("t")) }},
	{name: "commits while a rebalance is prepared, without one", ask: func(a *asker) { a.whilePreparing("") }},
	{name: "commits while a rebalance completes, in a transaction", ask: func(a *asker) { a.whileCompleting(a.id("t")) }},
	{name: "commits while a rebalance completes, without one", ask: func(a *asker) { a.whileCompleting("") }},
	{name: "a static member that comes back in time", settings: Settings{SessionTimeout: 5 * time.Second}, ask: func(a *asker) {
		in := a.topic(4)
		w, kill := a.c.Wire(a.t)
		one := a.join(w, "a", in)
		one.has(4)
		two := a.join(a.process(), "b", in)
		one.has(2)
		two.has(2)
		old, held := one.now(), one.holds()
		other := two.now()
		kill()
		again := a.join(a.process(), "a", in)
		again.has(2)
		a.say("the same partitions: %v", slices.Equal(held, again.holds()))
		a.say("the same generation: %v", again.now().Generation == old.Generation && two.now() == other)
		a.say("the same member: %v", again.now().ID == old.ID)
		s := a.sink(a.wire, a.id("t"))
		a.result("offsets of the former self", s.Offsets(a.context(), old, offset(at(in, 0), 1)))
		_ = s.Abort(a.context())
		s = a.sink(a.wire, a.id("t"))
		a.result("offsets of the new self", s.Offsets(a.context(), again.now(), offset(at(in, 0), 1)))
		a.result("commit", s.Commit(a.context()))
		two.events("the other")
	}},
	{name: "a static member that leaves", ask: func(a *asker) {
		in := a.topic(4)
		one := a.join(a.process(), "a", in)
		one.has(4)
		two := a.join(a.process(), "b", in)
		one.has(2)
		two.has(2)
		a.ok(one.Leave(a.context()))
		one.events("one")
		time.Sleep(a.settings.SessionTimeout / 3)
		two.events("two, a third of a session later")
		two.has(4)
		two.events("two, in the end")
	}},
	{name: "two processes with one instance id", ask: func(a *asker) {
		in := a.topic(2)
		one := a.join(a.process(), "a", in)
		one.has(2)
		two := a.join(a.process(), "a", in)
		two.has(2)
		a.until("the first is told", func() bool { return len(one.holds()) == 0 })
		one.events("the first")
		two.events("the second")
	}},
	{name: "a member whose heartbeats are lost", ask: func(a *asker) {
		in := a.topic(2)
		one := a.join(a.process(), "", in)
		one.has(2)
		before := one.now()
		a.c.Disturb(Heartbeat, RequestLost)
		time.Sleep(a.settings.SessionTimeout * 3 / 2)
		a.c.Calm()
		now := one.newer(before)
		one.has(2)
		one.events("it")
		a.say("the same member: %v", now.ID == before.ID)
		s := a.sink(a.wire, a.id("t"))
		a.result("offsets of what it was", s.Offsets(a.context(), before, offset(at(in, 0), 1)))
	}},
	{name: "partitions are added to an input", ask: func(a *asker) {
		in := a.topic(2)
		one := a.join(a.process(), "", in)
		one.has(2)
		a.c.AddPartitions(a.t, in, 3)
		one.has(3)
		one.events("it")
	}},
}

// mayCommit asks how commits of offsets end for members in several states of a group.
func (a *asker) mayCommit(id string) {
	in := at(a.topic(2), 0)
	try := func(what string, m kafka.Member, n int64) {
		s := a.sink(a.wire, id)
		err := s.Offsets(a.context(), m, offset(in, n))
		a.result(what, err)
		if err == nil {
			a.ok(s.Commit(a.context()))
		} else {
			a.ok(s.Close())
			a.ok(a.sink(a.wire, id).Close()) // nobody may have to wait for what is open
		}
		a.committed(in)
	}
	try("nobody, in an empty group", a.stranger(), 1)
	try("somebody, in an empty group", kafka.Member{Group: a.group(), ID: "somebody", Generation: 1}, 2)
	one := a.join(a.process(), "", in.Topic)
	one.has(2)
	before := one.now()
	try("a member", before, 3)
	try("nobody", a.stranger(), 4)
	try("somebody", kafka.Member{Group: a.group(), ID: "somebody", Generation: before.Generation}, 5)
	try("a generation to come", kafka.Member{Group: a.group(), ID: before.ID, Generation: before.Generation + 1}, 6)
	two := a.join(a.process(), "", in.Topic)
	two.has(1)
	one.has(1)
	try("a generation that has passed", before, 7)
	gone := two.now()
	a.ok(two.Leave(a.context()))
	one.has(2)
	try("a member that has left", gone, 8)
	try("a member", one.now(), 9)
}

// whilePreparing asks how a member's commits end while the group waits for another that is dead.
func (a *asker) whilePreparing(id string) {
	in := a.topic(2)
	one := a.join(a.process(), "", in)
	one.has(2)
	w, kill := a.c.Wire(a.t)
	two := a.join(w, "", in)
	one.has(1)
	two.has(1)
	s := a.sink(a.wire, id)
	before := one.now()
	kill()
	three := a.join(a.process(), "", in) // the group is asked to join again, and two does not
	time.Sleep(2 * a.settings.HeartbeatInterval)
	a.say("the same generation: %v", one.now() == before)
	a.result("offsets", s.Offsets(a.context(), before, offset(at(in, 0), 1)))
	a.result("commit", s.Commit(a.context()))
	a.committed(at(in, 0))
	three.has(1)
	a.result("offsets of a generation that has passed", s.Offsets(a.context(), before, offset(at(in, 0), 2)))
	a.result("offsets of the new one", s.Offsets(a.context(), one.now(), offset(at(in, 0), 2)))
	a.result("commit", s.Commit(a.context()))
	a.committed(at(in, 0))
	one.events("the one that stays")
}

// whileCompleting asks how a member's commits end between the generation and its assignment.
func (a *asker) whileCompleting(id string) {
	in := a.topic(2)
	one := a.join(a.process(), "", in)
	one.has(2)
	before := one.now()
	s := a.sink(a.wire, id)
	a.c.Disturb(SyncGroup, RequestLost)
	two := a.join(a.process(), "", in)
	now := one.newer(before)
	a.result("offsets of the generation before", s.Offsets(a.context(), before, offset(at(in, 0), 1)))
	a.result("offsets", s.Offsets(a.context(), now, offset(at(in, 0), 2)))
	a.result("commit", s.Commit(a.context()))
	a.c.Calm()
	a.committed(at(in, 0))
	one.has(1)
	two.has(1)
}
