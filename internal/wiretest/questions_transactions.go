package wiretest

import (
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

var transactions = []question{
	{name: "a transaction becomes visible as a whole", ask: func(a *asker) {
		in, topic := at(a.topic(1), 0), a.topic(2)
		s := a.sink(a.wire, a.id("t"))
		a.say("end before: %d", s.End(at(topic, 0)))
		a.ok(write(s, at(topic, 0), "a", "b"), write(s, at(topic, 1), "c"), s.Flush(a.context()))
		a.read("open", at(topic, 0), 0)
		a.committed(in)
		a.result("offsets", s.Offsets(a.context(), a.stranger(), offset(in, 7)))
		a.result("commit", s.Commit(a.context()))
		a.say("ends: %d, %d", s.End(at(topic, 0)), s.End(at(topic, 1)))
		a.settled("committed", at(topic, 0), 0)
		a.settled("committed", at(topic, 1), 0)
		a.committed(in)
		a.ok(write(s, at(topic, 0), "d"), s.Flush(a.context()), s.Offsets(a.context(), a.stranger(), offset(in, 9)))
		a.result("abort", s.Abort(a.context()))
		a.settled("aborted", at(topic, 0), 0)
		a.committed(in)
		a.ok(write(s, at(topic, 0), "e"), s.Flush(a.context()))
		a.result("commit", s.Commit(a.context()))
		a.say("end: %d", s.End(at(topic, 0)))
		a.settled("after it", at(topic, 0), 0)
		a.committed(in)
	}},
	{name: "a transaction of nothing", ask: func(a *asker) {
		topic := a.topic(1)
		s := a.sink(a.wire, a.id("t"))
		a.result("flush", s.Flush(a.context()))
		a.result("commit", s.Commit(a.context()))
		a.result("abort", s.Abort(a.context()))
		a.result("offsets of nothing", s.Offsets(a.context(), a.stranger(), nil))
		a.result("commit", s.Commit(a.context()))
		a.settled("nothing", at(topic, 0), 0)
	}},
	{name: "readers of offsets wait for an open transaction", ask: func(a *asker) {
		in := at(a.topic(1), 0)
		s := a.sink(a.wire, a.id("t"))
		for _, commit := range []bool{true, false} {
			a.ok(s.Offsets(a.context(), a.stranger(), offset(in, 7)))
			got := make(chan int64, 1)
			ctx := a.context()
			go func() {
				offsets, err := a.wire.Committed(ctx, a.group(), []kafka.TopicPartition{in})
				if err != nil {
					offsets = offset(in, -2)
				}
				got <- offsets[in].Offset
			}()
			select {
			case n := <-got:
				a.say("answered before the end: %d", n)
			case <-time.After(500 * time.Millisecond):
				a.say("not answered before the end")
			}
			if commit {
				a.ok(s.Commit(a.context()))
			} else {
				a.ok(s.Abort(a.context()))
			}
			a.say("after the end: %d", <-got)
		}
	}},
	{name: "a transactional id that is taken over", ask: func(a *asker) {
		in, topic := at(a.topic(1), 0), a.topic(1)
		for _, call := range []string{"flush", "offsets", "commit", "abort"} {
			old := a.sink(a.wire, a.id(call))
			a.ok(write(old, at(topic, 0), "old "+call), old.Flush(a.context()))
			young := a.sink(a.process(), a.id(call))
			a.result(call+" of the old one", a.call(old, call, in, at(topic, 0)))
			a.result("abort of the old one", old.Abort(a.context()))
			a.ok(write(young, at(topic, 0), "young "+call))
			a.result("flush of the young one", young.Flush(a.context()))
			a.result("commit of the young one", young.Commit(a.context()))
		}
		a.values("visible", at(topic, 0))
		a.committed(in)
	}},
	{name: "a takeover returns when what was open has ended", ask: func(a *asker) {
		in, topic := at(a.topic(1), 0), a.topic(1)
		old := a.sink(a.wire, a.id("t"))
		a.ok(write(old, at(topic, 0), "a"), old.Flush(a.context()), old.Offsets(a.context(), a.stranger(), offset(in, 3)))
		a.sink(a.process(), a.id("t"))
		a.read("at once", at(topic, 0), 0)
		a.committed(in)
	}},
	{name: "a takeover leaves what was committed a moment ago", ask: func(a *asker) {
		in, topic := at(a.topic(1), 0), a.topic(1)
		old := a.sink(a.wire, a.id("t"))
		a.ok(write(old, at(topic, 0), "a"), old.Flush(a.context()), old.Offsets(a.context(), a.stranger(), offset(in, 3)), old.Commit(a.context()))
		young := a.sink(a.process(), a.id("t"))
		a.committed(in)
		a.ok(write(young, at(topic, 0), "b"), young.Flush(a.context()), young.Commit(a.context()))
		a.settled("visible", at(topic, 0), 0)
	}},
	{name: "a transaction that takes too long", settings: Settings{TransactionTimeout: time.Second}, ask: func(a *asker) {
		in, topic := at(a.topic(1), 0), a.topic(1)
		for _, call := range []string{"flush", "offsets", "commit", "abort"} {
			s := a.sink(a.wire, a.id(call))
			a.ok(write(s, at(topic, 0), "slow "+call), s.Flush(a.context()))
			a.settled("in the end", at(topic, 0), 0)
			a.result(call, a.call(s, call, in, at(topic, 0)))
			if call != "abort" {
				a.result("abort", s.Abort(a.context()))
			}
		}
		a.committed(in)
	}},
	{name: "transactions that overlap", ask: func(a *asker) {
		topic := a.topic(1)
		one, two := a.sink(a.wire, a.id("1")), a.sink(a.wire, a.id("2"))
		a.ok(write(one, at(topic, 0), "a"), one.Flush(a.context()))
		a.ok(write(two, at(topic, 0), "b"), two.Flush(a.context()), two.Commit(a.context()))
		a.until("a marker", func() bool {
			ends, err := a.wire.Ends(a.context(), []kafka.TopicPartition{at(topic, 0)})
			return err == nil && ends[at(topic, 0)] == 3
		})
		plain := a.sink(a.wire, "")
		a.ok(write(plain, at(topic, 0), "c"), plain.Flush(a.context()))
		a.read("one is open", at(topic, 0), 0)
		a.ok(one.Abort(a.context()))
		a.settled("one is aborted", at(topic, 0), 0)
	}},
	{name: "a record that the cluster refuses", ask: func(a *asker) {
		compacted, small, other := a.topic(1, "cleanup.policy", "compact"), a.topic(1, "max.message.bytes", "1000"), a.topic(1)
		s := a.sink(a.wire, a.id("t"))
		a.ok(write(s, at(other, 0), "a"))
		a.result("append of one that is too large", write(s, at(small, 0), "fits", string(make([]byte, 2000))))
		a.result("append of one without key", s.Append(&kafka.Outgoing{TopicPartition: at(compacted, 0), Value: []byte("x"), Origin: 5}))
		a.result("flush", s.Flush(a.context()))
		a.result("abort", s.Abort(a.context()))
		a.ok(write(s, at(other, 0), "b"), s.Flush(a.context()), s.Commit(a.context()))
		a.values("other", at(other, 0))
		a.values("small", at(small, 0))
		a.values("compacted", at(compacted, 0))
	}},
	{name: "a topic that is not there", settings: Settings{CallTimeout: 7 * time.Second}, ask: func(a *asker) {
		other, absent := at(a.topic(1), 0), at(a.prefix+"-absent", 0)
		s := a.sink(a.wire, a.id("t"))
		a.ok(write(s, other, "a"))
		err := write(s, absent, "x")
		if err == nil {
			err = s.Flush(a.context())
		}
		a.result("append and flush", err)
		a.result("abort", s.Abort(a.context()))
		a.ok(write(s, other, "b"), s.Flush(a.context()), s.Commit(a.context()))
		a.values("other", other)
	}},
	{name: "without transactions", ask: func(a *asker) {
		in, topic := at(a.topic(1), 0), a.topic(1)
		s := a.sink(a.wire, "")
		a.ok(write(s, at(topic, 0), "a", "b"), s.Flush(a.context()))
		a.say("end: %d", s.End(at(topic, 0)))
		a.read("at once", at(topic, 0), 0)
		a.result("offsets", s.Offsets(a.context(), a.stranger(), offset(in, 7)))
		a.committed(in)
		a.result("commit", s.Commit(a.context()))
		a.result("abort", s.Abort(a.context()))
		a.ok(write(s, at(topic, 0), "c"), s.Flush(a.context()))
		a.settled("later", at(topic, 0), 0)
	}},
}

// call makes one of the calls that a transaction may end with.
func (a *asker) call(s processors.Sink, name string, in, out kafka.TopicPartition) error {
	switch name {
	case "flush":
		a.ok(write(s, out, "more"))
		return s.Flush(a.context())
	case "offsets":
		return s.Offsets(a.context(), a.stranger(), offset(in, 3))
	case "commit":
		return s.Commit(a.context())
	}
	return s.Abort(a.context())
}
