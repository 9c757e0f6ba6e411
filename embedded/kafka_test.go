package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The tests of this file hold the embedded broker to what the engine relies on in Kafka. The same tests run against a
// real cluster in integration tests, so that they are about Kafka and not about kfake.
var behaviours = []struct {
	name string
	test func(t *testing.T, addrs []string)
}{
	{"an open transaction holds the last stable offset", openTransactionHoldsStableOffset},
	{"an aborted transaction is listed and not read", abortedTransactionIsListed},
	{"a newer producer fences the older", newerProducerFences},
	{"a transaction that is left open times out", transactionTimesOut},
	{"offsets of a transaction appear when it commits", offsetsAppearOnCommit},
	{"offsets of a member that was replaced are refused", staleMemberIsRefused},
	{"what members say of themselves reaches the leader unchanged", memberMetadataReachesLeader},
	{"a static member's successor fences it", staticSuccessorFences},
	{"a member that dies while it joins is gone after its session", memberThatDiesJoiningIsRemoved},
	{"too short a session is refused", shortSessionIsRefused},
	{"a record over max.message.bytes is refused", largeRecordIsRefused},
	{"a topic made again has another id", topicMadeAgainHasAnotherID},
}

func TestEmbeddedBrokerBehavesLikeKafka(t *testing.T) {
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			b.test(t, start(t, Options{Brokers: 3}).Addrs())
		})
	}
}

