//go:build unix

package hostile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// recordLogKinds are about what stands between the records of a log: markers, aborted records, gaps.
var recordLogKinds = []Kind{
	{
		Name: "gaps by compaction", Who: Record,
		Done:   "the input is compacted while the instance stands still: most offsets of what came meanwhile are gone",
		Must:   "what is left is processed, each once, and no gap is counted",
		Try:    func(t *testing.T, w *world) { w.compact(t) },
		Within: 3 * time.Minute,
	},
	{
		Name: "aborted transactions", Who: Record,
		Done: "30 transactions of orders, good and bad, on all partitions, two in three aborted; the last ones leave nothing but aborted records at the end",
		Must: "the committed ones end as any other, of the others nothing is seen, and the lag is 0",
		Try: func(t *testing.T, w *world) {
			client := w.transactional(t, "aborter")
			for n := range 30 {
				w.transact(t, client, n%3 == 0, order(fmt.Sprint("txn-", n%7), n+1),
					&kgo.Record{Partition: int32(n % partitions), Key: []byte("txn"), Value: []byte("no order")})
			}
		},
	},
	{
		Name: "a thousand empty offsets", Who: Record,
		Done: "1,000 records of one aborted transaction on a partition where nothing follows",
		Must: "nothing is seen of them, and the lag is 0 without a record to move it",
		Try: func(t *testing.T, w *world) {
			client := w.transactional(t, "ghost")
			w.quiet(t, func() {
				w.transact(t, client, false, repeat(1000, order("ghost", 1))...)
				eventually(t, settleBound, "weir_lag to be 0", func(context.Context) (bool, string) {
					m, err := w.inst.metrics()
					return err == nil && m.sum("weir_lag") == 0, fmt.Sprint(m.sum("weir_lag"), err)
				})
			})
		},
	},
	{
		Name: "an input that stamps records itself", Who: Record,
		Done: "message.timestamp.type=LogAppendTime on the input, and back, while good and bad records come",
		Must: "processed, and dead letters, as before",
		Try: func(t *testing.T, w *world) {
			for n, stamps := range []string{"LogAppendTime", "CreateTime"} {
				w.configure(t, names.Input, "message.timestamp.type", stamps)
				for p := range partitions {
					good, bad := order(fmt.Sprint("stamped-", p), n+1), &kgo.Record{Partition: int32(p), Key: []byte("stamped"), Value: []byte("no order")}
					good.Timestamp, bad.Timestamp = time.UnixMilli(1), time.UnixMilli(1)
					w.send(t, good, bad)
				}
			}
		},
	},
	{
		Name: "records deleted that were processed", Who: Record,
		Done: "the input is cut off at the committed offsets",
		Must: "nothing is noticed",
		Try: func(t *testing.T, w *world) {
			before := w.inst.logSize()
			w.quiet(t, func() { w.deleteRecords(t, w.ledger.ends()) })
			if m, err := w.inst.metrics(); err != nil || m.sum("weir_input_gap_offsets_total") != 0 {
				t.Errorf("weir_input_gap_offsets_total is %v (%v):\n%s", m.sum("weir_input_gap_offsets_total"), err, w.inst.logFrom(before))
			}
		},
	},
	{
		Name: "records deleted before they were read", Who: Record,
		Done: "while the instance stands still, half of what came meanwhile is deleted from the input",
		Must: "it goes on after the gap, with an error in the log and the exact number in weir_input_gap_offsets_total",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.inst.kill()
			committed, err := w.committed(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.feed.Resume()
			w.more(t, 600)
			w.feed.Pause()
			below, lost := w.ledger.ends(), int64(0)
			for p, end := range below {
				below[p] = committed[p] + (end-committed[p])/2
				lost += below[p] - committed[p]
			}
			w.deleteRecords(t, below)
			w.ledger.amend(func(p int32, e *entry) {
				if e.Offset >= committed[p] && e.Offset < below[p] {
					e.fate = gone
				}
			})
			w.inst.launch(t)
			w.caughtUp(t, settleBound)
			if m, err := w.inst.metrics(); err != nil || int64(m.sum("weir_input_gap_offsets_total")) != lost {
				t.Errorf("weir_input_gap_offsets_total is %v, wanted %d (%v)", m.sum("weir_input_gap_offsets_total"), lost, err)
			}
			w.inst.logged(t, w.inst.life, settleBound, `"level":"error".*gap`)
			w.feed.Resume()
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a transaction that hangs", Who: Record,
		Done: "a producer leaves a transaction open; it is ended with kafka-transactions.sh abort",
		Must: "the partition waits, the others go on; /healthz gives the very line of kafka-transactions.sh; it goes on after the abort",
		Try: func(t *testing.T, w *world) {
			client := w.transactional(t, "hanger", kgo.TransactionTimeout(10*time.Minute))
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			r := order("hanging", 1)
			w.write(t, client, gone, r)
			w.more(t, 300)
			others := slices.DeleteFunc([]int{0, 1, 2, 3}, func(p int) bool { return p == int(r.Partition) })
			w.caughtUp(t, settleBound, others...)
			line := fmt.Sprintf("kafka-transactions.sh .*abort.*--topic %s --partition %d --start-offset %d", names.Input, r.Partition, r.Offset)
			w.inst.says(t, 2*settleBound, line)
			w.cluster.RunTool(t, t.Context(), "org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", w.cluster.Addrs()[0],
				"abort", "--topic", names.Input, "--partition", fmt.Sprint(r.Partition), "--start-offset", fmt.Sprint(r.Offset))
		},
		Within: 2 * time.Minute,
	},
}

// transactional is a producer of transactions.
func (w *world) transactional(t *testing.T, id string, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := producer(w.cluster.Addrs(), append(more, kgo.TransactionalID(id))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// transact writes records in a transaction and ends it.
func (w *world) transact(t *testing.T, client *kgo.Client, commit bool, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	f := gone
	if commit {
		f = byModel
	}
	w.write(t, client, f, records...)
	if err := client.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		t.Fatal(err)
	}
}

// compact has the cleaner take most of what the instance has not read yet.
func (w *world) compact(t *testing.T) {
	t.Helper()
	w.feed.Pause()
	w.caughtUp(t, settleBound)
	w.account(t)
	w.inst.stop(t)
	for key, value := range map[string]string{"segment.ms": "500", "min.cleanable.dirty.ratio": "0.01", "cleanup.policy": "compact"} {
		w.configure(t, names.Input, key, value)
	}
	before := w.ledger.ends()
	for round := range 3 {
		var records []*kgo.Record
		for p := range partitions {
			for n := range 300 {
				key := fmt.Sprint("thin-", p, "-", n%5)
				r := order(key, 300*round+n+1)
				r.Partition = int32(p)
				records = append(records, r)
			}
		}
		w.send(t, records...)
		pass(t, 700*time.Millisecond) // the next round goes into another segment
	}
	// What is left is what a reader finds.
	var left map[place]bool
	look := func(ctx context.Context) error {
		logs, err := oracle.ReadTopic(ctx, w.cluster.Addrs(), names.Input)
		left = map[place]bool{}
		for p := range logs {
			for _, r := range logs[p].Records {
				if r.Offset >= before[p] {
					left[place{int32(p), r.Offset}] = true
				}
			}
		}
		return err
	}
	eventually(t, 5*time.Minute, "the cleaner", func(ctx context.Context) (bool, string) {
		if err := look(ctx); err != nil {
			return false, err.Error()
		}
		return len(left) < 2000, fmt.Sprintf("%d records left", len(left))
	})
	for key, value := range map[string]string{"cleanup.policy": "delete", "segment.ms": "604800000", "min.cleanable.dirty.ratio": "0.5"} {
		w.configure(t, names.Input, key, value)
	}
	eventually(t, settleBound, "the end of the cleaner's run", func(ctx context.Context) (bool, string) { // which takes more while it lasts
		was := left
		pass(t, 2*time.Second)
		err := look(ctx)
		return err == nil && maps.Equal(left, was), fmt.Sprintf("%d records left (%v)", len(left), err)
	})
	w.ledger.amend(func(p int32, e *entry) {
		if e.Offset >= before[p] && !left[place{p, e.Offset}] {
			e.fate = gone
		}
	})
	w.inst.launch(t)
	w.caughtUp(t, settleBound)
	if m, err := w.inst.metrics(); err != nil || m.sum("weir_input_gap_offsets_total") != 0 {
		t.Errorf("weir_input_gap_offsets_total is %v (%v)", m.sum("weir_input_gap_offsets_total"), err)
	}
	w.feed.Resume()
}
