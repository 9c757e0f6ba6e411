//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/oracle"
)

// eager has the log cleaner come within seconds. It leaves the segment alone that is written to, so segments are short.
// Size would not do: Kafka takes no segment.bytes below 1 MiB.
var eager = map[string]string{
	"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "min.compaction.lag.ms": "0", "delete.retention.ms": "1",
	"file.delete.delay.ms": "1000",
}

// compactionBound is ample for a cluster that is not ours, whose cleaner may rest for 15 s, and for a machine that is busy.
const compactionBound = drainBound

// thinFactor is how many offsets of a changelog there must be for each record that compaction has left.
const thinFactor = 3

// The log cleaner compacts the changelog while the job writes to it. A store is restored across the gaps, from the
// beginning when there is no store, and from its own checkpoint when that lies in a gap. A store that is older than the
// changelog remembers deletions is no base for a restore.
//
// Mutations tried: catchUp takes a gap for the end of the changelog (wrong outputs, changelog differs); forgets is a day
// whatever the topic's delete.retention.ms (an old store is restored on).
func TestAChangelogIsCompactedUnderTheJob(t *testing.T) {
	r := newRig(t, rigOptions{
		perSecond: 1500, keys: 100, interval: 200 * time.Millisecond, partitions: 2, static: true, changelog: eager,
	})
	i := r.start()
	r.warm()
	if err := i.stop(); err != nil { // in order, so that each store has a checkpoint
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(i.dir)); err != nil {
		t.Fatal(err)
	}
	checkpoints := r.checkpoints(i)
	i.launch(t)
	r.awaitCompaction(checkpoints)

	r.strike("the state folder is deleted, the changelog compacted", func() {
		r.killInside(i)
		r.removeState(i)
		i.launch(t)
	})
	r.restoredFrom(i, make([]int64, r.opts.partitions))
	r.strike("an old store is put back, the changelog forgets deletions at once", func() {
		r.killInside(i)
		r.putBack(i, old)
		i.launch(t)
	})
	r.restoredFrom(i, make([]int64, r.opts.partitions))
	if n := strings.Count(i.life(), "does not fit"); n != r.opts.partitions {
		t.Errorf("%d stores were reported as too old, want %d:\n%s", n, r.opts.partitions, i.tail(20))
	}
	// The job never deletes, so nothing was forgotten.
	r.configure(r.names.Changelog, "delete.retention.ms", "86400000")
	r.strike("an old store is put back, the changelog compacted around its checkpoint", func() {
		r.killInside(i)
		r.putBack(i, old)
		i.launch(t)
	})
	r.restoredFrom(i, checkpoints)
	r.settle()
}

// putBack replaces an instance's state folder by a copy that was made before.
func (r *rig) putBack(i *instance, old string) {
	r.t.Helper()
	if err := os.RemoveAll(i.dir); err != nil {
		r.t.Fatal(err)
	}
	if err := os.CopyFS(i.dir, os.DirFS(old)); err != nil {
		r.t.Fatal(err)
	}
}

// checkpoints are those of a stopped instance's stores, by partition. Each partition must have one.
func (r *rig) checkpoints(i *instance) []int64 {
	r.t.Helper()
	stores, err := oracle.ReadStores(i.name, i.dir, r.names)
	if err != nil {
		r.t.Fatal(err)
	}
	checkpoints := make([]int64, r.opts.partitions)
	for _, s := range stores {
		checkpoints[s.Partition] = s.Checkpoint
	}
	for p, checkpoint := range checkpoints {
		if checkpoint == 0 {
			r.t.Fatalf("the store of partition %d has no checkpoint", p)
		}
	}
	return checkpoints
}

// awaitCompaction waits until it has left few records and few commit markers in the changelog, and none at the
// checkpoints. Without that nothing is tried here, and the test fails.
func (r *rig) awaitCompaction(checkpoints []int64) {
	r.t.Helper()
	for deadline := time.Now().Add(compactionBound); ; time.Sleep(200 * time.Millisecond) {
		logs, outputs := r.read(r.names.Changelog), r.read(r.names.Output)
		var seen []string
		thin := true
		for p, log := range logs {
			below, next := 0, log.HighWatermark
			for _, record := range log.Records {
				if record.Offset < checkpoints[p] {
					below++
				} else {
					next = min(next, record.Offset)
				}
			}
			// The output is written in the same transactions, and keeps their markers.
			thin = thin && int64(len(log.Records))*thinFactor <= log.HighWatermark && int64(below)*thinFactor <= checkpoints[p] &&
				next > checkpoints[p] && log.Commits*2 <= outputs[p].Commits
			seen = append(seen, fmt.Sprintf("%d: %d records at %d offsets, %d below the checkpoint %d, the next at %d, %d of %d commit markers",
				p, len(log.Records), log.HighWatermark, below, checkpoints[p], next, log.Commits, outputs[p].Commits))
		}
		if thin {
			r.lap("compacted: " + strings.Join(seen, "; "))
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the changelog was not compacted: %s", strings.Join(seen, "; "))
		}
	}
}

