//go:build integration && unix

package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kept reads what a topic holds for who reads committed records: of each partition the values' kinds, the newest first.
func kept(t *testing.T, addrs []string, topic string, partitions int) [][]string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	lists := make([][]string, partitions)
	open := map[int32]bool{}
	ends.Each(func(o kadm.ListedOffset) { open[o.Partition] = o.Offset > 0 })
	for slices.Contains([]bool{open[0], open[1], open[2], open[3], open[4]}, true) {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset+1 >= end.Offset {
				open[r.Partition] = false
			}
			kind := "empty"
			if len(r.Value) > 5 {
				kind = fmt.Sprintf("v%d", r.Value[4])
			}
			if !r.Attrs.IsControl() {
				lists[r.Partition] = append(lists[r.Partition], kind)
			}
		})
	}
	for _, list := range lists {
		slices.Reverse(list)
	}
	return lists
}

// counted is what impact has to say of the newest records: as many of each partition, and of others what one does not have.
func counted(lists [][]string, last int) map[string]int {
	count, taken := map[string]int{}, make([]int, len(lists))
	for last > 0 {
		var open []int
		for p, list := range lists {
			if taken[p] < len(list) {
				open = append(open, p)
			}
		}
		if len(open) == 0 {
			break
		}
		share := (last + len(open) - 1) / len(open)
		for _, p := range open {
			for range min(share, last, len(lists[p])-taken[p]) {
				count[lists[p][taken[p]]]++
				taken[p]++
				last--
			}
		}
	}
	return count
}

// The newest records that a schema cannot read are counted right on a real Kafka, where offsets are not numbers of records: over a partition that
// was compacted, one with aborted transactions, one without records, one that ends with tombstones, and a long one.
//
// Mutation seen to fail it: as many offsets of each partition as there are to be records, and no more.
func TestImpactCountsTheNewestRecordsOfARealKafka(t *testing.T) {
	cluster := theCluster(t)
	orders(t)
	topic := fmt.Sprintf("order.placed%d.v1", time.Now().UnixNano())
	subject := topic + "-value"
	if err := os.WriteFile("needs-note.avsc", []byte(`{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"note","type":"string"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Clean("graph.json"), []byte(strings.ReplaceAll(graph, "order.placed.v1", topic)), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "http://" + serve(t, cluster.Addrs(), "--topic", "schemas-of-"+topic)
	for _, file := range []string{"order.v1.avsc", "order.v2.avsc"} {
		if out, code := execute(t, "schema", "register", subject, file, "--registry", url, "--execute"); code != 0 {
			t.Fatal(out)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	config := map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "segment.ms": kadm.StringPtr("500"), "min.cleanable.dirty.ratio": kadm.StringPtr("0.01")}
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 5, 1, config, topic); err != nil {
		t.Fatal(err)
	}
	v1, v2 := framed(1, 2, 'a'), framed(2, 2, 'a', 2, '!')
	n := 0
	write := func(commit kgo.TransactionEndTry, partition int32, keys, count int, value []byte) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		var records []*kgo.Record
		for range count {
			n++
			key := fmt.Sprint(n)
			if keys > 0 {
				key = fmt.Sprint("key", n%keys)
			}
			records = append(records, &kgo.Record{Partition: partition, Key: []byte(key), Value: value})
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	write(kgo.TryCommit, 0, 3, 500, v1)
	write(kgo.TryCommit, 1, 0, 20, v1)
	write(kgo.TryCommit, 1, 0, 7, v2)
	write(kgo.TryAbort, 1, 0, 800, v1)
	write(kgo.TryCommit, 1, 0, 3, v1)
	for range 30 {
		write(kgo.TryAbort, 1, 0, 1, v2)
	}
	write(kgo.TryCommit, 3, 0, 50, v1)
	write(kgo.TryCommit, 3, 0, 100, nil)
	write(kgo.TryCommit, 4, 0, 300, v1)
	write(kgo.TryCommit, 4, 0, 300, v2)
	var lists [][]string
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		write(kgo.TryCommit, 0, 3, 2, v2) // which rolls the segment, when it is due
		if lists = kept(t, cluster.Addrs(), topic, 5); len(lists[0]) < 400 {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("the log cleaner has not come")
		}
	}
	// asked runs a command while the cleaner takes nothing, and counts what there is.
	asked := func(last int, args ...string) (want map[string]int, out string, code int) {
		t.Helper()
		for began := time.Now(); time.Since(began) < patience; {
			before := kept(t, cluster.Addrs(), topic, 5)
			out, code = execute(t, append(args, "--registry", url, "--brokers", strings.Join(cluster.Addrs(), ","), "--last", fmt.Sprint(last))...)
			if fmt.Sprint(before) == fmt.Sprint(kept(t, cluster.Addrs(), topic, 5)) {
				return counted(before, last), out, code
			}
		}
		t.Fatal("the log cleaner comes again and again")
		return nil, "", 0
	}
	for _, last := range []int{1, 5, 100, 200, 1_000_000} {
		want, out, code := asked(last, "schema", "impact", subject, "needs-note.avsc", "--topologies", "graph.json", "--json")
		var got struct {
			Topologies []struct {
				Topology, Role string
				Breaks         []int `json:"breaks_with"`
			}
			Records struct {
				Read, Undecodable, Empty int
				By                       []struct{ Version, Records, Undecodable int } `json:"written_with"`
			}
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v: %s", code, err, out)
		}
		r, by := got.Records, map[string]int{"empty": got.Records.Empty}
		for _, w := range r.By {
			by[fmt.Sprintf("v%d", w.Version)] = w.Records
			if w.Version == 1 && w.Undecodable != w.Records || w.Version == 2 && w.Undecodable > 0 {
				t.Errorf("of the newest %d: %+v", last, w)
			}
		}
		if r.Read != want["v1"]+want["v2"]+want["empty"] || r.Undecodable != want["v1"] || by["v1"] != want["v1"] || by["v2"] != want["v2"] || by["empty"] != want["empty"] {
			t.Errorf("of the newest %d: %+v, want %v", last, r, want)
		}
		if u := got.Topologies; len(u) != 2 || u[0].Topology != "totals" || u[0].Role != "reads" || u[1].Topology != "shop" || u[1].Role != "writes" || len(u[1].Breaks) != 1 {
			t.Errorf("topologies: %+v", u)
		}
	}
	counts, out, code := asked(1_000_000, "schema", "rollback", subject, "--to", "1")
	newer := counts["v2"]
	if want := fmt.Sprintf("%d of the newest records were written with a later version", newer); code != 0 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, without %q:\n%s", code, want, out)
	}
}
