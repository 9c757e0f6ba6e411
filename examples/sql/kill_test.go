//go:build weirfault

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/fault"
)

// TestKillMinus9AtEveryStepCountsEachOrderOnce: a process is killed at each step of a commit in turn, while orders come, and each order is
// counted once in the end. Where the process is killed after the database's commit and before Kafka's, the database is ahead.
//
// Mutations seen to fail it: the database is written after the end of Kafka's transaction; it is not asked which records it knows.
func TestKillMinus9AtEveryStepCountsEachOrderOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		ctx, stop := context.WithCancel(t.Context())
		fed := make(chan struct{})
		r.feed(Order{"c0", 1}, Order{"c1", 1})
		go func() {
			defer close(fed)
			for n := int64(0); ctx.Err() == nil; n++ {
				r.feed(Order{fmt.Sprintf("c%d", n%10), n}, Order{fmt.Sprintf("c%d", n*7%10), n})
				time.Sleep(time.Millisecond)
			}
		}()
		for _, point := range []fault.Point{fault.BeforeFlush, fault.BeforeOffsets, fault.BeforeOutside, fault.OutsideBegun, fault.BeforeEnd, fault.AfterEnd} {
			p := r.start("order-totals", "a", fmt.Sprintf("WEIR_FAULT_AT=%s:4", point))
			p.killed()
			if point == fault.BeforeEnd {
				if kafka, database := r.committed("order-totals"), r.counted(); database <= kafka {
					t.Errorf("%d orders in the database and %d in Kafka: it was not killed between the two", database, kafka)
				}
			}
		}
		stop()
		<-fed
		p := r.start("order-totals", "a")
		r.readAll("order-totals", topic)
		p.stop()
		if got, want := r.rows("SELECT customer, orders, cents FROM totals ORDER BY customer"), r.model(); got != want {
			t.Errorf("the database holds\n%s\nwant\n%s", got, want)
		}
	})
}

// committed is how many orders the group has committed.
func (r *rig) committed(group string) (n int64) {
	committed, err := r.admin.FetchOffsets(r.t.Context(), group)
	r.must(err)
	for p := range int32(partitions) {
		if at, ok := committed.Lookup(topic, p); ok {
			n += max(at.At, 0)
		}
	}
	return n
}

// counted is how many orders the database has.
func (r *rig) counted() (n int64) {
	r.must(r.db.QueryRow("SELECT COALESCE(SUM(orders), 0) FROM totals").Scan(&n))
	return n
}

// model is what the totals should be.
func (r *rig) model() string {
	orders, cents := map[string]int64{}, map[string]int64{}
	for _, o := range r.fed {
		orders[o.Customer]++
		cents[o.Customer] += o.Cents
	}
	var b strings.Builder
	for _, customer := range slices.Sorted(maps.Keys(orders)) {
		fmt.Fprintf(&b, "%s %d %d \n", customer, orders[customer], cents[customer])
	}
	return b.String()
}
