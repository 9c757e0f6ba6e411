package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Order is the value of an input record.
type Order struct {
	EventID     string `json:"event_id"`
	Seq         int64  `json:"seq"`
	Customer    string `json:"customer"`
	AmountCents int64  `json:"amount_cents"`
	Note        string `json:"note,omitempty"`
}

// Total is the value of an output record and of the store.
type Total struct {
	LastSeq  int64 `json:"last_seq"`
	Count    int64 `json:"count"`
	SumCents int64 `json:"sum_cents"`
}

// Intent says why the generator made a record.
type Intent int8

const (
	Fresh       Intent = iota // the customer's next number
	Redelivered               // the customer's last order once more, byte for byte
	Late                      // an older order of the customer once more
	Poison                    // bytes that are no order
	Reject                    // a negative amount; the number is not used up
)

func (i Intent) String() string {
	return [...]string{"fresh", "redelivered", "late", "poison", "reject"}[i]
}

// Item is a record to be produced.
type Item struct {
	Key, Value []byte
	Intent     Intent
}

// Mix is what share of the records is of which intent; the rest is fresh.
type Mix struct{ Redelivered, Late, Poison, Reject float64 }

// DefaultMix is one record in eight that must leave no output.
var DefaultMix = Mix{Redelivered: 0.06, Late: 0.04, Poison: 0.015, Reject: 0.01}

// GeneratorOptions of a Generator. The same options give the same records, in whatever chunks they are taken.
type GeneratorOptions struct {
	Seed uint64
	Keys int // customers, default 1000; a tenth of the orders goes to the first eight of them
	Mix  Mix // default DefaultMix
	Pad  int // bytes of padding in a value; 120 makes values of about 230 bytes
}

// Generator makes orders. It is not safe for concurrent use.
type Generator struct {
	opts GeneratorOptions
	rng  *rand.Rand
	last []int64 // the last number of each customer
	made map[Intent]int
	pad  string
}

// NewGenerator makes a Generator.
func NewGenerator(opts GeneratorOptions) *Generator {
	if opts.Keys == 0 {
		opts.Keys = 1000
	}
	if opts.Mix == (Mix{}) {
		opts.Mix = DefaultMix
	}
	return &Generator{
		opts: opts,
		rng:  rand.New(rand.NewPCG(opts.Seed, 0x9e3779b97f4a7c15)),
		last: make([]int64, opts.Keys),
		made: map[Intent]int{},
		pad:  string(bytes.Repeat([]byte{'.'}, opts.Pad)),
	}
}

// Take makes the next n records.
func (g *Generator) Take(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = g.next()
		g.made[items[i].Intent]++
	}
	return items
}

// Made returns how many records of each intent were made so far.
func (g *Generator) Made() map[Intent]int { return g.made }

func (g *Generator) next() Item {
	customer := g.rng.IntN(len(g.last))
	if g.rng.IntN(10) == 0 {
		customer = g.rng.IntN(min(8, len(g.last)))
	}
	key := fmt.Sprintf("c-%06d", customer)
	roll, mix := g.rng.Float64(), g.opts.Mix
	spread := g.rng.Uint64() // drawn for every record, so that the mix does not shift what comes later
	last := g.last[customer]
	item := func(intent Intent, value []byte) Item { return Item{[]byte(key), value, intent} }

	switch {
	case roll < mix.Redelivered && last > 0:
		return item(Redelivered, g.order(key, last))
	case roll < mix.Redelivered:
	case roll < mix.Redelivered+mix.Late && last > 1:
		return item(Late, g.order(key, 1+int64(spread%uint64(last-1))))
	case roll < mix.Redelivered+mix.Late:
	case roll < mix.Redelivered+mix.Late+mix.Poison:
		return item(Poison, g.poison(key, last+1, spread))
	case roll < mix.Redelivered+mix.Late+mix.Poison+mix.Reject:
		return item(Reject, encode(Order{
			EventID:  fmt.Sprintf("%s/%d/refund-%x", key, last+1, spread),
			Customer: key, Seq: last + 1, AmountCents: -1 - int64(spread%1000), Note: g.pad,
		}))
	}
	g.last[customer]++
	return item(Fresh, g.order(key, last+1))
}

func (g *Generator) order(key string, seq int64) []byte {
	return encode(Order{
		EventID: fmt.Sprintf("%s/%d", key, seq), Customer: key, Seq: seq, AmountCents: Amount(key, seq), Note: g.pad,
	})
}

// poison makes bytes that are no order: cut off, of another type, of another format, without fields, none at all.
func (g *Generator) poison(key string, seq int64, spread uint64) []byte {
	good := g.order(key, seq)
	switch spread % 8 {
	case 0:
		return good[:1+int(spread>>8)%(len(good)-1)]
	case 1:
		return fmt.Appendf(nil, `{"event_id":"x","seq":"%d","customer":%q,"amount_cents":1}`, seq, key)
	case 2:
		return fmt.Appendf(nil, `[%d]`, seq)
	case 3:
		return fmt.Appendf(nil, "\x00\x00\x00\x00\x07\xff\xfe%x", spread)
	case 4:
		return append(good, good...)
	case 5:
		return fmt.Appendf(nil, `{"event_id":"x","seq":%d99999999999999999999,"customer":%q,"amount_cents":1}`, seq, key)
	case 6:
		return []byte(`{}`)
	default:
		return []byte{}
	}
}

func encode(o Order) []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // a struct of strings and integers always marshals
	}
	return b
}

// Amount is what order seq of a customer is over.
func Amount(key string, seq int64) int64 {
	base, step := amounts(key)
	return base + step*seq
}

// Answer is the right total of a customer after the orders 1 to n.
func Answer(key string, n int64) Total {
	base, step := amounts(key)
	return Total{LastSeq: n, Count: n, SumCents: n*base + step*n*(n+1)/2}
}

func amounts(key string) (base, step int64) {
	h := fnv.New32a()
	h.Write([]byte(key))
	sum := int64(h.Sum32())
	return 100 + sum%900, 1 + sum>>12%7
}

var murmur2 = kgo.StickyKeyPartitioner(nil).ForTopic("") // keeps no state for records with a key

// PartitionOf is the partition that the Java client's default partitioner gives to a key.
func PartitionOf(key []byte, partitions int) int32 {
	return int32(murmur2.Partition(&kgo.Record{Key: key}, partitions))
}
