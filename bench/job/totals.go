package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Order and Total are the values of the reference job.
type Order struct {
	EventID  string `json:"event_id"`
	Seq      int64  `json:"seq"`
	Customer string `json:"customer"`
	Amount   int64  `json:"amount_cents"`
}

type Total struct {
	LastSeq int64 `json:"last_seq"`
	Count   int64 `json:"count"`
	Sum     int64 `json:"sum_cents"`
}

// stride spreads neighbouring records over the keys. It is a prime, so each run of Keys records has every key once.
const stride = 7919

type orders struct {
	records, keys int
	first         int // times a customer's number, modulo keys, is its first record
}

func newOrders(records, keys int) (orders, error) {
	if keys%stride == 0 {
		return orders{}, fmt.Errorf("%d keys: a multiple of %d does not reach all of them", keys, stride)
	}
	return orders{records, keys, inverse(stride%keys, keys)}, nil
}

// Record is an order of about 230 bytes.
func (o orders) Record(i int) (key, value []byte) {
	customer := fmt.Appendf(nil, "customer-%07d", i*stride%o.keys)
	value = fmt.Appendf(make([]byte, 0, 256), `{"event_id":"%032x","seq":%d,"customer":"%s","amount_cents":%d,"currency":"EUR","channel":"web","note":"%s"}`,
		i, i/o.keys+1, customer, i%10000, "an order of a benchmark, padded to the size of a usual one, with nothing in it")
	return customer, value
}

// Number is the record that an output stems from: it has the order's key, and its number in last_seq.
func Number(key []byte, seq int64, keys int) (int, error) {
	k, err := customer(key, keys)
	if err != nil {
		return 0, err
	}
	return int(seq-1)*keys + k*inverse(stride%keys, keys)%keys, nil
}

// inverse is that of a modulo m, by Euclid.
func inverse(a, m int) int {
	x, y, r, s := 1, 0, a, m
	for s != 0 {
		x, y, r, s = y, x-r/s*y, s, r%s
	}
	return ((x % m) + m) % m
}

func customer(key []byte, keys int) (int, error) {
	const prefix = "customer-"
	if len(key) <= len(prefix) || string(key[:len(prefix)]) != prefix {
		return 0, fmt.Errorf("the key %q is no customer", key)
	}
	k, err := strconv.Atoi(string(key[len(prefix):]))
	if err != nil || k < 0 || k >= keys {
		return 0, fmt.Errorf("the key %q is no customer", key)
	}
	return k, nil
}

// after is the total of a customer with one more order.
func (o orders) after(k int, t Total) Total {
	i := int(t.LastSeq)*o.keys + k*o.first%o.keys
	return Total{t.LastSeq + 1, t.Count + 1, t.Sum + int64(i%10000)}
}

func (o orders) Check() Check { return &totals{orders: o, last: make([]Total, o.keys)} }

// totals are the last outputs of each key. Each output has to follow from the one before it: an end that is right says nothing of what
// was written on the way there.
type totals struct {
	orders
	last []Total
	n    int
}

func (t *totals) Add(key, value []byte) error {
	k, err := customer(key, t.keys)
	if err != nil {
		return err
	}
	total, err := ParseTotal(value)
	if err != nil {
		return err
	}
	want := t.after(k, t.last[k])
	if total.LastSeq <= t.last[k].LastSeq { // there already, so Done counts one too many
		for want = (Total{}); want.LastSeq < total.LastSeq; {
			want = t.after(k, want)
		}
	}
	if total != want || total.LastSeq < 1 {
		return fmt.Errorf("a total of customer %d is %+v, want %+v", k, total, want)
	}
	t.last[k], t.n = total, t.n+1
	return nil
}

func (t *totals) Done(exactly bool) error {
	var errs []error
	if exactly && t.n != t.records || t.n < t.records {
		errs = append(errs, fmt.Errorf("%d outputs, want %d", t.n, t.records))
	}
	wrong := 0
	for k, last := range t.last {
		want := int64(t.records / t.keys) // every run of keys has each once
		if k*t.first%t.keys < t.records%t.keys {
			want++
		}
		if last.LastSeq == want {
			continue
		}
		if wrong++; wrong == 1 {
			errs = append(errs, fmt.Errorf("the last total of customer %d is that of order %d, want %d", k, last.LastSeq, want))
		}
	}
	if wrong > 1 {
		errs = append(errs, fmt.Errorf("%d of %d totals are not the last", wrong, t.keys))
	}
	return errors.Join(errs...)
}

// ParseTotal reads a total, at the speed of what is checked: encoding/json takes over where the text is not the usual one.
func ParseTotal(value []byte) (t Total, err error) {
	rest, ok := field(value, `{"last_seq":`, &t.LastSeq)
	if ok {
		rest, ok = field(rest, `,"count":`, &t.Count)
	}
	if ok {
		rest, ok = field(rest, `,"sum_cents":`, &t.Sum)
	}
	if ok && string(rest) == "}" {
		return t, nil
	}
	t = Total{}
	return t, json.Unmarshal(value, &t)
}

func field(text []byte, name string, v *int64) (rest []byte, ok bool) {
	if len(text) < len(name) || string(text[:len(name)]) != name {
		return nil, false
	}
	i := len(name)
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		*v = *v*10 + int64(text[i]-'0')
	}
	return text[i:], i > len(name) && i-len(name) < 19
}
