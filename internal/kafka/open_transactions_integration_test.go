//go:build integration

package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAHangingTransactionIsToldFromAnOpenOneOnARealKafka makes one as older clients did by accident: a transactional batch
// in a partition that its transaction's coordinator was never told of. Brokers check that since KIP-890, unless they are told
// not to.
//
// Mutation: explain does not look whether the partition is in the coordinator's transaction.
func TestAHangingTransactionIsToldFromAnOpenOneOnARealKafka(t *testing.T) {
	cluster := oneBroker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	verify := func(value string) {
		t.Helper()
		res, err := admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Name: "transaction.partition.verification.enable", Value: &value}}, 1)
		if err == nil && len(res) > 0 {
			err = res[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	verify("false")
	t.Cleanup(func() {
		value := "true"
		_, _ = admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Name: "transaction.partition.verification.enable", Value: &value}}, 1)
	})

	c := dial(t, Config{Brokers: cluster.Addrs()})
	name := "hanging-" + time.Now().Format("150405.000000")
	if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: name, Partitions: 1, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	tp := TopicPartition{Topic: name, Partition: 0}
	if open, err := c.OpenTransactions(t.Context(), []TopicPartition{tp}); err != nil || len(open) > 0 {
		t.Fatalf("got %v, %v", open, err)
	}
	addr := cluster.Addrs()[0]
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = &name, 60_000
	var res *kmsg.InitProducerIDResponse
	for res == nil || res.ErrorCode != 0 { // the coordinator may be loading
		answer, err := c.admin.request(t.Context(), addr, init, 4)
		if err != nil {
			t.Fatal(err)
		}
		res = answer.(*kmsg.InitProducerIDResponse)
	}
	produce := kmsg.NewPtrProduceRequest()
	produce.TransactionID, produce.Acks, produce.TimeoutMillis = &name, -1, 10_000
	topic, partition := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, partition.Records = name, transactionalBatch(res.ProducerID, res.ProducerEpoch)
	topic.Partitions = append(topic.Partitions, partition)
	produce.Topics = append(produce.Topics, topic)
	for {
		answer, err := c.admin.request(t.Context(), addr, produce, 9)
		if err != nil {
			t.Fatal(err)
		}
		code := answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
		if code == 0 {
			break
		}
		t.Logf("not yet: %v", codeError(code)) // a setting of brokers takes effect a moment later
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
		<-time.After(100 * time.Millisecond)
	}
	open, err := c.OpenTransactions(t.Context(), []TopicPartition{tp})
	got := open[tp]
	if err != nil || !got.Hanging || got.ProducerID != res.ProducerID || got.StartOffset != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	t.Log(got)
	line := got.AbortCommand(c.Config())
	if !strings.HasSuffix(line, " abort --topic "+name+" --partition 0 --start-offset 0") {
		t.Error(line)
	}
	t.Log(line)
}

// transactionalBatch is a batch of one record in a transaction.
func transactionalBatch(id int64, epoch int16) []byte {
	record := []byte{0, 0, 0, 1, 2, 'v', 0} // attributes, timestamp, offset, no key, a value of one byte, no headers
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 1 << 4, LastOffsetDelta: 0, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: id, ProducerEpoch: epoch, FirstSequence: 0, NumRecords: 1,
		Records: append(binary.AppendVarint(nil, int64(len(record))), record...),
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
