// Package orders keeps a running total for each customer from the orders that they place.
package orders

import (
	"errors"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// Order is an event of order.placed.v1. Its key is the customer, and Seq counts a customer's orders, from wherever.
type Order struct {
	EventID     string `json:"event_id"`
	Seq         int64  `json:"seq"`
	Customer    string `json:"customer"`
	AmountCents int64  `json:"amount_cents"`
}

// Total is what a customer has ordered so far: the value of customer.total.v1 and of the store.
type Total struct {
	LastSeq  int64 `json:"last_seq"`
	Count    int64 `json:"count"`
	SumCents int64 `json:"sum_cents"`
}

var (
	placed = topology.Stream("order.placed.v1", codecs.JSON[Order]())
	totals = topology.Stream("customer.total.v1", codecs.JSON[Total]())
	store  = topology.Store("totals", codecs.JSON[Total]())
)

// Totals drops orders that it has seen before and rejects those that cannot be right.
var Totals = topology.Define("customer-totals",
	topology.Node("accumulate",
		topology.On(placed, accumulate),
		topology.DedupSequence(store, numberOf, func(t Total) int64 { return t.LastSeq }),
		topology.Uses(store),
		topology.Emits(totals),
		topology.DeadLetter("order.placed.v1.dlq")))

// numberOf is what a customer's orders are told apart by. JSON that lacks a field decodes: {} would pass for a duplicate, and leave no
// trace.
func numberOf(_ topology.Context, _ string, order Order) (int64, error) {
	if order.EventID == "" || order.Customer == "" {
		return 0, topology.Reject(errors.New("an order needs event_id and customer"))
	}
	return order.Seq, nil
}

func accumulate(ctx topology.Context, customer string, order Order) error {
	if order.AmountCents < 0 {
		return topology.Reject(errors.New("amount_cents is below 0"))
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
