package wiretest

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// losses are the requests of a commit, each with the request or its answer lost for so long that the call fails: what
// the caller is told, whether it can go on with an abort, and what has become visible.
func losses() (all []question) {
	for _, r := range []Request{AddPartitionsToTxn, Produce, AddOffsetsToTxn, TxnOffsetCommit, EndTxn} {
		for _, loss := range []Loss{RequestLost, AnswerLost} {
			all = append(all, question{name: fmt.Sprintf("a commit without its %s: %s lost", r, loss), ask: func(a *asker) { a.lose(r, loss) }})
		}
	}
	for _, loss := range []Loss{RequestLost, AnswerLost} {
		all = append(all,
			question{name: fmt.Sprintf("an abort without its %s: %s lost", EndTxn, loss), ask: func(a *asker) {
				in, out := at(a.topic(1), 0), at(a.topic(1), 0)
				s := a.sink(a.wire, a.id("t"))
				a.ok(write(s, out, "a"), s.Flush(a.context()), s.Offsets(a.context(), a.stranger(), offset(in, 1)))
				a.c.Disturb(EndTxn, loss)
				a.result("abort", s.Abort(a.context()))
				a.c.Calm()
				a.result("abort again", s.Abort(a.context()))
				a.next(s, in, out)
			}},
			question{name: fmt.Sprintf("a takeover without its %s: %s lost", InitProducerID, loss), ask: func(a *asker) {
				in, out := at(a.topic(1), 0), at(a.topic(1), 0)
				a.c.Disturb(InitProducerID, loss)
				_, err := a.wire.NewSink(a.context(), a.id("t"))
				a.result("new sink", err)
				a.c.Calm()
				a.next(a.sink(a.wire, a.id("t")), in, out)
			}},
			question{name: fmt.Sprintf("a plain write, its %s lost", loss), ask: func(a *asker) {
				out := at(a.topic(1), 0)
				s := a.sink(a.wire, "")
				a.c.Disturb(Produce, loss)
				a.ok(write(s, out, "a"))
				a.result("flush", s.Flush(a.context()))
				a.c.Calm()
				a.result("abort", s.Abort(a.context()))
				a.ok(write(s, out, "b"), s.Flush(a.context()))
				a.settled("there", out, 0)
			}},
			question{name: fmt.Sprintf("a plain commit of offsets, its %s lost", loss), ask: func(a *asker) {
				in := at(a.topic(1), 0)
				s := a.sink(a.wire, "")
				a.c.Disturb(OffsetCommit, loss)
				a.result("offsets", s.Offsets(a.context(), a.stranger(), offset(in, 1)))
				a.c.Calm()
				a.committed(in)
				a.result("abort", s.Abort(a.context()))
				a.result("offsets", s.Offsets(a.context(), a.stranger(), offset(in, 2)))
				a.committed(in)
			}},
		)
	}
	all = append(all, question{name: "requests that only read", ask: func(a *asker) {
		tp := []kafka.TopicPartition{at(a.topic(1), 0)}
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), a.settings.CallTimeout)
			a.t.Cleanup(cancel)
			return ctx
		}
		a.c.Disturb(ListOffsets, AnswerLost)
		_, err := a.wire.Ends(short(), tp)
		a.result("ends", err)
		a.c.Calm()
		a.c.Disturb(OffsetFetch, AnswerLost)
		_, err = a.wire.Committed(short(), a.group(), tp)
		a.result("committed", err)
		a.c.Calm()
		a.bounds(tp[0])
		a.committed(tp[0])
	}})
	return all
}

// lose commits with a request lost, and goes on as the engine does: it aborts unless that makes no sense any more.
func (a *asker) lose(r Request, loss Loss) {
	in, out := at(a.topic(1), 0), at(a.topic(1), 0)
	s := a.sink(a.wire, a.id("t"))
	a.ok(write(s, out, "a"))
	var err error
	step := func(name string, call func() error) {
		if err == nil {
			err = call()
			a.result(name, err)
		}
	}
	a.c.Disturb(r, loss)
	step("flush", func() error { return s.Flush(a.context()) })
	step("offsets", func() error { return s.Offsets(a.context(), a.stranger(), offset(in, 1)) })
	step("commit", func() error { return s.Commit(a.context()) })
	a.c.Calm()
	if err != nil && kafka.ClassOf(err) == kafka.Indefinite {
		a.ok(s.Close())
		s = a.sink(a.wire, a.id("t"))
	} else {
		a.result("abort", s.Abort(a.context()))
	}
	a.next(s, in, out)
}

// next commits another transaction and says what there is then.
func (a *asker) next(s processors.Sink, in, out kafka.TopicPartition) {
	a.committed(in)
	a.ok(write(s, out, "next"), s.Flush(a.context()), s.Offsets(a.context(), a.stranger(), offset(in, 5)), s.Commit(a.context()))
	a.values("visible", out)
	a.committed(in)
}

// values is settled without offsets: how many markers there are depends on who ended what.
func (a *asker) values(what string, tp kafka.TopicPartition) {
	a.t.Helper()
	var values []string
	_ = a.reading(tp, 0, func(b kafka.Batch) bool {
		for _, r := range b.Records {
			values = append(values, string(r.Value))
		}
		return b.Position >= b.HighWatermark
	})
	a.say("%s: %q", what, values)
}
