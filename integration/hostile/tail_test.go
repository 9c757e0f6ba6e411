//go:build unix

package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// tail reads the committed records of a topic in pieces: each call gives what has come since the one before.
type tail struct {
	topic  string
	client *kgo.Client
	next   map[int32]int64
}

func newTail(brokers []string, topic string) (*tail, error) {
	t := &tail{topic: topic, next: map[int32]int64{}}
	var err error
	t.client, err = kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxPartitionBytes(20<<20),
	)
	return t, err
}

func (t *tail) close() { t.client.Close() }

// read gives the committed records up to the present end of each partition. A transaction that is still open at the end is
// waited for, as long as ctx allows.
func (t *tail) read(ctx context.Context) (records []*kgo.Record, err error) {
	adm := kadm.NewClient(t.client)
	high, err := ends(ctx, adm.ListEndOffsets, t.topic)
	if err != nil {
		return nil, err
	}
	for {
		stable, err := ends(ctx, adm.ListCommittedOffsets, t.topic)
		if err != nil {
			return nil, err
		}
		open := ""
		for p, end := range high {
			if stable[p] < end {
				open = fmt.Sprintf("%s/%d: last stable offset %d, end %d", t.topic, p, stable[p], end)
			}
		}
		if open == "" {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("a transaction stays open in %s", open)
		case <-time.After(50 * time.Millisecond):
		}
	}
	fresh := map[int32]kgo.Offset{}
	for p := range high {
		if _, known := t.next[p]; !known {
			t.next[p] = 0
			fresh[p] = kgo.NewOffset().At(0)
		}
	}
	if len(fresh) > 0 {
		t.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.topic: fresh})
	}
	behind := func() bool {
		for p, end := range high {
			if t.next[p] < end {
				return true
			}
		}
		return false
	}
	for behind() {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %s: at %v of %v: %w", t.topic, t.next, high, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			t.next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records, nil
}

func ends(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string) (map[int32]int64, error) {
	listed, err := list(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ends of %s: %w", topic, err)
	}
	found := map[int32]int64{}
	for p, o := range listed[topic] {
		found[p] = o.Offset
	}
	return found, nil
}

func decodeTotal(value []byte) (total oracle.Total, err error) {
	err = json.Unmarshal(value, &total)
	return total, err
}
