package kafka

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTopicsDescribesWhatExistsAndCreatesNothing(t *testing.T) {
	// Mutation: Metadata.AllowAutoTopicCreation or the request's flag set: "absent" appears.
	cluster := fake(t, kfake.AllowAutoTopicCreation())
	if err := cluster.CreateTopic("a", 3, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	for range 2 {
		infos, err := c.Topics(t.Context(), []string{"a", "absent"})
		if err != nil {
			t.Fatal(err)
		}
		a := infos["a"]
		if len(infos) != 1 || a.Name != "a" || a.Partitions != 3 || a.ReplicationFactor < 1 || a.ID == "" {
			t.Errorf("got %+v", infos)
		}
		if a.Config["cleanup.policy"] != "compact" || a.Config["max.message.bytes"] != "2000" || a.Config["retention.ms"] == "" {
			t.Errorf("settings %v", a.Config)
		}
	}
	if infos, err := c.Topics(t.Context(), nil); err != nil || len(infos) != 0 {
		t.Errorf("of no names: %v, %v", infos, err)
	}
}

// Mutation: the id left out of topicInfo.
func TestATopicMadeAgainHasAnotherID(t *testing.T) {
	cluster := fake(t)
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	var ids []string
	for range 2 {
		if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: "a", Partitions: 1, ReplicationFactor: 1}}); err != nil {
			t.Fatal(err)
		}
		infos, err := c.Topics(t.Context(), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, infos["a"].ID)
		if err := cluster.DeleteTopic("a"); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] == ids[1] || len(ids[0]) != 22 {
		t.Errorf("ids %q", ids)
	}
}

func TestCreateTopicsLeavesWhatFitsAndReportsWhatDoesNot(t *testing.T) {
	cluster := fake(t)
	if err := cluster.CreateTopic("there", 2, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	// The embedded broker takes any setting; Kafka does not.
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "c", Err: kerr.InvalidConfig, Count: -1})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "d", Err: kerr.TopicAuthorizationFailed, Count: -1})
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	spec := func(name string, partitions int32, policy string) TopicSpec {
		return TopicSpec{name, partitions, 1, map[string]string{"cleanup.policy": policy}}
	}
	for _, tc := range []struct {
		name string
		spec TopicSpec
		want string // part of the error
	}{
		{"same", spec("there", 2, "compact"), ""},
		// Mutation: compatible looks at names only.
		{"partitions", spec("there", 4, "compact"), "create topic there: it exists with 2 partitions, not 4"},
		{"policy", spec("there", 2, "delete"), `it exists with cleanup.policy "compact", not "delete"`},
		{"new", spec("new", 2, "compact,delete"), ""},
		{"new again, policies in another order", spec("new", 2, "delete, compact"), ""},
		{"replication factor", TopicSpec{Name: "b", Partitions: 1, ReplicationFactor: 9}, "create topic b: replication factor 9: "},
		{"authorisation", spec("d", 1, "delete"), "create topic d: kafka server: The client is not authorized to access this topic"},
		{"setting", spec("c", 1, "shred"), "create topic c: settings map[cleanup.policy:shred]: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// A neighbour that is fine is made all the same.
			neighbour := "neighbour-of-" + strings.Map(func(r rune) rune {
				if r == ' ' || r == ',' {
					return '-'
				}
				return r
			}, tc.name)
			err := c.CreateTopics(t.Context(), []TopicSpec{tc.spec, {Name: neighbour, Partitions: 1, ReplicationFactor: 1}})
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if cluster.TopicInfo(neighbour) == nil {
				t.Error("the neighbour was not made")
			}
		})
	}
}

