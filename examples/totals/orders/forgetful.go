//go:build weirfault

package orders

import (
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/topology"
)

// A test may want the job to forget which orders it has seen.
func init() {
	if fault.Broken(fault.Dedup) {
		Totals = topology.Define("customer-totals",
			topology.Node("accumulate",
				topology.On(placed, forget),
				topology.Uses(store),
				topology.Emits(totals),
				topology.DeadLetter("order.placed.v1.dlq")))
	}
}

// forget has the order taken for the customer's next one.
func forget(ctx topology.Context, customer string, order Order) error {
	total, err := store.Get(ctx, customer)
	if err != nil {
		return err
	}
	total.LastSeq = order.Seq - 1
	store.Set(ctx, customer, total)
	return accumulate(ctx, customer, order)
}
