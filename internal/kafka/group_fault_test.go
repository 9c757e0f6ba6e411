package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

var single = GroupConfig{Group: "single", Copartitioned: [][]string{{"a"}}}

func (b *board) hasLost(p *player, n int) {
	b.t.Helper()
	b.until("something is lost", func(map[TopicPartition]string) bool { return p.lost == n })
}

// Mutations: heartbeatAnswered ignores ErrUnknownMemberId (the test waits in vain); lose tells before it invalidates (Lost finds a
// member that is still valid).
func TestAMemberThatTheGroupForgotLosesEverythingAndJoinsAnew(t *testing.T) {
	for _, kind := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration} {
		t.Run(kind.Message, func(t *testing.T) {
			cluster := groupCluster(t)
			topic(t, cluster, "a", 3)
			b := newBoard(t)
			cfg := quickGroup(cluster.ListenAddrs())
			cfg.Group.SessionTimeout = 500 * time.Millisecond // the fault is a lie, and the old member stays for so long
			p := b.join("one", cfg, single)
			b.shared(3, 1)
			before, _ := p.group.Member()
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Err: kind, Count: 1})
			b.hasLost(p, 3)
			b.shared(3, 1)
			after, ok := p.group.Member()
			if !ok || after.ID == before.ID {
				t.Errorf("member %+v, was %+v", after, before)
			}
		})
	}
}

// Mutation: Member does not ask the clock, and expire does nothing.
func TestAMemberThatHearsNothingForTheSessionTimeoutIsLost(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.Group.SessionTimeout, cfg.RequestTimeout = 300*time.Millisecond, never
	cfg.Sink.DeliveryTimeout = 2 * never
	p := b.join("one", cfg, single)
	b.shared(3, 1)
	before, _ := p.group.Member()
	// The coordinator takes everything and answers nothing, as behind a network that has been cut.
	_, end := silence(t, cluster, everyKey)
	changed := p.group.Changed()
	began := time.Now()
	<-changed
	if _, ok := p.group.Member(); ok {
		t.Error("still a member")
	}
	promptly(t, began)
	b.hasLost(p, 3)
	end()
	b.shared(3, 1)
	if after, _ := p.group.Member(); after.ID == before.ID {
		t.Error("the same member again")
	}
}

// Mutations: run does not start beat; takeOver does not wait for Revoked before it joins again, or the assignor's free
// returns true always (two has what one has not handed over).
func TestHeartbeatsGoOnWhileARevocationIsHeldUp(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 4)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.Group.SessionTimeout, cfg.RequestTimeout = 300*time.Millisecond, never
	cfg.Sink.DeliveryTimeout = 2 * never
	one := b.join("one", cfg, single)
	b.shared(4, 1)
	entered, proceed := make(chan struct{}), make(chan struct{})
	b.mu.Lock()
	one.revoke = func([]TopicPartition) {
		close(entered)
		<-proceed
	}
	b.mu.Unlock()
	b.join("two", cfg, single)
	<-entered
	// For three session timeouts' worth of heartbeats everything stays where it is.
	beats := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Observe: true, Count: -1})
	if err := beats.Wait(t.Context(), 2*3*int(cfg.Group.SessionTimeout/cfg.Group.HeartbeatInterval)); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	if len(b.owner) != 4 || one.lost > 0 {
		t.Errorf("owners %v, lost %d", b.owner, one.lost)
	}
	one.revoke = nil
	b.mu.Unlock()
	close(proceed)
	b.shared(4, 2)
}

// Mutations: entered is called after the sync only; entered does not announce.
func TestTheGenerationIsKnownBeforeTheAssignmentIs(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 4)
	b := newBoard(t)
	one := b.join("one", quickGroup(cluster.ListenAddrs()), single)
	b.shared(4, 1)
	before, _ := one.group.Member()
	held, proceed := silence(t, cluster, kmsg.SyncGroup)
	changed := one.group.Changed()
	b.join("two", quickGroup(cluster.ListenAddrs()), single)
	<-held
	<-changed
	if m, ok := one.group.Member(); !ok || m.ID != before.ID || m.Generation <= before.Generation {
		t.Errorf("member %+v, %v, was %+v", m, ok, before)
	}
	proceed()
	b.shared(4, 2)
}

// Mutation: abandon does not say goodbye (the group waits for the old member until its session is over).
func TestALostMembershipGivesEverythingUp(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.Group.SessionTimeout = 4 * time.Minute // well over hung
	p := b.join("one", cfg, single)
	b.shared(3, 1)
	before, _ := p.group.Member()
	p.group.lose("the test wants it", false)
	if m, ok := p.group.Member(); ok && m.ID == before.ID { // it may be another one already
		t.Error("still the same member when lose has returned")
	}
	b.hasLost(p, 3)
	b.shared(3, 1)
}

