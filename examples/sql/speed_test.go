package main

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var speedOrders = flag.Int("speed.orders", 0, "TestSpeed: orders to write; 0 leaves it out")

// TestSpeed measures a program with a sink, and the same statement with a transaction of its own for each order.
//
//	go -C examples/sql test -tags integration -run TestSpeed -v -speed.orders 200000
func TestSpeed(t *testing.T) {
	if *speedOrders == 0 {
		t.Skip("it is a measurement: -speed.orders says how many orders")
	}
	everywhere(t, func(t *testing.T, r *rig) {
		const group, batch = "order-totals", 1000
		n := *speedOrders
		some := func(i int) Order { return Order{fmt.Sprintf("c%d-%d", i%10, i%1000), int64(i)} }
		for i := 0; i < n; i += batch {
			var orders []Order
			for j := i; j < min(n, i+batch); j++ {
				orders = append(orders, some(j))
			}
			r.feed(orders...)
		}
		p := r.start(group, "a")
		began := time.Now()
		r.until("it has begun", func() bool { return r.lag(group, topic) < int64(n) })
		first, from := r.lag(group, topic), time.Now()
		r.until("all is written", func() bool { return r.lag(group, topic) == 0 })
		took := time.Since(from)
		p.stop()
		t.Logf("with the sink: %.0f orders/s, %d orders in %v, the first %v after the start", float64(first)/took.Seconds(), first, took.Round(time.Millisecond), from.Sub(began).Round(time.Millisecond))

		alone := min(n, 3000)
		from = time.Now()
		for i := range alone {
			tx, err := r.db.Begin()
			r.must(err)
			_, err = tx.Exec(count, some(i).Customer, some(i).Cents)
			r.must(err)
			r.must(tx.Commit())
		}
		took = time.Since(from)
		t.Logf("a transaction for each order: %.0f orders/s, %d orders in %v", float64(alone)/took.Seconds(), alone, took.Round(time.Millisecond))
	})
}