// configure sets one setting of a topic, and waits until every broker has it.
func (r *rig) configure(topic, key, value string) {
	r.t.Helper()
	answers, err := r.admin.AlterTopicConfigs(r.context(30*time.Second), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err == nil {
		_, err = answers.On(topic, func(a *kadm.AlterConfigsResponse) error { return a.Err })
	}
	if err != nil {
		r.t.Fatalf("set %s of %s: %v", key, topic, err)
	}
	everyBroker(r.t, r.cluster.brokers(), fmt.Sprintf("%s=%s of %s", key, value, topic), func(ctx context.Context, broker *kgo.Broker) bool {
		of := kmsg.NewDescribeConfigsRequestResource()
		of.ResourceType, of.ResourceName, of.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = append(req.Resources, of)
		answer, err := broker.Request(ctx, req)
		if err != nil {
			return false
		}
		res := answer.(*kmsg.DescribeConfigsResponse).Resources
		return len(res) == 1 && len(res[0].Configs) == 1 && res[0].Configs[0].Value != nil && *res[0].Configs[0].Value == value
	})
}

// restoredFrom waits until an instance has restored the stores of all partitions since it was launched, and demands that
// it began at certain offsets.
func (r *rig) restoredFrom(i *instance, want []int64) {
	r.t.Helper()
	for deadline := time.Now().Add(drainBound); ; time.Sleep(100 * time.Millisecond) {
		from := map[string]int64{}
		for line := range strings.Lines(i.life()) {
			_, said, found := strings.Cut(line, "  restored  ")
			if !found || !strings.HasSuffix(said, "\n") {
				continue
			}
			var restored struct {
				Changelog string
				From      int64
			}
			if err := json.Unmarshal([]byte(said), &restored); err != nil {
				r.t.Fatalf("%v: %s", err, line)
			}
			from[restored.Changelog] = restored.From
		}
		if len(from) < len(want) && time.Now().Before(deadline) {
			continue
		}
		for p, offset := range want {
			changelog := kafka.TopicPartition{Topic: r.names.Changelog, Partition: int32(p)}.String()
			if got, ok := from[changelog]; !ok || got != offset {
				r.t.Errorf("%s was restored from %d (%v), want %d:\n%s", changelog, got, ok, offset, i.tail(20))
			}
		}
		return
	}
}

// life is the instance's log since it was launched last.
func (i *instance) life() string {
	all, _ := os.ReadFile(i.log)
	return string(all[strings.LastIndex(string(all), "---- "):])
}

// Compaction keeps the last batch of each producer without its records. A stretch of a changelog that holds nothing else
// must not be passed offset by offset: a restore would ask the broker a million times.
//
// Mutation, as it was tried on an earlier reader: the end of emptied batches is not known (the first record takes minutes).
func TestARestoreLeapsOverWhatCompactionHasEmptied(t *testing.T) {
	r := &rig{t: t, opts: rigOptions{partitions: 1}, cluster: theCluster(t)}
	present := r.producer(kgo.ProducerBatchCompression(kgo.NoCompression()))
	r.admin = kadm.NewClient(present)
	const topic, span = "emptied", 200_000
	settings := maps.Clone(eager)
	settings["segment.bytes"], settings["min.compaction.lag.ms"] = "1048576", "3600000"
	r.createTopic(topic, compacted(settings))
	t.Cleanup(func() { r.deleteTopic(topic) })
	r.awaitTopics(topic)
	write := func(client *kgo.Client, n, size int) {
		var failed kgo.FirstErrPromise
		for range n {
			client.Produce(t.Context(), &kgo.Record{Topic: topic, Key: []byte("hot"), Value: make([]byte, size)}, failed.Promise())
		}
		if err := errors.Join(client.Flush(r.context(drainBound)), failed.Err()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // the next one begins a new segment
	}
	write(r.producer(kgo.ProducerBatchCompression(kgo.NoCompression())), span, 1)
	// The cleaner joins segments that are small together, so the next one is large.
	write(present, 1, 900_000)
	write(present, 1, 1)
	r.configure(topic, "min.compaction.lag.ms", "0")
	for deadline := time.Now().Add(compactionBound); !r.beginsEmptied(present, topic); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("compaction has not emptied the first batches")
		}
	}

	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: r.cluster.brokers()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fetcher := client.NewFetcher(1 << 20)
	defer fetcher.Close()
	began := time.Now()
	ctx := r.context(time.Minute)
	first := make(chan int64, 1)
	fetcher.Start(kafka.TopicPartition{Topic: topic}, kafka.At(0), func(b kafka.Batch) {
		if len(b.Records) > 0 {
			select {
			case first <- b.Records[0].Offset:
			default:
			}
		}
	})
	select {
	case offset := <-first:
		t.Logf("the first record, at %d, came after %s", offset, time.Since(began).Round(time.Millisecond))
		if offset != span {
			t.Errorf("the first record left is at %d, want %d", offset, span)
		}
	case <-ctx.Done():
		t.Error("the first record did not come within a minute")
	}
}

// beginsEmptied says whether a topic begins with batches that hold no record any more, and the broker sends nothing else
// with them.
func (r *rig) beginsEmptied(client *kgo.Client, topic string) bool {
	r.t.Helper()
	ctx := r.context(10 * time.Second)
	topics, err := r.admin.ListTopics(kafkatest.Uncached(ctx), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	ask := kmsg.NewFetchRequestTopicPartition()
	ask.PartitionMaxBytes = 1 << 20
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID, of.Partitions = topic, topics[topic].ID, append(of.Partitions, ask)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.Topics = 1<<20, append(req.Topics, of)
	answer, err := client.Broker(int(topics[topic].Partitions[0].Leader)).Request(ctx, req)
	if err != nil {
		r.t.Fatal(err)
	}
	data := answer.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	const frame = 12 // a batch's first offset, and the length of what follows
	batches := 0
	for ; len(data) > 0; batches++ {
		var b kmsg.RecordBatch
		if err := b.ReadFrom(data); err != nil || b.NumRecords > 0 {
			return false
		}
		data = data[frame+b.Length:]
	}
	return batches > 0
}
