//go:build integration

package processors

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// abandon leaves a transaction open as a worker does whose process was killed: with an output, a changelog record, and the offsets up to
// the one given.
func (g *realRig) abandon(id string, offset int64) {
	g.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(g.cluster.Addrs()...), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(client.Close)
	if err := client.BeginTransaction(); err != nil {
		g.t.Fatal(err)
	}
	for _, topic := range []string{g.name + ".out.v1", g.changelog} {
		if err := client.ProduceSync(g.t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("dead")}).FirstErr(); err != nil {
			g.t.Fatal(err)
		}
	}
	pid, epoch, err := client.ProducerID(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = id, pid, epoch, g.name
	added, err := add.RequestWith(g.t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch, commit.Generation = id, g.name, pid, epoch, -1
	topic, partition := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	topic.Topic, partition.Offset = g.input, offset
	topic.Partitions = append(topic.Partitions, partition)
	commit.Topics = append(commit.Topics, topic)
	committed, err := commit.RequestWith(g.t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(committed.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// What an instance left open that was killed is ended by the one that takes its tasks over, though it would be aborted by its timeout
// after ten minutes only: the outputs, the changelog and the offsets are free, and its work is done again.
//
// Mutation: Assigned does not look for what was abandoned (waits in vain for the records).
func TestWhatAKilledInstanceLeftOpenIsEndedAtOnceOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, realCluster(t))
	inst, _, stop := g.start(Options{})
	g.until(inst, "it runs", inst.Ready)
	g.send(3)
	g.until(inst, "the records are processed", func() bool { return inst.Stats().Processed == 3 })
	stop()
	g.send(4)
	g.abandon(g.name+"-killed-0", 7)
	inst, _, _ = g.start(Options{}) // on an empty disk
	g.until(inst, "what the killed one had begun is done again", func() bool { return inst.Stats().Processed == 4 && inst.Stats().Lag == 0 })
	reader, err := kgo.NewClient(kgo.SeedBrokers(g.cluster.Addrs()...), kgo.ConsumeTopics(g.name+".out.v1"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []string
	for len(got) < 7 {
		fetched := reader.PollFetches(t.Context())
		if err := fetched.Err(); err != nil {
			t.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if want := []string{"0", "1", "2", "0", "1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("the outputs are %v, want %v", got, want)
	}
}
