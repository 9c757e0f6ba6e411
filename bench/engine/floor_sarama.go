package engine

import (
	"context"
	"time"

	"github.com/IBM/sarama"

	"github.com/weirstream/weir/bench/job"
)

// runFloorSarama reads partitions with sarama's consumer and writes with its AsyncProducer.
func runFloorSarama(ctx context.Context, j job.Job, guarantee string) error {
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	config.ChannelBufferSize = 4096
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Fetch.Default = 1 << 20
	config.Net.MaxOpenRequests = 1 // an idempotent producer of sarama's has no other
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 512 << 10
	config.Producer.Flush.Bytes = 256 << 10
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Producer.Return.Successes = true
	if guarantee == ExactlyOnce {
		config.Producer.Transaction.ID = j.Group()
		config.Producer.Transaction.Timeout = 10 * time.Second
	}
	client, err := sarama.NewClient(j.Brokers, config)
	if err != nil {
		return err
	}
	defer client.Close()
	producer, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return err
	}
	l := &saramaLoop{Job: j, producer: producer, inbox: make(chan *sarama.ConsumerMessage, 4096), done: map[int32]int64{}}
	err = l.run(ctx, client, guarantee == ExactlyOnce)
	producer.AsyncClose()
	for range producer.Errors() { // closed when the last message is answered
	}
	return err
}

type saramaLoop struct {
	job.Job
	producer sarama.AsyncProducer
	inbox    chan *sarama.ConsumerMessage
	open     int             // messages without an answer
	done     map[int32]int64 // offsets after what was read since the last commit, by partition
}

func (l *saramaLoop) run(ctx context.Context, client sarama.Client, transactions bool) error {
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	for p := range int32(l.Partitions) {
		partition, err := consumer.ConsumePartition(l.Input, p, 0)
		if err != nil {
			return err
		}
		defer partition.Close()
		go func() { // it ends with the consumer
			for m := range partition.Messages() {
				select {
				case l.inbox <- m:
				case <-ctx.Done():
				}
			}
		}()
	}
	offsets, err := sarama.NewOffsetManagerFromClient(l.Group(), client)
	if err != nil {
		return err
	}
	defer offsets.Close()
	if transactions {
		if err := l.producer.BeginTxn(); err != nil {
			return err
		}
	}
	commit := time.NewTicker(l.Interval)
	defer commit.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m := <-l.inbox:
			err = l.work(m)
		case <-l.producer.Successes():
			l.open--
		case e := <-l.producer.Errors():
			err = e
		case <-commit.C:
			err = l.commit(offsets, transactions)
		}
		if err != nil {
			return err
		}
	}
}

func (l *saramaLoop) work(m *sarama.ConsumerMessage) error {
	value := sarama.ByteEncoder(job.FloorValue(l.Kind, m.Value))
	if err := l.send(&sarama.ProducerMessage{Topic: l.Output(), Partition: m.Partition, Key: sarama.ByteEncoder(m.Key), Value: value}); err != nil {
		return err
	}
	if l.Store() != "" {
		if err := l.send(&sarama.ProducerMessage{Topic: l.Changelog(), Partition: m.Partition, Key: sarama.ByteEncoder(m.Key), Value: value}); err != nil {
			return err
		}
	}
	l.done[m.Partition] = m.Offset + 1
	return nil
}

// send reads answers while it waits, since a producer with unread answers takes no message.
func (l *saramaLoop) send(m *sarama.ProducerMessage) error {
	for {
		select {
		case l.producer.Input() <- m:
			l.open++
			return nil
		case <-l.producer.Successes():
			l.open--
		case e := <-l.producer.Errors():
			return e
		}
	}
}

func (l *saramaLoop) commit(offsets sarama.OffsetManager, transactions bool) error {
	if len(l.done) == 0 {
		return nil
	}
	for l.open > 0 {
		select {
		case <-l.producer.Successes():
			l.open--
		case e := <-l.producer.Errors():
			return e
		}
	}
	defer clear(l.done)
	if !transactions {
		for p, offset := range l.done {
			m, err := offsets.ManagePartition(l.Input, p)
			if err != nil {
				return err
			}
			m.MarkOffset(offset, "")
			m.AsyncClose()
		}
		offsets.Commit()
		return nil
	}
	list := []*sarama.PartitionOffsetMetadata{}
	for p, offset := range l.done {
		list = append(list, &sarama.PartitionOffsetMetadata{Partition: p, Offset: offset, LeaderEpoch: -1})
	}
	if err := l.producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{l.Input: list}, l.Group()); err != nil {
		return err
	}
	if err := l.producer.CommitTxn(); err != nil {
		return err
	}
	return l.producer.BeginTxn()
}