// Mutation: TOPIC_ALREADY_EXISTS counts as an error.
func TestInstancesThatCreateTheSameTopicsAtOnceAllSucceed(t *testing.T) {
	cluster := fake(t)
	errs := make(chan error)
	begin := make(chan struct{})
	for range 8 {
		c := dial(t, Config{Brokers: cluster.ListenAddrs()})
		go func() {
			<-begin
			errs <- c.CreateTopics(t.Context(), []TopicSpec{{Name: "a", Partitions: 2, ReplicationFactor: 1}, {Name: "b", Partitions: 2, ReplicationFactor: 1}})
		}()
	}
	close(begin)
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Mutation: transient answers false.
func TestAdminCallsOutlastWhatPasses(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(3), kfake.SeedTopics(4, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), RetryBackoff: time.Millisecond})
	tps := []TopicPartition{{Topic: "a", Partition: 0}, {Topic: "a", Partition: 1}, {Topic: "a", Partition: 2}, {Topic: "a", Partition: 3}}
	calls := map[string]func() error{
		"topics":    func() error { _, err := c.Topics(t.Context(), []string{"a"}); return err },
		"ends":      func() error { _, err := c.Ends(t.Context(), tps); return err },
		"starts":    func() error { _, err := c.Starts(t.Context(), tps); return err },
		"committed": func() error { _, err := c.Committed(t.Context(), "g", tps); return err },
		"lag":       func() error { _, err := c.Lag(t.Context(), "g", []string{"a"}); return err },
		"create": func() error {
			return c.CreateTopics(t.Context(), []TopicSpec{{Name: "b", Partitions: 1, ReplicationFactor: 1}})
		},
	}
	for _, tc := range []struct {
		key  kmsg.Key
		err  *kerr.Error
		call string
	}{
		{kmsg.Metadata, kerr.LeaderNotAvailable, "topics"},
		{kmsg.DescribeConfigs, kerr.UnknownServerError, "topics"},
		{kmsg.ListOffsets, kerr.NotLeaderForPartition, "ends"},
		{kmsg.ListOffsets, kerr.UnknownTopicOrPartition, "ends"}, // a broker that has not heard of it yet
		{kmsg.ListOffsets, kerr.OffsetNotAvailable, "starts"},
		{kmsg.FindCoordinator, kerr.CoordinatorNotAvailable, "committed"},
		{kmsg.OffsetFetch, kerr.NotCoordinator, "committed"},
		{kmsg.OffsetFetch, kerr.CoordinatorLoadInProgress, "lag"},
		{kmsg.OffsetFetch, kerr.UnstableOffsetCommit, "committed"},
		{kmsg.CreateTopics, kerr.NotController, "create"},
		{kmsg.CreateTopics, kerr.RequestTimedOut, "create"},
		{kmsg.CreateTopics, kerr.ThrottlingQuotaExceeded, "create"},
	} {
		t.Run(tc.err.Message+" to "+tc.call, func(t *testing.T) {
			handle := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, Err: tc.err, Count: 3})
			defer handle.Remove()
			if err := calls[tc.call](); err != nil {
				t.Error(err)
			}
			if handle.Hits() != 3 {
				t.Errorf("the fault was seen %d times", handle.Hits())
			}
			_ = cluster.DeleteTopic("b")
		})
	}
	t.Run("a lost connection", func(t *testing.T) {
		for name, call := range calls {
			for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.DescribeConfigs, kmsg.ListOffsets, kmsg.FindCoordinator, kmsg.OffsetFetch, kmsg.CreateTopics, kmsg.DescribeCluster} {
				cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
					return nil, errors.New("cut"), true
				})
				if err := call(); err != nil {
					t.Errorf("%s, cut at %d: %v", name, key, err)
				}
				_ = cluster.DeleteTopic("b")
			}
		}
	})
	t.Run("leaders and coordinators that move", func(t *testing.T) {
		for name, call := range calls {
			cluster.ShufflePartitionLeaders()
			cluster.RehashCoordinators()
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			_ = cluster.DeleteTopic("b")
		}
	})
}

// Mutation: the loop in retry has no end but success.
func TestAdminCallsGiveUpInTimeAndSayWhy(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), APITimeout: 300 * time.Millisecond, RetryBackoff: time.Millisecond, RetryBackoffMax: 2 * time.Millisecond})
	for _, tc := range []struct {
		err   *kerr.Error
		class Class
		want  []string
	}{
		{kerr.NotLeaderForPartition, Retriable, []string{"find the ends of a/0: ", "deadline exceeded after ", "not the leader"}},
		{kerr.TopicAuthorizationFailed, Blocked, []string{"find the ends of a/0: ", "not authorized"}},
		{kerr.UnknownTopicOrPartition, Blocked, []string{"find the ends of a/0: ", "does not exist"}},
	} {
		handle := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: tc.err, Count: -1})
		_, err := c.Ends(t.Context(), []TopicPartition{{Topic: "a", Partition: 0}})
		handle.Remove()
		if err == nil || ClassOf(err) != tc.class {
			t.Fatalf("got %v of class %v", err, ClassOf(err))
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing in %v", want, err)
			}
		}
	}
	if _, err := c.Ends(t.Context(), []TopicPartition{{Topic: "a", Partition: 7}}); err == nil || !strings.Contains(err.Error(), "a/7") {
		t.Errorf("a partition that does not exist: %v", err)
	}
	if _, err := c.Lag(t.Context(), "g", []string{"a", "absent"}); err == nil || !strings.Contains(err.Error(), "topic absent does not exist") {
		t.Errorf("a topic that does not exist: %v", err)
	}
}