// Mutation: verdict treats unknown errors as fatal.
func TestPassingErrorsOfTheCoordinatorAreRetried(t *testing.T) {
	cluster := groupCluster(t, kfake.NumBrokers(3))
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.FindCoordinator} {
		for _, err := range []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.UnknownServerError} {
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Group: "single", Err: err, Count: 1})
		}
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup, kmsg.JoinGroup}, Group: "single", Err: kerr.RebalanceInProgress, Count: 1})
	p := b.join("one", quickGroup(cluster.ListenAddrs()), single)
	b.shared(3, 1)
	faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Err: kerr.NotCoordinator, Count: 3},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Err: kerr.CoordinatorLoadInProgress, Count: 3})
	for range 3 {
		cluster.RehashCoordinators()
		cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut"), true })
	}
	if err := faults.Wait(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	b.shared(3, 1)
	if p.failed != nil || p.lost > 0 {
		t.Errorf("lost %d, %v", p.lost, p.failed)
	}
}

// Mutation: refusal returns nothing.
func TestRefusalsEndTheMembershipAndSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  *kerr.Error
		keys []kmsg.Key
		want string
	}{
		{kerr.GroupAuthorizationFailed, []kmsg.Key{kmsg.FindCoordinator}, "may not READ"},
		{kerr.GroupAuthorizationFailed, []kmsg.Key{kmsg.JoinGroup}, "may not READ"},
		{kerr.InconsistentGroupProtocol, []kmsg.Key{kmsg.JoinGroup}, "classic consumers with another assignor"},
		{kerr.InvalidSessionTimeout, []kmsg.Key{kmsg.JoinGroup}, "group.min.session.timeout.ms"},
		{kerr.GroupMaxSizeReached, []kmsg.Key{kmsg.JoinGroup}, "group.max.size"},
		{kerr.FencedInstanceID, []kmsg.Key{kmsg.JoinGroup}, `another process has instance id "i"`},
		{kerr.FencedInstanceID, []kmsg.Key{kmsg.Heartbeat}, `another process has instance id "i"`},
	} {
		t.Run(c.err.Message, func(t *testing.T) {
			cluster := groupCluster(t)
			topic(t, cluster, "a", 3)
			cluster.Fault(kfake.Fault{Keys: c.keys, Group: "single", Err: c.err, Count: -1})
			b := newBoard(t)
			group := single
			group.InstanceID = "i"
			p := b.join("one", quickGroup(cluster.ListenAddrs()), group)
			b.until("it failed", func(owner map[TopicPartition]string) bool { return p.failed != nil && len(owner) == 0 })
			if !strings.Contains(p.failed.Error(), c.want) || ClassOf(p.failed) != Fatal {
				t.Error(p.failed)
			}
			if _, ok := p.group.Member(); ok {
				t.Error("still a member")
			}
			p.leave()
		})
	}
}

// Mutation: Leave waits for run after ctx has ended.
func TestLeaveIsBoundedWhileTheHandlerIsStuck(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	p := b.join("one", quickGroup(cluster.ListenAddrs()), single)
	b.shared(3, 1)
	proceed := make(chan struct{})
	b.mu.Lock()
	p.revoke = func([]TopicPartition) { <-proceed }
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.group.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(proceed)
	p.leave() // waits for the rest
}

// Mutation: request does not set interrupt.
func TestLeaveDoesNotWaitForARebalance(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	p := b.join("one", cfg, single)
	b.shared(3, 1)
	asked, _ := silence(t, cluster, kmsg.JoinGroup)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Err: kerr.RebalanceInProgress, Count: 1})
	<-asked
	began := time.Now()
	p.leave()
	promptly(t, began)
	if len(b.owner) > 0 || p.lost > 0 {
		t.Errorf("owners %v, lost %d: want all revoked", b.owner, p.lost)
	}
}

