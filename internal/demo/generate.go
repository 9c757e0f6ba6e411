package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/weirstream/weir/examples/totals/orders"
)

const (
	customers = 1000
	// Shares of the records, in percent.
	redelivered, undecodable, negative = 5, 1, 1
	// So many of the last orders may be delivered again.
	remembered = 500
)

// generator makes a stream of orders as a live system does: mostly good, some delivered again, a few that no consumer
// can read, a few that make no sense. The same seed makes the same stream.
type generator struct {
	random *rand.Rand
	next   map[string]int64 // number of each customer's next order
	recent []message        // a ring
	made   int
}

type message struct {
	key, value []byte
	bad        bool // it ends as a dead letter
}

// newGenerator continues after the orders that exist already.
func newGenerator(seed uint64, highest map[string]int64) *generator {
	g := &generator{random: rand.New(rand.NewPCG(seed, seed)), next: map[string]int64{}}
	for customer, seq := range highest {
		g.next[customer] = seq + 1
	}
	return g
}

func (g *generator) message() message {
	roll := g.random.IntN(100)
	if roll < redelivered && len(g.recent) > 0 {
		return g.recent[g.random.IntN(len(g.recent))]
	}
	customer := fmt.Sprintf("customer-%04d", g.random.IntN(customers))
	order := orders.Order{Customer: customer, Seq: max(1, g.next[customer]), AmountCents: 100 + g.random.Int64N(20_000)}
	order.EventID = fmt.Sprintf("%s-%d", customer, order.Seq)
	switch {
	case roll < redelivered+undecodable:
		return message{[]byte(customer), g.poison(order), true}
	case roll < redelivered+undecodable+negative:
		order.AmountCents = -order.AmountCents
		return message{[]byte(customer), encode(order), true}
	}
	g.next[customer] = order.Seq + 1
	m := message{[]byte(customer), encode(order), false}
	if len(g.recent) < remembered {
		g.recent = append(g.recent, m)
	} else {
		g.recent[g.made%remembered] = m
	}
	g.made++
	return m
}

// poison is what arrives in place of an order now and then.
func (g *generator) poison(order orders.Order) []byte {
	good := encode(order)
	switch g.random.IntN(5) {
	case 0:
		return good[:len(good)/2] // cut off
	case 1:
		return fmt.Appendf(nil, `{"event_id":%q,"seq":"%d"}`, order.EventID, order.Seq) // a text for a number
	case 2:
		return []byte{0, 0, 0, 0, 7, 0xff} // another format
	case 3:
		return []byte("{}")
	}
	return nil // a tombstone
}

func encode(o orders.Order) []byte {
	data, _ := json.Marshal(o) // a struct of texts and numbers cannot fail
	return data
}
