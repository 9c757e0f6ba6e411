//go:build unix

package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafkatest"
)

// topicKinds change topics and permissions under the instance. What refuses a whole topic is no property of a record.
var topicKinds = []Kind{
	{
		Name: "WRITE denied on the output", Who: Broker,
		Done: "for 10 s the instance may not write to customer.total.v1",
		Must: "no record becomes a dead letter; /healthz names the topic and the right that is missing; it goes on by itself",
		Try: func(t *testing.T, w *world) {
			w.denied(t, kadm.OpWrite, kadm.NewACLs().Topics(names.Output), 10*time.Second, names.Output)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "WRITE denied on the changelog", Who: Broker,
		Done: "for 8 s the instance may not write to its changelog",
		Must: "as for the output",
		Try: func(t *testing.T, w *world) {
			w.denied(t, kadm.OpWrite, kadm.NewACLs().Topics(names.Changelog), 8*time.Second, names.Changelog)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "WRITE denied on the dead-letter topic", Who: Broker,
		Done: "for 8 s the instance may not write to order.placed.v1.dlq, and bad records come",
		Must: "their partition waits, the others go on; /healthz names the topic; then each has its dead letter",
		Try: func(t *testing.T, w *world) {
			w.deny(t, kadm.OpWrite, kadm.NewACLs().Topics(names.DeadLetter), true)
			w.send(t, &kgo.Record{Partition: 1, Key: []byte("denied"), Value: []byte("no order")})
			w.more(t, 200)
			w.caughtUp(t, settleBound, 0, 2, 3)
			w.inst.says(t, settleBound, names.DeadLetter)
			w.deny(t, kadm.OpWrite, kadm.NewACLs().Topics(names.DeadLetter), false)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "transactions denied", Who: Broker,
		Done: "for 8 s the instance may not use its transactional ids",
		Must: "/healthz says so; it goes on by itself",
		Try: func(t *testing.T, w *world) {
			w.denied(t, kadm.OpWrite, kadm.NewACLs().TransactionalIDs("*"), 8*time.Second, "(?i)transaction")
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the output deleted and recreated", Who: Broker,
		Done: "customer.total.v1 is deleted, and made again 6 s later",
		Must: "no record becomes a dead letter; /healthz names the topic; it goes on by itself",
		Try: func(t *testing.T, w *world) {
			w.recreate(t, names.Output, nil, &w.outputs, func() {
				w.inst.says(t, settleBound, names.Output)
				w.livesFor(t, 6*time.Second)
			})
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the output recreated at once", Who: Broker,
		Done: "customer.total.v1 is deleted and made again in one go",
		Must: "no record becomes a dead letter; it goes on by itself",
		Try: func(t *testing.T, w *world) {
			w.recreate(t, names.Output, nil, &w.outputs, func() {})
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the dead-letter topic deleted and recreated", Who: Broker,
		Done: "order.placed.v1.dlq is deleted, bad records come, and it is made again",
		Must: "the partition of a bad record waits, the others go on; /healthz names the topic; then each has its dead letter",
		Try: func(t *testing.T, w *world) {
			w.recreate(t, names.DeadLetter, nil, &w.letters, func() {
				w.send(t, &kgo.Record{Partition: 2, Key: []byte("orphan"), Value: []byte("no order")})
				w.inst.says(t, settleBound, names.DeadLetter)
				w.more(t, 200)
				w.caughtUp(t, settleBound, 0, 1, 3)
			})
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "an output that takes 100 bytes", Who: Broker,
		Done: "max.message.bytes of 100 on customer.total.v1, for one order",
		Must: "that is the record's: it becomes a dead letter, which names the output",
		Try: func(t *testing.T, w *world) {
			w.quiet(t, func() {
				w.configure(t, names.Output, "max.message.bytes", "100")
				w.sendFated(t, dead, order("refused", 1))
				w.caughtUp(t, settleBound)
				w.configure(t, names.Output, "max.message.bytes", "1048588")
				pass(t, 1500*time.Millisecond) // a limit that has just refused a record is believed for a second
			})
		},
	},
	{
		Name: "the group denied", Who: Broker,
		Done: "for 8 s the instance may not use its consumer group",
		Must: "/healthz names the group; it goes on by itself",
		Try: func(t *testing.T, w *world) {
			w.denied(t, kadm.OpRead, kadm.NewACLs().Groups(names.Group), 8*time.Second, names.Group)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a dead-letter topic that takes 1 KB", Who: Broker,
		Done: "max.message.bytes of 1,024; bad records with values of 100 KB, keys of 100 KB and headers of 100 KB",
		Must: "each has a dead letter in the last form, which always fits: where the record stands, why it failed, the key's length and hash",
		Try: func(t *testing.T, w *world) {
			w.configure(t, names.DeadLetter, "max.message.bytes", "1024")
			big := bytes.Repeat([]byte("0123456789"), 10_000)
			w.sendCut(t, &kgo.Record{Partition: 0, Key: []byte("small"), Value: big}, &kgo.Record{Partition: 1, Key: big, Value: []byte("no order")},
				&kgo.Record{Partition: 2, Key: []byte("small"), Value: []byte("no order"), Headers: []kgo.RecordHeader{{Key: "big", Value: big}}},
				&kgo.Record{Partition: 3, Key: big, Value: big, Headers: []kgo.RecordHeader{{Key: string(big), Value: big}}})
			w.caughtUp(t, settleBound)
			w.configure(t, names.DeadLetter, "max.message.bytes", "8388608")
		},
	},
	{
		Name: "READ denied on the input", Who: Broker,
		Done: "for 8 s the instance may not read order.placed.v1",
		Must: "/healthz names the topic; it goes on by itself",
		Try: func(t *testing.T, w *world) {
			w.denied(t, kadm.OpRead, kadm.NewACLs().Topics(names.Input), 8*time.Second, names.Input)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the input deleted for a while", Who: Broker,
		Done: "order.placed.v1 is deleted, and made again when that is noticed, empty",
		Must: "/healthz names the topic; the process stays live, and goes on with the new topic",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.account(t)
			w.remake(t, names.Input, nil, func() {
				w.inst.says(t, 3*settleBound, names.Input) // it looks every 15 s, and twice
			})
			w.ledger.recreated()
			w.reconnect(t)
		},
		Within: 3 * time.Minute,
	},
	{
		Name: "the input deleted and recreated with as many records", Who: Broker,
		Done: "order.placed.v1 is deleted and made again under the instance, and filled up to where the group's offsets were, and further",
		Must: "every record of the new topic is processed, from the first; the log says that the topic is another one",
		Try: func(t *testing.T, w *world) {
			before := w.inst.logSize()
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.account(t)
			ends := w.ledger.ends()
			w.remake(t, names.Input, nil, func() {})
			w.ledger.recreated()
			w.fill(t, ends)
			w.reconnect(t)
			w.inst.logged(t, before, settleBound, "created again|recreated")
		},
		Within: 3 * time.Minute,
	},
}

// deny takes a right away from the instance's user, or gives it back. The broker heeds it when it returns.
func (w *world) deny(t *testing.T, op kadm.ACLOperation, of *kadm.ACLBuilder, away bool) {
	t.Helper()
	b := of.Deny("User:" + user).DenyHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).Operations(op)
	var err error
	if away {
		var results kadm.CreateACLsResults
		results, err = w.admin.CreateACLs(t.Context(), b)
		for _, r := range results {
			err = errors.Join(err, r.Err)
		}
	} else {
		var results kadm.DeleteACLsResults
		results, err = w.admin.DeleteACLs(t.Context(), b)
		for _, r := range results {
			err = errors.Join(err, r.Err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, settleBound, "the broker to know the rule", func(ctx context.Context) (bool, string) {
		found, err := w.admin.DescribeACLs(ctx, b)
		rules := 0
		for _, r := range found {
			err = errors.Join(err, r.Err)
			rules += len(r.Described)
		}
		return err == nil && (rules > 0) == away, fmt.Sprintf("%d rules (%v)", rules, err)
	})
}

// denied takes a right away for a while. Health must say so.
func (w *world) denied(t *testing.T, op kadm.ACLOperation, of *kadm.ACLBuilder, d time.Duration, words string) {
	t.Helper()
	began := time.Now()
	w.deny(t, op, of, true)
	w.inst.says(t, settleBound, words)
	w.livesFor(t, d-time.Since(began))
	w.deny(t, op, of, false)
}

// sendCut writes records whose dead letters need not hold all of them.
func (w *world) sendCut(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	w.sendFated(t, dead, records...)
	sent := map[place]bool{}
	for _, r := range records {
		sent[place{r.Partition, r.Offset}] = true
	}
	w.ledger.amend(func(partition int32, e *entry) { e.cut = e.cut || sent[place{partition, e.Offset}] })
}

// recreate deletes a topic that the instance writes to and makes it again, with something in between. What was in the topic is accounted
// for before.
func (w *world) recreate(t *testing.T, topic string, config map[string]*string, reader **tail, between func()) {
	t.Helper()
	w.feed.Pause()
	w.caughtUp(t, settleBound)
	w.account(t)
	w.remake(t, topic, config, func() {
		w.feed.Resume()
		between()
	})
	(*reader).close()
	fresh, err := newTail(w.cluster.Addrs(), topic)
	if err != nil {
		t.Fatal(err)
	}
	*reader = fresh
}

// remake deletes a topic and makes it again as it was.
func (w *world) remake(t *testing.T, topic string, config map[string]*string, between func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	deleted, err := w.admin.DeleteTopics(ctx, topic)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, settleBound, topic+" to be gone", func(ctx context.Context) (bool, string) {
		listed, err := w.admin.ListTopics(kafkatest.Uncached(ctx))
		return err == nil && !listed.Has(topic), fmt.Sprint(err)
	})
	between()
	made, err := w.admin.CreateTopics(ctx, partitions, -1, config, topic)
	if err == nil {
		err = made.Error()
	}
	if err == nil {
		err = w.awaitTopics(ctx, topic)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reconnect lets the feed and the kinds to come write to an input that is another one.
func (w *world) reconnect(t *testing.T) {
	t.Helper()
	client, err := producer(w.cluster.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	w.client.Close()
	w.client, w.admin = client, kadm.NewClient(client)
	if err := w.feed.ResumeAfresh(); err != nil {
		t.Fatal(err)
	}
}

// fill writes to an input that is another one, up to offsets and 50 further.
func (w *world) fill(t *testing.T, ends []int64) {
	t.Helper()
	var fill []*kgo.Record
	for p, end := range ends {
		for n := range end + 50 {
			fill = append(fill, &kgo.Record{
				Partition: int32(p), Key: fmt.Append(nil, "again-", n%97, "-", p),
				Value: fmt.Appendf(nil, `{"event_id":"e","seq":%d,"customer":"c","amount_cents":1}`, n),
			})
		}
	}
	fresh, err := producer(w.cluster.Addrs(), kgo.MaxBufferedRecords(len(fill)))
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	w.write(t, fresh, byModel, fill...)
}
