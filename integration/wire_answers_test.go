//go:build integration

package integration

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/wiretest"
	"github.com/weirstream/weir/processors"
)

var recordFlag = flag.Bool("weir.record", false, "write the real cluster's answers down as what the simulated one has to answer")

// TestTheRealClusterStillAnswersAsWrittenDown puts the questions to a real broker that the simulated one has to answer in
// the same way.
func TestTheRealClusterStillAnswersAsWrittenDown(t *testing.T) {
	theLane(t)
	opts := kafkatest.Options{Brokers: 1, Config: map[string]string{"group.min.session.timeout.ms": "1000", "broker.session.timeout.ms": "60000"}}
	var doors [4]*proxy.Proxy
	for i := range doors {
		door, err := proxy.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = door.Close() }()
		doors[i] = door
		opts.Listeners = append(opts.Listeners, kafkatest.Listener{
			Name: fmt.Sprint(proxyListener, i), Protocol: "PLAINTEXT", Advertised: []string{door.Addr()},
		})
	}
	cluster := kafkatest.Start(t, opts)
	cluster.NeedNodes(t)
	for i, door := range doors {
		door.Forward(cluster.AddrsOf(opts.Listeners[i].Name)[0])
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	play := func(t *testing.T, s wiretest.Settings, ask func(*testing.T, wiretest.Cluster)) {
		for _, door := range doors { // one may be shut since this question was asked before
			door.Refuse(false)
		}
		ask(t, &questioned{settings: s, doors: doors[:], admin: kadm.NewClient(client)})
	}
	if *recordFlag {
		wiretest.Record(t, play, "../internal/wiretest/answers.txt")
		return
	}
	wiretest.Run(t, play, 3)
}

// questioned is a real broker. Each process comes in by a door of its own, which is shut when the process is killed.
type questioned struct {
	settings  wiretest.Settings
	doors     []*proxy.Proxy
	processes int
	admin     *kadm.Client
}

var keys = map[wiretest.Request]proxy.Key{
	wiretest.Produce: proxy.Produce, wiretest.ListOffsets: proxy.ListOffsets,
	wiretest.OffsetCommit: proxy.OffsetCommit, wiretest.OffsetFetch: proxy.OffsetFetch, wiretest.Heartbeat: proxy.Heartbeat,
	wiretest.SyncGroup: proxy.SyncGroup, wiretest.InitProducerID: proxy.InitProducerID,
	wiretest.AddPartitionsToTxn: proxy.AddPartitionsToTxn, wiretest.AddOffsetsToTxn: proxy.AddOffsetsToTxn,
	wiretest.EndTxn: proxy.EndTxn, wiretest.TxnOffsetCommit: proxy.TxnOffsetCommit,
}

func (q *questioned) Wire(t *testing.T) (processors.Wire, func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), q.settings.CallTimeout*4)
	defer cancel()
	door := q.doors[q.processes%len(q.doors)]
	q.processes++
	cfg := kafka.Config{
		Brokers: []string{door.Addr()}, RequestTimeout: q.settings.CallTimeout / 2, APITimeout: q.settings.CallTimeout,
		MetadataMaxAge: q.settings.CallTimeout / 3,
	}
	cfg.Fetch.MaxWait = q.settings.CallTimeout / 10
	cfg.Sink.DeliveryTimeout, cfg.Sink.TransactionTimeout = q.settings.CallTimeout, q.settings.TransactionTimeout
	cfg.Group.SessionTimeout, cfg.Group.HeartbeatInterval = q.settings.SessionTimeout, q.settings.HeartbeatInterval
	client, err := kafka.Dial(ctx, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		door.Refuse(false)
	})
	return processors.Kafka(client), func() { door.Refuse(true) }
}

func (q *questioned) Disturb(r wiretest.Request, loss wiretest.Loss) {
	action := proxy.LoseAnswer
	if loss == wiretest.RequestLost {
		action = proxy.CutRequest
	}
	for _, door := range q.doors {
		door.Inject(1, proxy.Rule{Action: action, Probability: 1, Keys: []proxy.Key{keys[r]}})
	}
}

func (q *questioned) Calm() {
	for _, door := range q.doors {
		door.Inject(1)
	}
}

func (q *questioned) DeleteRecords(t *testing.T, tp kafka.TopicPartition, before int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: tp.Topic, Partition: tp.Partition, At: before})
	if _, err := q.admin.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
}

func (q *questioned) AddPartitions(t *testing.T, topic string, total int32) {
	t.Helper()
	if _, err := q.admin.UpdatePartitions(t.Context(), int(total), topic); err != nil {
		t.Fatal(err)
	}
}