func TestCompactionKeepsTheLastValueOfAKeyAndTheOffsets(t *testing.T) {
	b := start(t, Options{})
	if err := b.Cluster().CreateTopic("a", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	c := client(t, b.Addrs())
	for _, v := range []string{"1", "2", "3", "4"} {
		key := []byte("same")
		if v == "4" {
			key = []byte("last batch") // which compaction spares
		}
		if err := c.ProduceSync(timeout(t), &kgo.Record{Topic: "a", Key: key, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	b.Cluster().Compact()
	if got := values(t, b.Addrs(), "a", 2); fmt.Sprint(got) != "[3 4]" {
		t.Errorf("got %q", got)
	}
	if end := offsetAt(t, c, "a", -1, 0); end != 4 {
		t.Errorf("the end is %d", end)
	}
}

func openTransactionHoldsStableOffset(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	plain := client(t, addrs)
	produce(t, plain, topic, "before")
	tx := producer(t, addrs, "tx-"+topic, time.Minute)
	begin(t, tx)
	produce(t, tx, topic, "inside")
	produce(t, plain, topic, "after")
	if high, stable := offsetAt(t, plain, topic, -1, 0), offsetAt(t, plain, topic, -1, 1); high != 3 || stable != 1 {
		t.Errorf("high watermark %d, last stable offset %d", high, stable)
	}
	end(t, tx, true)
	// The marker takes an offset. Kafka writes it after it answered.
	eventually(t, "the marker is written", func() bool {
		return offsetAt(t, plain, topic, -1, 0) == 4 && offsetAt(t, plain, topic, -1, 1) == 4
	})
	if got := values(t, addrs, topic, 3); fmt.Sprint(got) != "[before inside after]" {
		t.Errorf("got %q", got)
	}
}

func abortedTransactionIsListed(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	tx := producer(t, addrs, "tx-"+topic, time.Minute)
	begin(t, tx)
	produce(t, tx, topic, "aborted")
	end(t, tx, false)
	begin(t, tx)
	produce(t, tx, topic, "committed")
	end(t, tx, true)
	if got := values(t, addrs, topic, 1); fmt.Sprint(got) != "[committed]" {
		t.Errorf("got %q", got)
	}
	id, _, err := tx.ProducerID(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	res := fetch(t, tx, topic)
	if len(res.AbortedTransactions) != 1 || res.AbortedTransactions[0].ProducerID != id || res.AbortedTransactions[0].FirstOffset != 0 {
		t.Errorf("aborted: %+v", res.AbortedTransactions)
	}
}

func newerProducerFences(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	first := producer(t, addrs, "tx-"+topic, time.Minute)
	begin(t, first)
	produce(t, first, topic, "lost")
	second := producer(t, addrs, "tx-"+topic, time.Minute)
	begin(t, second) // initialises the id, which aborts the transaction of the first
	produce(t, second, topic, "kept")
	err := first.ProduceSync(timeout(t), &kgo.Record{Topic: topic, Value: []byte("lost too")}).FirstErr()
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("the fenced producer writes: %v", err)
	}
	end(t, second, true)
	if got := values(t, addrs, topic, 1); fmt.Sprint(got) != "[kept]" {
		t.Errorf("got %q", got)
	}
}

func transactionTimesOut(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	tx := producer(t, addrs, "tx-"+topic, time.Second)
	begin(t, tx)
	produce(t, tx, topic, "left")
	plain := client(t, addrs)
	produce(t, plain, topic, "after")
	if got := values(t, addrs, topic, 1); fmt.Sprint(got) != "[after]" { // waits for the timeout
		t.Errorf("got %q", got)
	}
}

func offsetsAppearOnCommit(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	group := "group-" + topic
	c := client(t, addrs)
	tx := rawProducer(t, c, "tx-"+topic)
	for i, commit := range []bool{true, false} {
		m := simpleMember
		if code := tx.offsets(t, group, m, topic, int64(10+i)); code != nil {
			t.Fatal(code)
		}
		if _, err := committed(t, c, group, topic); !errors.Is(err, kerr.UnstableOffsetCommit) && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Errorf("while the transaction is open: %v", err)
		}
		tx.end(t, commit)
		var offset int64
		eventually(t, "the offset is stable", func() bool {
			var err error
			offset, err = committed(t, c, group, topic)
			return err == nil
		})
		if offset != 10 {
			t.Errorf("after commit %v: %d", commit, offset)
		}
	}
}

func staleMemberIsRefused(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	group := "group-" + topic
	c := client(t, addrs)
	m := join(t, c, group, "", nil, "meta")
	tx := rawProducer(t, c, "tx-"+topic)
	if err := tx.offsets(t, group, m, topic, 1); err != nil {
		t.Errorf("the member itself: %v", err)
	}
	old := m
	old.generation--
	if err := tx.offsets(t, group, old, topic, 1); !errors.Is(err, kerr.IllegalGeneration) {
		t.Errorf("an older generation: %v", err)
	}
	other := m
	other.id = "nobody"
	if err := tx.offsets(t, group, other, topic, 1); !errors.Is(err, kerr.UnknownMemberID) {
		t.Errorf("another member: %v", err)
	}
	tx.end(t, false)
}

func memberMetadataReachesLeader(t *testing.T, addrs []string) {
	group := "group-" + newTopic(t, addrs, 1, nil)
	// Two connections: a JoinGroup that waits for the others holds up what comes after it.
	c1, c2 := client(t, addrs), client(t, addrs)
	leader := join(t, c1, group, "", nil, "one")
	joined := make(chan member)
	go func() { joined <- join(t, c2, group, "", nil, "two, with \x00 and \xff") }()
	eventually(t, "the leader is told to join again", func() bool {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = group, leader.id, leader.generation
		res, err := req.RequestWith(timeout(t), c1)
		return err == nil && res.ErrorCode == kerr.RebalanceInProgress.Code
	})
	again := join(t, c1, group, leader.id, nil, "one, owning \x00\x01")
	follower := <-joined
	if again.generation != follower.generation || again.generation <= leader.generation {
		t.Errorf("generations %d, %d, %d", leader.generation, again.generation, follower.generation)
	}
	all := append(again.members, follower.members...)
	var metas []string
	for _, m := range all {
		metas = append(metas, string(m.ProtocolMetadata))
	}
	want := map[string]bool{string(subscription("one, owning \x00\x01")): true, string(subscription("two, with \x00 and \xff")): true}
	if len(metas) != 2 || !want[metas[0]] || !want[metas[1]] || metas[0] == metas[1] {
		t.Errorf("the leader got %q", metas)
	}
}

// Mutation seen to fail it: awaitGroup that does not wait.
func memberThatDiesJoiningIsRemoved(t *testing.T, addrs []string) {
	group := "group-" + newTopic(t, addrs, 1, nil)
	c, dying := client(t, addrs), client(t, addrs)
	stays := joinFor(t, c, group, "", 5*time.Minute)
	syncGroup(t, c, group, stays, nil)
	go func() {
		req := joinRequest(group, "", nil, "dies")
		req.SessionTimeoutMillis = 6000
		for {
			res, err := req.RequestWith(timeout(t), dying)
			if err != nil || res.ErrorCode != kerr.MemberIDRequired.Code {
				return // it was answered by nobody
			}
			req.MemberID = res.MemberID
		}
	}()
	joining := func() bool {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = group, stays.id, stays.generation
		res, err := req.RequestWith(timeout(t), c)
		return err == nil && res.ErrorCode == kerr.RebalanceInProgress.Code
	}
	eventually(t, "the member is told to join again", joining)
	dying.Close()
	for range 200 { // until the broker has most likely seen the end of the connection
		joining()
	}
	stays = joinFor(t, c, group, stays.id, 5*time.Minute)
	syncGroup(t, c, group, stays, nil)
	eventually(t, "the dead member's session is over", func() bool {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group}
		res, err := req.RequestWith(timeout(t), c)
		return err == nil && len(res.Groups) == 1 && len(res.Groups[0].Members) == 1
	})
}

func staticSuccessorFences(t *testing.T, addrs []string) {
	group := "group-" + newTopic(t, addrs, 1, nil)
	c := client(t, addrs)
	instance := "instance-1"
	first := join(t, c, group, "", &instance, "m")
	syncGroup(t, c, group, first, &instance)
	second := join(t, c, group, "", &instance, "m")
	if second.id == first.id {
		t.Fatalf("both are %s", first.id)
	}
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = group, first.id, first.generation, &instance
	res, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if res.ErrorCode != kerr.FencedInstanceID.Code {
		t.Errorf("the first one's heartbeat: %v", kerr.ErrorForCode(res.ErrorCode))
	}
}

func shortSessionIsRefused(t *testing.T, addrs []string) {
	req := joinRequest("group-"+newTopic(t, addrs, 1, nil), "", nil, "m")
	req.SessionTimeoutMillis = 1000
	res, err := req.RequestWith(timeout(t), client(t, addrs))
	if err != nil {
		t.Fatal(err)
	}
	if res.ErrorCode != kerr.InvalidSessionTimeout.Code {
		t.Errorf("got %v", kerr.ErrorForCode(res.ErrorCode))
	}
}

func largeRecordIsRefused(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, map[string]string{"max.message.bytes": "2000"})
	c := client(t, addrs, kgo.ProducerBatchCompression(kgo.NoCompression()))
	err := c.ProduceSync(timeout(t), &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte("x"), 2000)}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("got %v", err)
	}
	produce(t, c, topic, "small")

	req := kmsg.NewPtrDescribeConfigsRequest()
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName, res.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{"max.message.bytes"}
	req.Resources = append(req.Resources, res)
	answer, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if configs := answer.Resources[0].Configs; len(configs) != 1 || configs[0].Value == nil || *configs[0].Value != "2000" {
		t.Errorf("described as %+v", configs)
	}
}

func topicMadeAgainHasAnotherID(t *testing.T, addrs []string) {
	topic := newTopic(t, addrs, 1, nil)
	c := client(t, addrs)
	first := topicID(t, c, topic)
	req := kmsg.NewPtrDeleteTopicsRequest()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &topic
	req.Topics, req.TopicNames = append(req.Topics, rt), []string{topic}
	if _, err := req.RequestWith(timeout(t), c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic is gone", func() bool { return topicID(t, c, topic) == [16]byte{} })
	admin(t, c, topic, 1)
	if second := topicID(t, c, topic); second == first || second == [16]byte{} {
		t.Errorf("ids %x and %x", first, second)
	}
}
