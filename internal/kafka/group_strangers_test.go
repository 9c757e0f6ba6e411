package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Each assignment that a member takes was made by Weir's leader, for this group, of its topics, and whole.
//
// Mutations: each condition of take and checkAssignment turned round; a mark of an older build refused.
func TestAssignmentsAreChecked(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 6)
	counts := map[string]int32{"a": 6, "b": 6, "c": 6}
	encode := func(m mark) string {
		user, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(user)
	}
	whole := map[string][]int32{"a": {0, 1}, "b": {1, 0}}
	for name, tc := range map[string]struct {
		user   string
		topics map[string][]int32
		want   string // part of the error, empty: it is taken
	}{
		"of this build":                    {encode(mark{Weir: 1, Group: "pair", Partitions: counts}), whole, ""},
		"incomplete":                       {encode(mark{Weir: 1, Group: "pair", Partitions: counts, Incomplete: true}), whole, ""},
		"of a later build":                 {strings.Replace(encode(mark{Weir: 2, Group: "pair", Partitions: counts}), "{", `{"new":[1],`, 1), whole, ""},
		"of an older build":                {"", whole, ""},
		"of an older build and incomplete": {"incomplete", whole, ""},
		"empty":                            {encode(mark{Weir: 1, Group: "pair", Partitions: counts}), nil, ""},
		"while b grows":                    {encode(mark{Weir: 1, Group: "pair", Partitions: map[string]int32{"a": 6, "b": 2}}), map[string][]int32{"a": {0, 5}, "b": {0}}, ""},
		"of another group":                 {encode(mark{Weir: 1, Group: "other", Partitions: counts}), whole, `an assignment for the group "other" came`},
		"of a topic that nobody reads":     {encode(mark{Weir: 1, Group: "pair", Partitions: counts}), map[string][]int32{"c": {0}}, `partitions of "c" were assigned`},
		"of such a topic, unmarked":        {"", map[string][]int32{"c": {0}}, `partitions of "c" were assigned`},
		"without the sibling":              {encode(mark{Weir: 1, Group: "pair", Partitions: counts}), map[string][]int32{"a": {0, 1}, "b": {0}}, `partition 1 of "a" was assigned without that of "b"`},
		"without the other sibling":        {encode(mark{Weir: 1, Group: "pair", Partitions: counts}), map[string][]int32{"b": {3}}, `partition 3 of "b" was assigned without that of "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, quickGroup(cluster.ListenAddrs()))
			links := c.newLinks()
			defer links.close()
			g := &Group{cfg: pair, topics: []string{"a", "b"}, links: links, log: zap.NewNop()}
			err := g.take(t.Context(), cluster.ListenAddrs()[0], &sarama.ConsumerGroupMemberAssignment{Topics: tc.topics, UserData: []byte(tc.user)})
			var stranger *StrangerError
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (!errors.As(err, &stranger) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "another group.id")):
				t.Errorf("got %v, want %s", err, tc.want)
			case tc.want == "" && g.incomplete != strings.Contains(tc.user, "incomplete"):
				t.Errorf("incomplete: %v", g.incomplete)
			case tc.want == "" && len(g.assigned) != len(tc.topics["a"])+len(tc.topics["b"]):
				t.Errorf("took %v", g.assigned)
			}
		})
	}
}

// A KIP-848 consumer can come between the look at the group and the join: then the coordinator leads the group itself,
// and names no leader.
//
// Mutations: join does not look at the leader; a member that failed does not say goodbye.
func TestAGroupThatItsCoordinatorLeadsIsLeftAtOnce(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	left := make(chan string, 1)
	cluster.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		res := r.ResponseKind().(*kmsg.JoinGroupResponse)
		res.MemberID, res.Generation = "m", 7
		kind, name := "consumer", groupProtocol
		res.ProtocolType, res.Protocol = &kind, &name
		return res, nil, true
	})
	cluster.ControlKey(int16(kmsg.LeaveGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		left <- r.(*kmsg.LeaveGroupRequest).Members[0].MemberID
		return nil, nil, false
	})
	b := newBoard(t)
	p := b.join("one", quickGroup(cluster.ListenAddrs()), single)
	b.until("it failed", func(map[TopicPartition]string) bool { return p.failed != nil })
	var stranger *StrangerError
	if !errors.As(p.failed, &stranger) || stranger.Kind != "consumer" {
		t.Errorf("got %v", p.failed)
	}
	if id := <-left; id != "m" {
		t.Errorf("%s left", id)
	}
}

// Mutations: survey is not asked; stranger does not ask who is in the group.
func TestAGroupOfAnotherKindIsNotJoined(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	c := dial(t, quickGroup(cluster.ListenAddrs()))
	beat := func(epoch int32) {
		t.Helper()
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = "single", "a-stranger-of-the-new-protocol", epoch, 60_000
		req.SubscribedTopicNames, req.Topics = []string{"a"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		res, err := c.admin.request(t.Context(), cluster.ListenAddrs()[0], req, 1)
		if err == nil {
			err = codeError(res.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	beat(0)
	cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		t.Error("the group was joined")
		return nil, nil, false
	})
	b := newBoard(t)
	p := b.join("one", quickGroup(cluster.ListenAddrs()), single)
	b.until("it failed", func(map[TopicPartition]string) bool { return p.failed != nil })
	for _, want := range []string{"KIP-848", `member "a-stranger-of-the-new-protocol"`, "give them another group.id", "kafka-consumer-groups.sh --bootstrap-server ", "--describe --group single"} {
		if !strings.Contains(p.failed.Error(), want) {
			t.Errorf("%q is missing in %v", want, p.failed)
		}
	}
}

// A member that was killed is waited for by the coordinator, and the log says so.
//
// Mutations: logWait is not called; the subscription does not carry the instance.
func TestAJoinSaysWhatItWaitsFor(t *testing.T) {
	for name, tc := range map[string]struct{ instance, want string }{
		"its former self": {"i", "waiting for the former member of this instance, which did not leave the group: its session ends within"},
		"somebody":        {"another", "waiting for the former members of the group to join again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := groupCluster(t)
			topic(t, cluster, "a", 3)
			b := newBoard(t)
			group := single
			group.Instance = "i"
			cfg := quickGroup(cluster.ListenAddrs())
			cfg.Group.SessionTimeout = 4 * time.Second
			one := b.join("one", cfg, group)
			b.shared(3, 1)
			one.group.stop() // as kill does: nobody is told
			<-one.group.done
			b.mu.Lock()
			clear(b.owner)
			b.mu.Unlock()

			core, seen := observer.New(zap.InfoLevel)
			c, err := Dial(t.Context(), cfg, zap.New(core))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			group.Instance = tc.instance
			b.joinOn(c, "two", group)
			b.shared(3, 1)
			said := false
			for _, line := range seen.All() {
				said = said || strings.HasPrefix(line.Message, tc.want) && strings.Contains(line.Message, "static membership (group.instance.id) avoids this wait")
			}
			if !said {
				t.Errorf("the log says %v", seen.All())
			}
		})
	}
}

func TestWhatAJoinWaitsFor(t *testing.T) {
	ours, other := former{name: "A", ours: true}, former{name: "B"}
	for _, tc := range []struct {
		survey survey
		waited time.Duration
		want   string
	}{
		{survey{asked: true, formers: []former{ours, other}}, 3 * time.Second, "which did not leave the group: its session ends within 7s"},
		{survey{asked: true, formers: []former{ours}}, 11 * time.Second, "its session ends by a session.timeout.ms of its own, which is over 10s"},
		{survey{asked: true, formers: []former{other, other}}, time.Second, "ends within 9s (session.timeout.ms); static membership (group.instance.id) avoids this wait; there are 2, one is B"},
		{survey{asked: true}, time.Second, "group.initial.rebalance.delay.ms"},
		{survey{}, time.Second, "waiting for the other members of the group to join again"},
	} {
		g := &Group{tuning: GroupTuning{SessionTimeout: 10 * time.Second}, surveyed: tc.survey}
		if got := g.waitingFor(tc.waited); !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %s", tc.survey, got)
		}
	}
}

// A static member that restarts while partitions are added is answered with its assignment of old, which a leader made that
// knew of fewer. It takes that for incomplete, and asks for a rebalance after a session.
//
// Mutation seen to fail this test: take leaves outgrown out.
func TestAnAssignmentFromBeforePartitionsWereAddedIsIncomplete(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 2)
	links := dial(t, quickGroup(cluster.ListenAddrs())).newLinks()
	defer links.close()
	for counts, want := range map[int32]bool{3: true, 2: false, 1: false} {
		user, err := mark{Weir: 1, Group: "pair", Partitions: map[string]int32{"a": 2, "b": 2}}.encode()
		if err != nil {
			t.Fatal(err)
		}
		g := &Group{cfg: pair, topics: []string{"a", "b"}, log: zap.NewNop(), links: links, client: &Client{cfg: Config{RequestTimeout: time.Second}}, counts: map[string]int32{"a": counts, "b": 2}}
		a := &sarama.ConsumerGroupMemberAssignment{Topics: map[string][]int32{"a": {0, 1}, "b": {0, 1}}, UserData: user}
		if err := g.take(t.Context(), "", a); err != nil {
			t.Fatal(err)
		}
		if g.incomplete != want {
			t.Errorf("with %d partitions where the leader saw 2: incomplete %v", counts, g.incomplete)
		}
	}
}

// A static member that restarts after an input was deleted and created again with fewer partitions is answered with those it
// had. It takes what is there, and the rest when the topic has it.
//
// Mutations: existing keeps everything; it does not ask again before it leaves something out.
func TestAnAssignmentFromBeforeATopicShrankIsTakenAsFarAsItGoes(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 5)
	links := dial(t, quickGroup(cluster.ListenAddrs())).newLinks()
	defer links.close()
	user, err := mark{Weir: 1, Group: "pair", Partitions: map[string]int32{"a": 6, "b": 6}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{cfg: pair, topics: []string{"a", "b"}, log: zap.NewNop(), links: links, client: &Client{cfg: Config{RequestTimeout: time.Second}}, counts: map[string]int32{"a": 4, "b": 6}}
	a := &sarama.ConsumerGroupMemberAssignment{Topics: map[string][]int32{"a": {3, 4, 5}, "b": {3, 4, 5}}, UserData: user}
	if err := g.take(t.Context(), "", a); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(g.assigned), "[a/3 a/4 b/3 b/4 b/5]"; got != want {
		t.Errorf("took %s, want %s", got, want)
	}
}