func TestEndsCountOpenTransactionsAndStartsFollowDeletion(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(2, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	producer := newTestProducer(t, cluster, "tx")
	producer.begin("a", 0)
	producer.produce("a", 0, 5)
	tps := []TopicPartition{{Topic: "a", Partition: 0}, {Topic: "a", Partition: 1}}
	// Mutation: IsolationLevel read-committed in offsetsFrom.
	ends, err := c.Ends(t.Context(), tps)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(ends, map[TopicPartition]int64{{Topic: "a", Partition: 0}: 5, {Topic: "a", Partition: 1}: 0}) {
		t.Errorf("ends %v", ends)
	}
	producer.end(true)
	if err := cluster.DeleteRecords("a", 0, 3); err != nil {
		t.Fatal(err)
	}
	starts, err := c.Starts(t.Context(), tps)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(starts, map[TopicPartition]int64{{Topic: "a", Partition: 0}: 3, {Topic: "a", Partition: 1}: 0}) {
		t.Errorf("starts %v", starts)
	}
}

// Mutation: RequireStable left false: the first read answers at once, with the old offset.
func TestCommittedWaitsForTheTransactionThatMovesIt(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), RetryBackoff: time.Millisecond, APITimeout: 400 * time.Millisecond})
	patient := dial(t, Config{Brokers: cluster.ListenAddrs()})
	tp := TopicPartition{Topic: "a", Partition: 0}
	read := func(ctx context.Context) (int64, error) {
		offsets, err := c.Committed(ctx, "g", []TopicPartition{tp})
		return offsets[tp].Offset, err
	}
	if offset, err := read(t.Context()); err != nil || offset != -1 {
		t.Fatalf("of an unknown group: %d, %v", offset, err)
	}
	producer := newTestProducer(t, cluster, "tx")
	producer.commitOffset("g", "a", 0, 41)
	producer.end(true)
	producer.commitOffset("g", "a", 0, 42)

	asked := make(chan struct{}, 1)
	cluster.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, nil, false
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // well over APITimeout
	_, err := read(ctx)
	cancel()
	if !errors.Is(err, sarama.ErrUnstableOffsetCommit) || ClassOf(err) != Retriable {
		t.Errorf("while the transaction is open: %v", err)
	}
	lag, err := patient.Lag(t.Context(), "g", []string{"a"})
	if err != nil || lag[tp].Committed != 41 {
		t.Errorf("Lag waits for the transaction: %v, %v", lag, err)
	}
	done := make(chan int64)
	go func() {
		offset, err := read(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- offset
	}()
	for began := time.Now(); time.Since(began) < time.Second; { // well over APITimeout
		<-asked
	}
	producer.end(true)
	if offset := <-done; offset != 42 {
		t.Errorf("committed %d", offset)
	}
}

