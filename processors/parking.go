package processors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
)

// parking is the records of a task that wait for another one of their key, which failed and is delayed or a dead letter: the key is
// parked (topology.Parking). They are in a store of the task with a changelog, so they move in the transactions of the records. For each
// parked key there is one record elsewhere, the head, and a queue here. When the head has passed, the key is ready: its queue is worked
// off before anything else of the task (queue.go), and while it is, newer records of the key still go to its end. A record of the queue
// that fails is the next head.
type parking struct {
	store     *keyed.Store[[]byte]
	changelog kafka.TopicPartition
	any       bool     // keys may be parked: nothing is looked up for a record while there are none
	ready     []string // the keys that are ready, as names
	err       error    // what the store says that cannot be

	// What follows from the record in work when it is kept.
	added, dropped string // of ready
	changed        bool
}

// parked is how much is parked, for statistics.
type parked struct{ keys, records atomic.Int64 }

// parkedKey is what is known of a parked key. Operators' tools read it from the changelog.
type parkedKey struct {
	Version int `json:"version"`
	// Where the head was read first, what it failed of, and since when the key is parked.
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	Offset      int64  `json:"offset"`
	Node        string `json:"node"`
	Fingerprint string `json:"fingerprint"`
	Since       int64  `json:"since"`   // milliseconds since the epoch
	Delayed     bool   `json:"delayed"` // the head is in a retry topic; else it is a dead letter
	Ready       bool   `json:"ready"`   // the head has passed
	// The queue.
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
	Bytes int64  `json:"bytes"`
}

