package embedded

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests by hand, where the client would do more than is wanted.

var serial atomic.Int64

func newTopic(t *testing.T, addrs []string, partitions int32, configs map[string]string) string {
	t.Helper()
	topic := fmt.Sprintf("behaviour-%d-%d", time.Now().UnixNano(), serial.Add(1))
	create(t, client(t, addrs), topic, partitions, configs)
	return topic
}

func admin(t *testing.T, c *kgo.Client, topic string, partitions int32) {
	t.Helper()
	create(t, c, topic, partitions, nil)
}

func create(t *testing.T, c *kgo.Client, topic string, partitions int32, configs map[string]string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, -1
	for k, v := range configs {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = k, &v
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	req.TimeoutMillis = 10_000
	eventually(t, "the topic is made", func() bool {
		res, err := req.RequestWith(timeout(t), c)
		if err != nil {
			t.Fatal(err)
		}
		return res.Topics[0].ErrorCode == 0
	})
	eventually(t, "the topic has a leader", func() bool {
		res := metadata(t, c, topic)
		return res.ErrorCode == 0 && len(res.Partitions) == int(partitions) && res.Partitions[0].Leader >= 0
	})
}

func metadata(t *testing.T, c *kgo.Client, topic string) kmsg.MetadataResponseTopic {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return res.Topics[0]
}

func topicID(t *testing.T, c *kgo.Client, topic string) [16]byte {
	t.Helper()
	return metadata(t, c, topic).TopicID
}

// offsetAt asks for the end (-1) or the start (-2) of partition 0, as seen with an isolation level.
func offsetAt(t *testing.T, c *kgo.Client, topic string, at int64, isolation int8) int64 {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	rt := kmsg.NewListOffsetsRequestTopic()
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = at
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	p := res.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return p.Offset
}

// fetch reads partition 0 from its start, read-committed.
func fetch(t *testing.T, c *kgo.Client, topic string) kmsg.FetchResponseTopicPartition {
	t.Helper()
	leader := metadata(t, c, topic).Partitions[0].Leader
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MaxWaitMillis, req.IsolationLevel, req.SessionEpoch = 1<<20, 100, 1, -1
	rt := kmsg.NewFetchRequestTopic()
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = 1<<20, -1
	rt.Topic, rt.TopicID, rt.Partitions = topic, topicID(t, c, topic), append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	res, err := c.Broker(int(leader)).Request(timeout(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return res.(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

func producer(t *testing.T, addrs []string, id string, expiry time.Duration) *kgo.Client {
	t.Helper()
	return client(t, addrs, kgo.TransactionalID(id), kgo.TransactionTimeout(expiry))
}

func begin(t *testing.T, c *kgo.Client) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, c *kgo.Client, commit bool) {
	t.Helper()
	if err := c.EndTransaction(timeout(t), kgo.TransactionEndTry(commit)); err != nil {
		t.Fatal(err)
	}
}

// transactional makes transactions of offsets.
type transactional struct {
	c     *kgo.Client
	id    string
	pid   int64
	epoch int16
}

func rawProducer(t *testing.T, c *kgo.Client, id string) *transactional {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &id, 30_000, -1, -1
	res, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return &transactional{c, id, res.ProducerID, res.ProducerEpoch}
}

// offsets puts an offset of partition 0 into the transaction, with the requests of before KIP-890, which name the
// group to the coordinator first.
func (p *transactional) offsets(t *testing.T, group string, m member, topic string, offset int64) error {
	t.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, p.pid, p.epoch, group
	eventually(t, "the transaction before is over", func() bool {
		res, err := add.RequestWith(timeout(t), p.c)
		if err != nil {
			t.Fatal(err)
		}
		if res.ErrorCode != 0 && res.ErrorCode != kerr.ConcurrentTransactions.Code {
			t.Fatal(kerr.ErrorForCode(res.ErrorCode))
		}
		return res.ErrorCode == 0
	})
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
	req.Group, req.MemberID, req.Generation = group, m.id, m.generation
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset, rp.LeaderEpoch = offset, -1
	rt.Topic, rt.TopicID, rt.Partitions = topic, topicID(t, p.c, topic), append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(timeout(t), p.c)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
}

func (p *transactional) end(t *testing.T, commit bool) {
	t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.pid, p.epoch, commit
	res, err := req.RequestWith(timeout(t), p.c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
		t.Fatal(err)
	}
	if res.ProducerID >= 0 && res.ProducerEpoch >= 0 && res.Version >= 5 { // KIP-890
		p.pid, p.epoch = res.ProducerID, res.ProducerEpoch
	}
}

// committed reads the stable offset of partition 0.
func committed(t *testing.T, c *kgo.Client, group, topic string) (int64, error) {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable, req.Group = true, group
	rg := kmsg.NewOffsetFetchRequestGroup()
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.Topic, rt.TopicID, rt.Partitions = topic, topicID(t, c, topic), []int32{0}
	rg.Group, rg.Topics = group, append(rg.Topics, rt)
	req.Groups = append(req.Groups, rg)
	res, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	g := res.Groups[0]
	if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
		return -1, err
	}
	p := g.Topics[0].Partitions[0]
	return p.Offset, kerr.ErrorForCode(p.ErrorCode)
}

type member struct {
	id         string
	generation int32
	members    []kmsg.JoinGroupResponseMember // of the leader only
}

// simpleMember commits in no generation's name.
var simpleMember = member{generation: -1}

// subscription is what a member of a group of consumers says of itself. Kafka 4 reads it, and answers members with
// UNKNOWN_SERVER_ERROR when it cannot; user is the assignor's own part.
func subscription(user string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.UserData = 3, []string{"topic"}, []byte(user)
	owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
	owned.Topic, owned.Partitions = "topic", []int32{0, 7}
	m.OwnedPartitions = append(m.OwnedPartitions, owned)
	return m.AppendTo(nil)
}

func joinRequest(group, id string, instance *string, metadata string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID = group, id, instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = 10_000, 10_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "weir-test", subscription(metadata)
	req.Protocols = append(req.Protocols, p)
	return req
}

func join(t *testing.T, c *kgo.Client, group, id string, instance *string, metadata string) member {
	t.Helper()
	return joinAs(t, c, joinRequest(group, id, instance, metadata))
}

// joinFor joins with a session of that length.
func joinFor(t *testing.T, c *kgo.Client, group, id string, session time.Duration) member {
	t.Helper()
	req := joinRequest(group, id, nil, "m")
	req.SessionTimeoutMillis = int32(session.Milliseconds())
	return joinAs(t, c, req)
}

func joinAs(t *testing.T, c *kgo.Client, req *kmsg.JoinGroupRequest) member {
	t.Helper()
	for {
		res, err := req.RequestWith(timeout(t), c)
		if err != nil {
			t.Error(err)
			return member{}
		}
		if res.ErrorCode == kerr.MemberIDRequired.Code {
			req.MemberID = res.MemberID
			continue
		}
		if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
			t.Error(err)
		}
		return member{res.MemberID, res.Generation, res.Members}
	}
}

func syncGroup(t *testing.T, c *kgo.Client, group string, m member, instance *string) {
	t.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = group, m.id, m.generation, instance
	protocolType, protocol := "consumer", "weir-test"
	req.ProtocolType, req.Protocol = &protocolType, &protocol
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = m.id, []byte("a")
	req.GroupAssignment = append(req.GroupAssignment, a)
	res, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// eventually asks again until the answer is yes. The broker offers nothing to wait on.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := timeout(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
