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

// TestKillMinus9WhileARecordIsLookedFor: COMMIT refuses some orders, and while it is found out which these are the process is killed at each transaction of the
// database in turn. Each of the others is a line once, and these are dead letters, once.
//
// Mutation seen to fail it: a part of a transaction is written without its offsets.
func TestKillMinus9WhileARecordIsLookedFor(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		for _, text := range []string{kindsSchema, kindsRow, linesSchema} {
			_, err := r.db.Exec(text)
			r.must(err)
		}
		want, letters := map[string]bool{}, int64(0)
		cents := int64(0)
		feed := func() {
			var all []Order
			for range 80 {
				cents++
				o := Order{fmt.Sprintf("c%d", cents%10), cents}
				if all = append(all, o); breaks(o) {
					letters++
				} else {
					want[fmt.Sprintf("%s %d ", o.Customer, o.Cents)] = true
				}
			}
			r.feed(all...)
		}
		for n := 1; n <= 8; n++ {
			feed()
			r.start("order-lines", "a", fmt.Sprintf("WEIR_FAULT_AT=%s:%d", fault.OutsideBegun, n)).killed()
		}
		p := r.start("order-lines", "a")
		r.readAll("order-lines", topic)
		p.stop()
		got := map[string]bool{}
		for line := range strings.Lines(r.rows("SELECT customer, cents FROM lines")) {
			if line = strings.TrimSuffix(line, "\n"); got[line] {
				t.Errorf("%s twice", line)
			}
			got[line] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%d lines, not %d", len(got), len(want))
		}
		if n := int64(len(r.visible("order.placed.v1.dlq"))); n != letters {
			t.Errorf("%d dead letters, not %d", n, letters)
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