// parkedTotals are those of a task.
type parkedTotals struct {
	Keys    int64 `json:"keys"`
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

// The names in the store: "t" for the totals, "k" and the name of a key, "r", a number and the name of a key.
const totalsName = "t"

// nameOf names a key of an input.
func nameOf(topic string, key []byte) string { return topic + "\x00" + string(key) }

func recordName(name string, n uint64) string {
	return "r" + string(binary.BigEndian.AppendUint64(nil, n)) + name
}

// newParking is the parking of a task whose stores are open, nil where nothing of it parks.
func newParking(t *task) (*parking, error) {
	for _, st := range t.stores {
		if st.decl != t.graph.plan.Parked {
			continue
		}
		p := &parking{changelog: st.changelog}
		var ok bool
		if p.store, ok = st.Any.(*keyed.Store[[]byte]); !ok {
			if around, wraps := st.Any.(interface{ Unwrap() keyed.Any }); wraps {
				p.store, _ = around.Unwrap().(*keyed.Store[[]byte])
			}
		}
		return p, p.look()
	}
	return nil, nil
}

// look finds in the store which keys are ready.
func (p *parking) look() error {
	p.ready, p.added, p.dropped = nil, "", ""
	totals, err := p.totals()
	if err != nil {
		return err
	}
	if p.any = totals.Keys > 0; !p.any {
		return nil
	}
	for name, value := range p.store.Prefix("k", func(e error) { err = e }) {
		var k parkedKey
		if e := json.Unmarshal(value, &k); e != nil {
			return fmt.Errorf("parked key: %w", e)
		}
		if k.Ready {
			p.ready = append(p.ready, strings.Clone(name[1:]))
		}
	}
	return err
}

func (p *parking) totals() (t parkedTotals, err error) {
	_, err = p.read(totalsName, &t)
	return t, err
}

// read reads JSON.
func (p *parking) read(name string, into any) (known bool, err error) {
	value, known, err := p.store.Get(name)
	if err != nil || !known {
		return false, err
	}
	return true, json.Unmarshal(value, into)
}

func (p *parking) write(name string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return p.store.Set(name, value)
}

// count changes the totals.
func (p *parking) count(keys, records, bytes int64) error {
	t, err := p.totals()
	if err != nil {
		return err
	}
	t.Keys, t.Records, t.Bytes = t.Keys+keys, t.Records+records, t.Bytes+bytes
	p.changed = true
	return p.write(totalsName, t)
}

// key is the parked key of a record, nil where it is not parked.
func (p *parking) key(name string) (*parkedKey, error) {
	if !p.any {
		return nil, nil
	}
	value, known, err := p.store.Peek("k" + name) // of most keys there is nothing
	if !known || err != nil {
		return nil, err
	}
	var k parkedKey
	if err := json.Unmarshal(value, &k); err != nil {
		return nil, err
	}
	return &k, nil
}

// is says whether the head of the key is the record that was read there first.
func (k *parkedKey) is(first nodes.First) bool {
	return k.Topic == first.Topic && k.Partition == first.Partition && k.Offset == first.Offset
}

// full says why a record cannot be parked, "" where it can.
func (p *parking) full(most int, mostBytes int64) (string, error) {
	t, err := p.totals()
	switch {
	case err != nil:
		return "", err
	case t.Records >= int64(most):
		return fmt.Sprintf("%d records of %d keys are parked, and parked-records allows %d a partition", t.Records, t.Keys, most), nil
	case t.Bytes >= mostBytes:
		return fmt.Sprintf("records of %d bytes and %d keys are parked, and parked-bytes allows %d a partition", t.Bytes, t.Keys, mostBytes), nil
	}
	return "", nil
}

// add puts a record at the end of a key's queue.
func (p *parking) add(name string, k *parkedKey, r *kafka.Record, topicID string) error {
	value := encodeParked(r, topicID)
	if err := p.store.Set(recordName(name, k.To), value); err != nil {
		return err
	}
	k.To++
	k.Bytes += int64(len(value))
	if err := p.write("k"+name, k); err != nil {
		return err
	}
	return p.count(0, 1, int64(len(value)))
}

// pop takes the first record off a key's queue. The key is to be written, or to be freed.
func (p *parking) pop(name string, k *parkedKey, size int) error {
	if err := p.store.Delete(recordName(name, k.From)); err != nil {
		return err
	}
	k.From++
	k.Bytes -= int64(size)
	return p.count(0, -1, -int64(size))
}

// release has a key's queue worked off, or frees the key where there is none.
func (p *parking) release(name string, k *parkedKey) error {
	if k.From == k.To {
		p.dropped = name
		if err := p.store.Delete("k" + name); err != nil {
			return err
		}
		return p.count(-1, 0, 0)
	}
	p.changed = true
	if !k.Ready {
		k.Ready, p.added = true, name
	}
	return p.write("k"+name, k)
}

// begin forgets what would have followed from a record that was taken back.
func (p *parking) begin() { p.added, p.dropped, p.changed = "", "", false }

// keep has follow what the record has changed. It is called when the stores' changes are kept.
func (p *parking) keep() {
	if !p.changed {
		return
	}
	if p.dropped != "" {
		p.ready = slices.DeleteFunc(p.ready, func(name string) bool { return name == p.dropped })
	}
	if p.added != "" {
		p.ready = append(p.ready, p.added)
	}
	totals, err := p.totals()
	p.any = totals.Keys > 0 || err != nil
	p.begin()
}

// passed notes that the nodes have taken a record.
func (p *parking) passed(c *cause) error {
	p.begin()
	if !p.any || c.record.Key == nil || !c.in.queued && !c.in.redriven { // of others the key is not parked: see follow
		return nil
	}
	name := c.name()
	k, err := p.key(name)
	switch {
	case k == nil || err != nil:
		return err
	case c.in.queued:
		if err := p.pop(name, k, c.in.queue.size); err != nil {
			return err
		}
		return p.release(name, k)
	case c.in.redriven && k.is(c.first()):
		return p.release(name, k)
	}
	return nil
}

// heads says whether others of its key are to wait for a record that failed.
func (p *parking) heads(c *cause) (bool, error) {
	k, err := p.key(c.name())
	return err == nil && (k == nil || c.in.queued || k.is(c.first())), err
}

// failed notes that a record has failed. With head, others of its key wait for it.
func (p *parking) failed(c *cause, f *nodes.Failure, head, delayed bool, now int64) error {
	p.begin()
	if c.record.Key == nil || !p.any && !head {
		return nil
	}
	name := c.name()
	k, err := p.key(name)
	if err != nil {
		return err
	}
	if c.in.queued {
		if err := p.pop(name, k, c.in.queue.size); err != nil {
			return err
		}
	}
	switch first := c.first(); {
	case head:
		if k == nil {
			k = &parkedKey{Version: 1, Since: now}
			if err := p.count(1, 0, 0); err != nil {
				return err
			}
		}
		if k.Ready {
			k.Ready, p.dropped = false, name
		}
		k.Topic, k.Partition, k.Offset = first.Topic, first.Partition, first.Offset
		k.Node, k.Fingerprint, k.Delayed = f.Name, fingerprint(f), delayed
		p.changed = true
		return p.write("k"+name, k)
	case k != nil && (c.in.queued || c.in.redriven && k.is(first)):
		return p.release(name, k)
	}
	return nil
}

// name names the key of the cause's record, among those of all inputs of its task.
func (c *cause) name() string { return nameOf(c.in.source.Origin().Topic, c.record.Key) }

// encodeParked is a record as it is parked.
func encodeParked(r *kafka.Record, topicID string) []byte {
	b := binary.AppendVarint(nil, r.Offset)
	b = binary.AppendVarint(b, r.Timestamp)
	text := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	bytes := func(v []byte) {
		if v == nil {
			b = append(b, 0)
			return
		}
		b = append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
	}
	text(topicID)
	bytes(r.Key)
	bytes(r.Value)
	b = binary.AppendUvarint(b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		text(h.Key)
		bytes(h.Value)
	}
	return b
}

var errParked = errors.New("a parked record is damaged")

// decodeParked is the way back.
func decodeParked(b []byte) (r kafka.Record, topicID string, err error) {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err, b = errParked, nil
			return 0
		}
		b = b[n:]
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			err, b = errParked, nil
			return 0
		}
		b = b[n:]
		return v
	}
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			err = errParked
			return nil
		}
		v := b[:n:n]
		b = b[n:]
		return v
	}
	bytes := func() []byte {
		n := number()
		if n == 0 {
			return nil
		}
		return take(n - 1)
	}
	r.Offset, r.Timestamp = signed(), signed()
	topicID = string(take(number()))
	r.Key, r.Value = bytes(), bytes()
	for n := number(); n > 0 && err == nil; n-- {
		r.Headers = append(r.Headers, kafka.Header{Key: string(take(number())), Value: bytes()})
	}
	return r, topicID, err
}
