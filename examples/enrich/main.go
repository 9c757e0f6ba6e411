// Enrich adds to each order what is known of its customer, whichever partition either of them is on.
//
//	go run ./examples/enrich run --brokers localhost:9092 --create-topics
//
// Customers are the last value of each key of customer.profile.v1, of which every instance has a copy. An order of a customer that nobody
// knows goes to order.placed.v1.dlq.
package main

import (
	"fmt"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// Order is an order, by its id.
type Order struct {
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

// Customer is what is known of a customer, by its id.
type Customer struct {
	Name    string `json:"name"`
	Country string `json:"country"`
}

// Shipment is an order with its customer.
type Shipment struct {
	Order
	Name    string `json:"name"`
	Country string `json:"country"`
}

var (
	orders    = topology.Stream("order.placed.v1", codecs.JSON[Order]())
	customers = topology.Global("customer.profile.v1", codecs.JSON[Customer]())
	shipments = topology.Stream("order.enriched.v1", codecs.JSON[Shipment]())
)

var enrichment = topology.Define("order-enrichment",
	topology.Node("enrich",
		topology.On(orders, enrich),
		topology.Uses(customers),
		topology.Emits(shipments)))

func enrich(ctx topology.Context, id string, o Order) error {
	c, known, err := customers.Lookup(ctx, o.Customer)
	switch {
	case err != nil:
		return err
	case !known:
		return topology.Reject(fmt.Errorf("nobody knows customer %q", o.Customer))
	}
	shipments.Emit(ctx, id, Shipment{o, c.Name, c.Country})
	return nil
}

func main() { weir.Main(enrichment) }
