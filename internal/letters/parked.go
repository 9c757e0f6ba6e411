package letters

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// parkings are the records that wait for dead letters of their keys, as the changelogs of their topologies say: how many, by changelog
// and key. Each changelog is read once, when a letter names it. What it holds is bounded by parked-records.
type parkings struct {
	tool   *Tool
	reader kafka.Reader
	logs   map[string]map[string]parkedKey
}

// parkedKey is what a changelog says of a parked key: see processors/parking.go.
type parkedKey struct {
	Version   int    `json:"version"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// of is how many records wait for a letter.
func (p *parkings) of(ctx context.Context, l *Letter) (int64, error) {
	if l.Parks == "" || l.Record.Key == nil {
		return 0, nil
	}
	log, ok := p.logs[l.Parks]
	if !ok {
		var err error
		if log, err = p.read(ctx, strings.Clone(l.Parks)); err != nil {
			return 0, err
		}
	}
	k := log[l.First.Topic+"\x00"+string(l.Record.Key)]
	if k.Topic != l.First.Topic || k.Partition != l.First.Partition || k.Offset != l.First.Offset {
		return 0, nil // the key waits for another one, or for none
	}
	return k.To - k.From, nil
}

// read reads a changelog. One that is gone has nothing parked.
func (p *parkings) read(ctx context.Context, topic string) (map[string]parkedKey, error) {
	if p.logs == nil {
		p.logs = map[string]map[string]parkedKey{}
	}
	log := map[string]parkedKey{}
	p.logs[topic] = log
	infos, err := p.tool.Client.Topics(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	var tps []kafka.TopicPartition
	for n := range infos[topic].Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: topic, Partition: n})
	}
	starts, err := p.tool.Client.Starts(ctx, tps)
	if err != nil {
		return nil, err
	}
	ends, err := p.tool.Client.Ends(ctx, tps)
	if err != nil {
		return nil, err
	}
	for _, tp := range tps {
		err := kafka.Scan(ctx, p.reader, tp, starts[tp], ends[tp], func(r *kafka.Record) error {
			name, is := strings.CutPrefix(string(r.Key), "k")
			switch {
			case !is:
			case r.Value == nil:
				delete(log, name)
			default:
				var k parkedKey
				if err := json.Unmarshal(r.Value, &k); err != nil || k.Version != 1 {
					return fmt.Errorf("%s offset %d: what is parked was not written by this version of Weir: use the newest version", tp, r.Offset)
				}
				log[name] = k
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return log, nil
}
