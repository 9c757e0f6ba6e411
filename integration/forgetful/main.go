// Forgetful is the reference job without its memory of which orders it has seen, for a test of the oracle.
package main

import (
	"errors"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/topology"
)

var (
	placed = topology.Stream("order.placed.v1", codecs.JSON[orders.Order]())
	totals = topology.Stream("customer.total.v1", codecs.JSON[orders.Total]())
	store  = topology.Store("totals", codecs.JSON[orders.Total]())
)

func main() {
	weir.Main(topology.Define("customer-totals",
		topology.Node("accumulate",
			topology.On(placed, accumulate),
			topology.Uses(store),
			topology.Emits(totals),
			topology.DeadLetter("order.placed.v1.dlq"))))
}

func accumulate(ctx topology.Context, customer string, order orders.Order) error {
	if order.EventID == "" || order.Customer == "" || order.AmountCents < 0 {
		return topology.Reject(errors.New("no order"))
	}
	total, err := store.Get(ctx, customer)
	if err != nil {
		return err
	}
	total.LastSeq = order.Seq
	total.Count++
	total.SumCents += order.AmountCents
	store.Set(ctx, customer, total)
	totals.Emit(ctx, customer, total)
	return nil
}