// Mutation: await ends the request when the owner wants to leave (the generation does not change).
func TestTheLastCommitOfALeavingMemberKnowsTheGenerationOfARebalanceUnderWay(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup} {
		t.Run(key.Name(), func(t *testing.T) {
			cluster := groupCluster(t)
			topic(t, cluster, "a", 3)
			b := newBoard(t)
			cfg := quickGroup(cluster.ListenAddrs())
			cfg.Group.SessionTimeout = time.Second
			p := b.join("one", cfg, single)
			b.shared(3, 1)
			before, _ := p.group.Member()
			asked, answer := silence(t, cluster, key)
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Err: kerr.RebalanceInProgress, Count: 1})
			<-asked
			b.mu.Lock()
			p.revoke = func([]TopicPartition) {
				if m, ok := p.group.Member(); !ok || m.ID != before.ID {
					t.Errorf("member %+v, %v", m, ok)
				}
				answer()
				for {
					changed := p.group.Changed()
					m, ok := p.group.Member()
					if m.Generation > before.Generation {
						break
					}
					if !ok {
						t.Errorf("no member, last %+v", m)
						break
					}
					<-changed
				}
				// And it stays a member for as long as the commit takes.
				beats := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Observe: true, Count: -1})
				if err := beats.Wait(t.Context(), 60); err != nil {
					t.Error(err)
				}
			}
			b.mu.Unlock()
			p.leave()
			if len(b.owner) > 0 || p.lost > 0 {
				t.Errorf("owners %v, lost %d: want all revoked", b.owner, p.lost)
			}
		})
	}
}

// Mutation: stay does not recount.
func TestNewPartitionsOfAnInputAreAssigned(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 2)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.MetadataMaxAge = 50 * time.Millisecond
	b.join("one", cfg, single)
	b.join("two", cfg, single)
	b.shared(2, 2)
	conf := sarama.NewConfig()
	conf.Version = sarama.V3_6_0_0
	admin, err := sarama.NewClusterAdmin(cluster.ListenAddrs(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	if err := admin.CreatePartitions("a", 6, nil, false); err != nil {
		t.Fatal(err)
	}
	b.shared(6, 2)
	if b.moves != 2+1+4 && b.moves != 2+4 {
		t.Errorf("%d partitions were given out", b.moves)
	}
}

// Mutation: recount takes every other number for new.
func TestATopicThatABrokerDoesNotKnowForAMomentIsNotGivenUp(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 2)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.MetadataMaxAge = 20 * time.Millisecond
	p := b.join("one", cfg, single)
	b.shared(2, 1)
	before, _ := p.group.Member()
	unknown := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "a", Err: kerr.UnknownTopicOrPartition, Count: 5})
	if err := unknown.Wait(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	known := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "a", Observe: true, Count: -1})
	if err := known.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if after, ok := p.group.Member(); !ok || after != before || len(b.owner) != 2 {
		t.Errorf("member %+v, was %+v; owners %v", after, before, b.owner)
	}
}

// Mutation: allCounts does not look at the members.
func TestANewVersionsInputIsReadThoughTheLeaderIsOld(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 4)
	topic(t, cluster, "b", 4)
	b := newBoard(t)
	b.join("old", quickGroup(cluster.ListenAddrs()), single)
	b.shared(4, 1)
	b.join("new", quickGroup(cluster.ListenAddrs()), GroupConfig{Group: "single", Copartitioned: [][]string{{"a", "b"}}})
	b.until("the new one has its share of both", func(owner map[TopicPartition]string) bool {
		n := 0
		for tp, who := range owner {
			if tp.Topic == "b" && who == "new" && owner[TopicPartition{Topic: "a", Partition: tp.Partition}] == "new" {
				n++
			}
		}
		return n == 2 && len(owner) == 6
	})
}

// Mutation: goodbye is said for a static member too.
func TestAStaticMemberFindsItsPartitionsAgain(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 6)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.Group.SessionTimeout = 20 * time.Second
	static := func(name string) *player {
		group := single
		group.InstanceID = name
		return b.join(name, cfg, group)
	}
	one, two := static("one"), static("two")
	b.shared(6, 2)
	for i, p := range []*player{one, two} {
		had := map[TopicPartition]bool{}
		b.mu.Lock()
		for tp, who := range b.owner {
			if who == p.name {
				had[tp] = true
			}
		}
		moves := b.moves
		b.mu.Unlock()
		p.leave()
		// The other one goes on, and would be told of a rebalance with one of these.
		beats := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "single", Observe: true, Count: -1})
		if err := beats.Wait(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		static(p.name)
		b.shared(6, 2)
		b.mu.Lock()
		for tp, who := range b.owner {
			if had[tp] != (who == p.name) {
				t.Errorf("restart %d: %s is with %s", i, tp, who)
			}
		}
		if b.moves != moves+3 {
			t.Errorf("restart %d: %d partitions moved, want the three that were not held", i, b.moves-moves)
		}
		b.mu.Unlock()
	}
}

