package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Producer is what brokers know a producer by: Epoch is raised by each that takes its place. The zero value is none.
type Producer struct {
	ID    int64
	Epoch int16
}

// Claim is the right of one process to write to a partition. Whoever claims after it takes it away: its later writes are
// refused by the broker that leads the partition, and none of them is ever in the log, not even as an aborted record.
//
// It rests on what brokers check of every idempotent batch. A transactional id gives all claimants one producer id, with an
// epoch that each InitProducerId raises. Batches carry both, outside of transactions; the leader refuses those of an epoch
// below one that it has in the log. So the first batch of a Claim is the fence: what is before it in the log is all that
// earlier claims will ever have written. Within a claim the sequence numbers keep a repetition from being written twice.
//
// A Claim writes one batch at a time. After an error it is void: what became of the batch is known only to who claims again,
// and reads up to the batch with which he did.
type Claim struct {
	client *Client
	tp     TopicPartition
	as     producerID
	seq    int32
	used   time.Time
	void   error
}

// claimLasts is how long a claim may be idle. Brokers forget a producer's epoch a day after its last batch
// (producer.id.expiration.ms), and a process that was stopped for that long must not write on.
const claimLasts = time.Hour

// TooLargeError says that a batch is larger than may be written or could be read again. Nothing was written, and a claim stands.
type TooLargeError struct {
	Size  int    // in bytes
	Limit string // the setting that it is over: of this program, or of the topic
	Most  int64  // its value, 0 where it is not known here
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d bytes are more than %s allows", e.Size, e.Limit)
}

// ErrNotSent says that no broker has got a batch. Nothing was written, and a claim stands.
var ErrNotSent = errors.New("the partition's leader cannot be reached")

// ErrClaimLost says that another process has claimed the partition, or may have. Nothing was written.
var ErrClaimLost = errors.New("another process writes to the partition now")

// Claim takes the right to write to a partition from whoever has it, under a name that all claimants share, which is a
// transactional id. first makes the batch that fences the others off, and before is who wrote last, as far as is known: a
// cluster that gives the name another producer id, because the old one has run out of epochs or was forgotten, knows nothing
// of the order of the two. The offset is that of the batch.
func (c *Client) Claim(ctx context.Context, name string, tp TopicPartition, before Producer, first func(Producer) Outgoing) (*Claim, int64, error) {
	op := "claim " + tp.String()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.APITimeout)
		defer cancel()
	}
	coord := &coordinators{links: c.admin, id: name, timeout: c.cfg.Sink.TransactionTimeout, retry: c.cfg.backoff(), at: map[string]*link{}}
	as, err := coord.init(ctx, noProducer)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", op, err)
	}
	if before != (Producer{}) && before.ID != as.id {
		old := &Claim{client: c, tp: tp, as: producerID{before.ID, before.Epoch + 1}, used: time.Now()}
		if _, err := old.Append(ctx, first(Producer{before.ID, before.Epoch + 1})); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", op, err)
		}
	}
	claim := &Claim{client: c, tp: tp, as: as, used: time.Now()}
	offset, err := claim.Append(ctx, first(Producer{as.id, as.epoch}))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", op, err)
	}
	return claim, offset, nil
}

// Append writes records as one batch and returns the offset of the first, when all in-sync replicas have them. ErrClaimLost,
// ErrNotSent and a TooLargeError say that nothing was written; any other error that it may have been, or will be.
func (c *Claim) Append(ctx context.Context, records ...Outgoing) (int64, error) {
	// The wall clock too: the other one may stand still while a machine sleeps.
	if now := time.Now(); c.void == nil && (now.Sub(c.used) > claimLasts || now.Round(0).Sub(c.used.Round(0)) > claimLasts) {
		c.void = ErrClaimLost
	}
	if c.void != nil {
		return 0, ErrClaimLost
	}
	for i := range records { // what is over them would be passed over when it is read
		r, most := &records[i], &c.client.cfg.Limits
		switch key, value := int64(len(r.Key)), int64(len(r.Value)); {
		case value > most.Value:
			return 0, &TooLargeError{len(r.Value), "max.value.bytes", most.Value}
		case key > most.Key:
			return 0, &TooLargeError{len(r.Key), "max.key.bytes", most.Key}
		case key+value > most.Record:
			return 0, &TooLargeError{len(r.Key) + len(r.Value), "max.record.bytes", most.Record}
		}
	}
	batch := &outBatch{seq: c.seq}
	batch.begin(nil, records[0].Timestamp)
	for i := range records {
		batch.add(&records[i], batch.bodyOf(&records[i]))
	}
	wire, err := batch.onWire(encoding{codec: sarama.CompressionNone}, c.as)
	if err != nil {
		return 0, err
	}
	var offset int64
	sent := 0
	err = c.client.retry(ctx, "write to "+c.tp.String(), func(ctx context.Context) error {
		leaders, err := c.client.leaders(ctx, map[TopicPartition]bool{c.tp: true})
		if err != nil {
			return err
		}
		for id := range leaders {
			if offset, err = c.send(ctx, id, wire); !errors.As(err, new(*ConnectError)) {
				sent++
			}
		}
		return err
	})
	if err != nil {
		// A broker looks at the size first, so nothing has the sequence numbers of this batch: unless it was sent before, and taken then.
		for _, code := range []sarama.KError{sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge} {
			if sent == 1 && errors.Is(err, code) {
				return 0, &TooLargeError{Size: len(wire), Limit: limitOf(code)[0]}
			}
		}
		if sent == 0 {
			return 0, fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		c.void = err
		for _, code := range []sarama.KError{sarama.ErrInvalidProducerEpoch, sarama.ErrProducerFenced} {
			if errors.Is(err, code) {
				return 0, fmt.Errorf("%w: %w", ErrClaimLost, err)
			}
		}
		return 0, err
	}
	c.seq += int32(len(records))
	c.used = time.Now()
	return offset, nil
}

func (c *Claim) send(ctx context.Context, broker int32, wire []byte) (int64, error) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(c.client.cfg.RequestTimeout.Milliseconds())
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = c.tp.Partition, wire
	topic.Topic, topic.Partitions = c.tp.Topic, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{topic}
	answer, err := c.client.admin.requestBroker(ctx, broker, req, produceVersion)
	if err != nil {
		return 0, err
	}
	res := answer.(*kmsg.ProduceResponse)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, unsettled{sarama.ErrIncompleteResponse}
	}
	p := res.Topics[0].Partitions[0]
	switch code := sarama.KError(p.ErrorCode); code {
	case sarama.ErrNoError:
		return p.BaseOffset, nil
	case sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend:
		return 0, unsettled{code}
	default:
		return 0, ofPartition(c.tp, code)
	}
}
