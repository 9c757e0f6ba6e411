// Totals runs the reference job: customers' running totals from their orders, exactly-once.
//
//	go run ./examples/totals run --brokers localhost:9092 --create-topics
package main

import (
	"github.com/weirstream/weir"
	"github.com/weirstream/weir/examples/totals/orders"
)

func main() { weir.Main(orders.Totals) }
