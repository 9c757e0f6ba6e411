//go:build unix

package hostile

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordLogKinds are about what stands between the records of a log: markers, aborted records, gaps.
var recordLogKinds = []Kind{
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