// Mutations: the assignor ignores previous; share does not set it.
func TestTheLeaderRemembersWhatStaticMembersHadThatRestartTogether(t *testing.T) {
	g := &Group{log: zap.NewNop(), counts: map[string]int32{"a": 6}}
	onlyA := [][]string{{"a"}}
	assigned := func(restarted ...groupMember) string {
		g.answer.members = append([]groupMember{{id: "1", instance: "stays", sets: onlyA, owned: holds("a", 2, 5), generation: 7}}, restarted...)
		var req sarama.SyncGroupRequest
		if err := g.share(&req); err != nil {
			t.Fatal(err)
		}
		got := map[string]*assignment{}
		for _, a := range req.GroupAssignments {
			decoded, err := (&sarama.SyncGroupResponse{MemberAssignment: a.Assignment}).GetMemberAssignment()
			if err != nil {
				t.Fatal(err)
			}
			got[a.MemberId] = &assignment{partitions: decoded.Topics}
		}
		return lines(got)
	}
	before := assigned(
		groupMember{id: "2", instance: "x", sets: onlyA, owned: holds("a", 0, 3), generation: 7},
		groupMember{id: "3", instance: "y", sets: onlyA, owned: holds("a", 1, 4), generation: 7})
	after := assigned(
		groupMember{id: "4", instance: "y", sets: onlyA, generation: -1},
		groupMember{id: "5", instance: "x", sets: onlyA, generation: -1})
	if want := "1: a[2 5]\n2: a[0 3]\n3: a[1 4]"; before != want {
		t.Errorf("before:\n%s", before)
	}
	if want := "1: a[2 5]\n4: a[1 4]\n5: a[0 3]"; after != want {
		t.Errorf("after:\n%s\nwant:\n%s", after, want)
	}
}

// A static member that is killed while it gives up partitions, and restarts before its session ends, is answered with the
// assignment that it had, without a rebalance (KIP-345). The partitions that were to move are nobody's until somebody
// asks. The embedded broker does rebalance then, so what members do about it is tried in its parts.
//
// Mutations: share marks no assignment; stay does not look whether its own is incomplete.
func TestAHandoverThatDoesNotComeIsAskedForAgain(t *testing.T) {
	onlyA := [][]string{{"a"}}
	for want, members := range map[bool][]groupMember{
		true:  {{id: "1", sets: onlyA, owned: holds("a", 0, 1, 2, 3), generation: 7}, {id: "2", sets: onlyA, generation: -1}},
		false: {{id: "1", sets: onlyA, owned: holds("a", 0, 1), generation: 7}, {id: "2", sets: onlyA, generation: -1}},
	} {
		g := &Group{log: zap.NewNop(), counts: map[string]int32{"a": 4}, answer: joinAnswer{members: members}}
		var req sarama.SyncGroupRequest
		if err := g.share(&req); err != nil {
			t.Fatal(err)
		}
		for _, a := range req.GroupAssignments {
			decoded, err := (&sarama.SyncGroupResponse{MemberAssignment: a.Assignment}).GetMemberAssignment()
			if err != nil {
				t.Fatal(err)
			}
			if m := readMark(decoded.UserData); m == nil || m.Incomplete != want {
				t.Errorf("member %s of %d that hold: user data %q, incomplete %v", a.MemberId, len(members[0].owned), decoded.UserData, want)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		g := &Group{
			client: &Client{cfg: Config{}.WithDefaults()}, tuning: GroupTuning{SessionTimeout: 10 * time.Second},
			ctx: t.Context(), wake: make(chan struct{}, 1), incomplete: true,
		}
		began := time.Now()
		if event := g.stay(); event != rebalance || time.Since(began) != 10*time.Second || g.overdue != 1 {
			t.Errorf("%v after %s, %d times", event, time.Since(began), g.overdue)
		}
	})
}

// A group that is denied to one that was its member is waited for: it is lost after its session, and comes back when it is
// allowed again.
//
// Mutations: verdict or heartbeatAnswered without deny (it fails for good); a heartbeat that is denied is taken for one that was heard.
func TestADeniedGroupIsWaitedFor(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	p := b.join("one", quickGroup(cluster.ListenAddrs()), single)
	b.until("it has everything", func(owner map[TopicPartition]string) bool { return len(owner) == 3 })
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.FindCoordinator}, Group: "single", Err: kerr.GroupAuthorizationFailed, Count: -1})
	b.until("it has nothing", func(owner map[TopicPartition]string) bool { return len(owner) == 0 && p.group.Denied() != nil })
	if d := p.group.Denied(); ClassOf(d) != Blocked || !strings.Contains(d.Remedy, "READ group single") {
		t.Error(d, d.Remedy)
	}
	fault.Remove()
	b.until("it has everything again", func(owner map[TopicPartition]string) bool { return len(owner) == 3 && p.group.Denied() == nil })
	if p.failed != nil {
		t.Error(p.failed)
	}
	p.leave()
}
