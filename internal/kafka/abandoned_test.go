package kafka

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ownedBy is an ownership as that of topology pair, whose topics begin with pair.
var ownedBy = Ownership{
	Instance: func(id string) (string, bool) {
		rest, ours := strings.CutPrefix(id, "pair-")
		instance, _, numbered := strings.Cut(rest, "/")
		return instance, ours && numbered
	},
	Writes: func(topic string) bool { return strings.HasPrefix(topic, "pair.") },
}

// begun opens a transaction of an id in a topic.
func begun(t *testing.T, cluster *kfake.Cluster, id, topic string) *testProducer {
	t.Helper()
	p := newTestProducer(t, cluster, id)
	p.begin(topic, 0)
	p.produce(topic, 0, 1)
	return p
}

// isOpen says whether a producer's transaction is open still, by committing it.
func (p *testProducer) isOpen() bool {
	p.t.Helper()
	res, err := p.b.EndTxn(&sarama.EndTxnRequest{Version: 2, TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, TransactionResult: true})
	if err != nil {
		p.t.Fatal(err)
	}
	return res.Err == sarama.ErrNoError
}

// What is open of an instance that is no member is ended; what is a member's, another topology's, or in topics that the topology does not
// write is not.
//
// Mutations: withoutMembers returns all; holds does not look at topics; ofAnotherGroup finds none.
func TestOnlyTransactionsThatMembersHaveLeftAreEnded(t *testing.T) {
	cluster := groupCluster(t, kfake.SeedTopics(1, "a", "b", "other", "pair.out", "pair.log"))
	b := newBoard(t)
	group := func(name, instance string) GroupConfig {
		return GroupConfig{Group: name, Instance: instance, Copartitioned: [][]string{{"a"}, {"b"}}}
	}
	one := b.join("one", quickGroup(cluster.ListenAddrs()), group("pair", "one"))
	b.shared(2, 1)
	two := b.join("two", quickGroup(cluster.ListenAddrs()), group("pair", "two"))
	b.shared(2, 2)
	_ = two
	stranger := newBoard(t)
	stranger.join("eu", quickGroup(cluster.ListenAddrs()), group("pair-eu", "x"))
	stranger.shared(2, 1)

	dead := begun(t, cluster, "pair-three/0", "pair.log")
	spared := map[string]*testProducer{
		"the asking member's":           begun(t, cluster, "pair-one/0", "pair.out"),
		"another member's":              begun(t, cluster, "pair-two/3", "pair.out"),
		"another topology's":            begun(t, cluster, "pair-eu-x/0", "pair.out"),
		"of another form":               begun(t, cluster, "pair-three", "pair.out"),
		"in a topic of somebody else's": begun(t, cluster, "pair-four/0", "other"),
	}
	var ended []OpenTransaction
	for { // a broker's answer may be that the group is not stable yet
		var err error
		if ended, err = one.group.EndAbandoned(t.Context(), ownedBy); err == nil {
			break
		}
		if ClassOf(err) != Retriable {
			t.Fatal(err)
		}
	}
	if len(ended) != 1 || ended[0].TransactionalID != "pair-three/0" || ended[0].Timeout != 10*time.Second || ended[0].Began.IsZero() {
		t.Errorf("ended %+v", ended)
	}
	if dead.isOpen() {
		t.Error("the transaction of an instance that is not there is still open")
	}
	for what, p := range spared {
		if !p.isOpen() {
			t.Errorf("a transaction was ended: %s", what)
		}
	}
}

// While the group rebalances nobody knows who is a member: nothing is ended, and the caller may ask again.
//
// Mutation: withoutMembers does not look at the state.
func TestNothingIsEndedWhileTheGroupRebalances(t *testing.T) {
	cluster := groupCluster(t, kfake.SeedTopics(1, "a", "b", "pair.out"))
	b := newBoard(t)
	one := b.join("one", quickGroup(cluster.ListenAddrs()), GroupConfig{Group: "pair", Instance: "one", Copartitioned: [][]string{{"a"}, {"b"}}})
	b.shared(2, 1)
	p := begun(t, cluster, "pair-three/0", "pair.out")
	cluster.ControlKey(int16(kmsg.DescribeGroups), func(r kmsg.Request) (kmsg.Response, error, bool) {
		res := r.ResponseKind().(*kmsg.DescribeGroupsResponse)
		d := kmsg.NewDescribeGroupsResponseGroup()
		d.Group, d.State = "pair", "PreparingRebalance"
		res.Groups = append(res.Groups, d)
		return res, nil, true
	})
	if ended, err := one.group.EndAbandoned(t.Context(), ownedBy); ClassOf(err) != Retriable || len(ended) > 0 {
		t.Errorf("ended %v, %v", ended, err)
	}
	if !p.isOpen() {
		t.Error("it was ended")
	}
}

// Where it is not allowed to abort, or brokers are too old, that is an error that asking again does not help.
//
// Mutation: abort takes any answer for a good one.
func TestWhatCannotBeEndedIsAnError(t *testing.T) {
	for key, code := range map[kmsg.Key]*kerr.Error{
		kmsg.InitProducerID:   kerr.TransactionalIDAuthorizationFailed,
		kmsg.ListTransactions: kerr.UnsupportedVersion,
		kmsg.DescribeGroups:   kerr.GroupAuthorizationFailed,
	} {
		t.Run(code.Message, func(t *testing.T) {
			cluster := groupCluster(t, kfake.SeedTopics(1, "a", "b", "pair.out"))
			b := newBoard(t)
			one := b.join("one", quickGroup(cluster.ListenAddrs()), GroupConfig{Group: "pair", Instance: "one", Copartitioned: [][]string{{"a"}, {"b"}}})
			b.shared(2, 1)
			p := begun(t, cluster, "pair-three/0", "pair.out")
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: code, Count: -1})
			ended, err := one.group.EndAbandoned(t.Context(), ownedBy)
			if err == nil || ClassOf(err) == Retriable || len(ended) > 0 || !errors.Is(err, sarama.KError(code.Code)) {
				t.Errorf("ended %v, %v", ended, err)
			}
			if !p.isOpen() {
				t.Error("it was ended")
			}
		})
	}
}
