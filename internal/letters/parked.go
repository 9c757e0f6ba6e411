package letters

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
)

// parkings are the records that wait for dead letters of their keys, as the changelogs of their topologies say: how many, by changelog
// and where the letter's record was read first. Each changelog is read once, when a letter names it. What it holds is bounded by parked-records.
type parkings struct {
	tool   *Tool
	reader kafka.Reader
	logs   map[string]map[deadletter.Position]int64
}

// parkedKey is what a changelog says of a parked key: see processors/parking.go.
type parkedKey struct {
	Version   int    `json:"version"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`

	Node        string `json:"node"`
	Fingerprint string `json:"fingerprint"`
	Since       int64  `json:"since"` // milliseconds since the epoch
	Delayed     bool   `json:"delayed"`
	Ready       bool   `json:"ready"`
	Bytes       int64  `json:"bytes"`
}

// of is how many records wait for a letter.
func (p *parkings) of(ctx context.Context, l *Letter) (int64, error) {
	if l.Parks == "" {
		return 0, nil
	}
	log, ok := p.logs[l.Parks]
	if !ok {
		var err error
		if log, err = p.read(ctx, strings.Clone(l.Parks)); err != nil {
			return 0, err
		}
	}
	return log[l.First], nil // 0 where the key waits for another one, or for none
}

// read reads a changelog. One that is gone has nothing parked.
func (p *parkings) read(ctx context.Context, topic string) (map[deadletter.Position]int64, error) {
	if p.logs == nil {
		p.logs = map[string]map[deadletter.Position]int64{}
	}
	log := map[deadletter.Position]int64{}
	p.logs[topic] = log
	infos, err := p.tool.Client.Topics(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	for n := range infos[topic].Partitions {
		keys, err := p.tool.parkedKeys(ctx, p.reader, kafka.TopicPartition{Topic: topic, Partition: n})
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			log[k.head()] = k.To - k.From
		}
	}
	return log, nil
}

// head is where the record was read first that the others of its key wait for.
func (k *parkedKey) head() deadletter.Position {
	return deadletter.Position{TopicPartition: kafka.TopicPartition{Topic: k.Topic, Partition: k.Partition}, Offset: k.Offset}
}

// parkedKeys are those of a partition of a changelog, by the name of the input and the key with a zero byte between.
func (t *Tool) parkedKeys(ctx context.Context, reader kafka.Reader, tp kafka.TopicPartition) (map[string]parkedKey, error) {
	keys := map[string]parkedKey{}
	return keys, t.whole(ctx, reader, tp, func(r *kafka.Record) error {
		name, is := strings.CutPrefix(string(r.Key), "k")
		switch {
		case !is:
		case r.Value == nil:
			delete(keys, name)
		default:
			var k parkedKey
			if err := json.Unmarshal(r.Value, &k); err != nil || k.Version != 1 {
				return fmt.Errorf("%s offset %d: what is parked was not written by this version of Weir: use the newest version", tp, r.Offset)
			}
			keys[name] = k
		}
		return nil
	})
}
