package orders_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

func TestMain(m *testing.M) {
	// LevelDB drains its buffer pool for a second after it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// Mutation seen to fail this test: < in the place of <= in accumulate.
func TestTotalsKeepTheContractOfTheReferenceJob(t *testing.T) {
	driver := topologytest.New(t, orders.Totals)
	order := func(seq, amount int64) string {
		return fmt.Sprintf(`{"event_id":"e-%d","seq":%d,"customer":"ada","amount_cents":%d,"note":"ignored"}`, seq, seq, amount)
	}
	for _, c := range []struct{ name, value, fate, total string }{
		{"first", order(1, 250), "processed", `{"last_seq":1,"count":1,"sum_cents":250}`},
		{"redelivered", order(1, 250), "duplicate", ""},
		{"next, with a gap", order(4, 0), "processed", `{"last_seq":4,"count":2,"sum_cents":250}`},
		{"late", order(2, 99), "duplicate", ""},
		{"negative", order(5, -1), "rejected", ""},
		{"negative and late", order(3, -1), "duplicate", ""},
		{"after a rejected one", order(5, 50), "processed", `{"last_seq":5,"count":3,"sum_cents":300}`},
		{"number 0", order(0, 1), "duplicate", ""},
		{"no fields", `{}`, "rejected", ""},
		{"null", `null`, "rejected", ""},
		{"no event_id", `{"seq":9,"customer":"ada","amount_cents":1}`, "rejected", ""},
		{"no customer", `{"event_id":"e","seq":9,"amount_cents":1}`, "rejected", ""},
		{"text for a number", `{"event_id":"e","seq":"9","customer":"ada","amount_cents":1}`, "rejected", ""},
		{"part of a cent", `{"event_id":"e","seq":9,"customer":"ada","amount_cents":1.5}`, "rejected", ""},
		{"no JSON", "\x00\x01", "rejected", ""},
		{"nothing", "", "rejected", ""},
	} {
		result := driver.Send("order.placed.v1", "ada", []byte(c.value))
		fate := "processed"
		if reason, ok := topology.Dropped(result.Err); ok {
			fate = reason.String()
		} else if topology.IsRejected(result.Err) {
			fate = "rejected"
		} else if result.Err != nil {
			fate = result.Err.Error()
		}
		want := ""
		if c.total != "" {
			want = fmt.Sprint([]topologytest.Emitted{{Topic: "customer.total.v1", Key: "ada", Value: []byte(c.total)}})
		} else {
			want = "[]"
		}
		if got := fmt.Sprint(result.Emitted); fate != c.fate || got != want {
			t.Errorf("%s: %s, emitted %s; want %s, %s", c.name, fate, got, c.fate, want)
		}
	}
	if got, want := driver.Store("totals")["ada"], `{"last_seq":5,"count":3,"sum_cents":300}`; got != want {
		t.Errorf("store: %s, want %s", got, want)
	}
}

// Mutation seen to fail this test: a customer who is not known yet is taken for one whose last order was number 0.
func TestACustomersFirstOrderMayHaveAnyNumber(t *testing.T) {
	for _, seq := range []int{-5, 0, 7} {
		driver := topologytest.New(t, orders.Totals)
		for i, want := range []int{1, 0} {
			value := fmt.Sprintf(`{"event_id":"e","seq":%d,"customer":"ada","amount_cents":3}`, seq)
			if result := driver.Send("order.placed.v1", "ada", []byte(value)); len(result.Emitted) != want {
				t.Errorf("order %d, time %d: %v, %v", seq, i+1, result.Emitted, result.Err)
			}
		}
	}
}