func TestLagReachesZeroBehindATransactionMarker(t *testing.T) {
	for _, tc := range []struct {
		lag  PartitionLag
		want int64
	}{
		{PartitionLag{Start: 0, End: 10, Committed: -1}, 10},
		{PartitionLag{Start: 4, End: 10, Committed: -1}, 6},
		{PartitionLag{Start: 4, End: 10, Committed: 2}, 6}, // what was deleted is no lag
		{PartitionLag{Start: 0, End: 10, Committed: 10}, 0},
		{PartitionLag{Start: 0, End: 9, Committed: 10}, 0}, // a topic made again
	} {
		if got := tc.lag.Lag(); got != tc.want {
			t.Errorf("%+v: %d, want %d", tc.lag, got, tc.want)
		}
	}
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	producer := newTestProducer(t, cluster, "tx")
	producer.begin("a", 0)
	producer.produce("a", 0, 5)
	producer.end(true)
	producer.commitOffset("g", "a", 0, 6) // five records and the marker
	producer.end(true)
	lags, err := c.Lag(t.Context(), "g", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if lag := lags[TopicPartition{Topic: "a", Partition: 0}]; lag.Lag() != 0 || lag.End != 6 {
		t.Errorf("got %+v", lag)
	}
}

func TestTopicsWhoseSettingsAreHiddenAreStillDescribed(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	infos, err := c.Topics(t.Context(), []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	if infos["a"].Partitions != 1 || len(infos["a"].Config) != 0 {
		t.Errorf("got %+v", infos)
	}
}

// testProducer makes transactions by hand.
type testProducer struct {
	t     *testing.T
	b     *sarama.Broker // the transaction coordinator, and the only broker if there is one
	group *sarama.Broker // the group coordinator
	id    string
	pid   int64
	epoch int16
	seq   int32
}

func newTestProducer(t *testing.T, cluster *kfake.Cluster, id string) *testProducer {
	t.Helper()
	addr := cluster.ListenAddrs()[0]
	return newTestProducerAt(t, addr, addr, id)
}

func newTestProducerAt(t *testing.T, coordinator, groupCoordinator, id string) *testProducer {
	t.Helper()
	open := func(addr string) *sarama.Broker {
		conf := sarama.NewConfig()
		conf.Version = sarama.V3_6_0_0
		b := sarama.NewBroker(addr)
		if err := b.Open(conf); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	}
	b := open(coordinator)
	res, err := b.InitProducerID(&sarama.InitProducerIDRequest{Version: 3, TransactionalID: &id, TransactionTimeout: 10 * time.Second, ProducerID: -1, ProducerEpoch: -1})
	if err != nil || res.Err != sarama.ErrNoError {
		t.Fatal(err, res.Err)
	}
	return &testProducer{t: t, b: b, group: open(groupCoordinator), id: id, pid: res.ProducerID, epoch: res.ProducerEpoch}
}

func (p *testProducer) must(code sarama.KError, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	if code != sarama.ErrNoError {
		p.t.Fatal(code)
	}
}

func (p *testProducer) begin(topic string, partition int32) {
	p.t.Helper()
	res, err := p.b.AddPartitionsToTxn(&sarama.AddPartitionsToTxnRequest{Version: 2, TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, TopicPartitions: map[string][]int32{topic: {partition}}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(res.Errors[topic][0].Err, nil)
}

func (p *testProducer) produce(topic string, partition int32, n int) {
	p.t.Helper()
	var records []*sarama.Record
	for i := range n {
		records = append(records, &sarama.Record{OffsetDelta: int64(i), Value: []byte("v")})
	}
	now := time.Now()
	req := &sarama.ProduceRequest{RequiredAcks: sarama.WaitForAll, Timeout: 10000, Version: 7, TransactionalID: &p.id}
	req.AddBatch(topic, partition, &sarama.RecordBatch{Version: 2, FirstTimestamp: now, MaxTimestamp: now, ProducerID: p.pid, ProducerEpoch: p.epoch, FirstSequence: p.seq, LastOffsetDelta: int32(n - 1), Records: records, IsTransactional: true})
	p.seq += int32(n)
	res, err := p.b.Produce(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(res.GetBlock(topic, partition).Err, nil)
}

// commitOffset leaves the transaction open.
func (p *testProducer) commitOffset(group, topic string, partition int32, offset int64) {
	p.t.Helper()
	added, err := p.b.AddOffsetsToTxn(&sarama.AddOffsetsToTxnRequest{Version: 2, TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, GroupID: group})
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(added.Err, nil)
	res, err := p.group.TxnOffsetCommit(&sarama.TxnOffsetCommitRequest{Version: 3, TransactionalID: p.id, GroupID: group, ProducerID: p.pid, ProducerEpoch: p.epoch, GenerationID: -1,
		Topics: map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: partition, Offset: offset, LeaderEpoch: -1}}}})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, partitions := range res.Topics {
		p.must(partitions[0].Err, nil)
	}
}

func (p *testProducer) end(commit bool) {
	p.t.Helper()
	res, err := p.b.EndTxn(&sarama.EndTxnRequest{Version: 2, TransactionalID: p.id, ProducerID: p.pid, ProducerEpoch: p.epoch, TransactionResult: commit})
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(res.Err, nil)
}
