package wiretest

import (
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

var reading = []question{
	{name: "positions pass over what readers do not see", ask: func(a *asker) {
		tp := at(a.topic(1), 0)
		s := a.sink(a.wire, a.id("t"))
		a.settled("empty", tp, 0)
		a.ok(write(s, tp, "a", "b"), s.Flush(a.context()), s.Commit(a.context()))
		a.ok(write(s, tp, "c"), s.Flush(a.context()), s.Abort(a.context()))
		for from := range int64(6) {
			a.settled("read", tp, from)
		}
		a.ok(write(s, tp, "d"), s.Flush(a.context()))
		a.read("up to an open transaction", tp, 3)
		a.read("inside an open transaction", tp, 6)
		a.ok(s.Abort(a.context()))
		a.settled("an aborted end", tp, 3)
	}},
	{name: "offsets that are not there", ask: func(a *asker) {
		tp := at(a.topic(1), 0)
		s := a.sink(a.wire, "")
		a.ok(write(s, tp, "a", "b", "c", "d"), s.Flush(a.context()))
		a.settled("after the end", tp, 5)
		a.settled("at the end", tp, 4)
		a.c.DeleteRecords(a.t, tp, 3)
		a.bounds(tp)
		a.settled("before the start", tp, 0)
		a.settled("at the start", tp, 3)
		a.c.DeleteRecords(a.t, tp, 4)
		a.bounds(tp)
		a.settled("all deleted", tp, 4)
	}},
	{name: "start, stop and start again", ask: func(a *asker) {
		tp := at(a.topic(1), 0)
		s := a.sink(a.wire, "")
		a.ok(write(s, tp, "a", "b", "c"), s.Flush(a.context()))
		f, err := a.wire.NewFetcher()
		a.ok(err)
		defer func() { _ = f.Close() }()
		got := make(chan string, 100)
		deliver := func(b kafka.Batch) {
			for _, r := range b.Records {
				got <- string(r.Value)
			}
		}
		next := func() string {
			select {
			case v := <-got:
				return v
			case <-time.After(patience):
				return "nothing"
			}
		}
		f.Start(tp, kafka.At(1), deliver)
		a.say("from 1: %s %s", next(), next())
		f.Start(tp, kafka.At(0), deliver)
		a.say("from 0: %s %s %s", next(), next(), next())
		f.Stop(tp)
		a.ok(write(s, tp, "d"), s.Flush(a.context()))
		select {
		case v := <-got:
			a.say("after the stop: %s", v)
		case <-time.After(700 * time.Millisecond):
			a.say("after the stop: nothing")
		}
		f.Start(tp, kafka.At(3), deliver)
		a.say("from 3: %s", next())
		a.ok(write(s, tp, "e"), s.Flush(a.context()))
		a.say("then: %s", next())
	}},
}

var administration = []question{
	{name: "what topics are there", ask: func(a *asker) {
		one := a.topic(3, "cleanup.policy", "compact", "min.insync.replicas", "1")
		two := a.topic(1)
		infos, err := a.wire.Topics(a.context(), []string{one, two, a.prefix + "-absent"})
		a.ok(err)
		a.say("%d topics", len(infos))
		for _, name := range []string{one, two} {
			i := infos[name]
			a.say("%d partitions, %d replicas, %s, %s in sync, id %v", i.Partitions, i.ReplicationFactor,
				i.Config["cleanup.policy"], i.Config["min.insync.replicas"], i.ID != "")
		}
		a.say("ids differ: %v", infos[one].ID != infos[two].ID)
		again := func(what string, spec kafka.TopicSpec) {
			spec.Name, spec.ReplicationFactor = two, 1
			a.result("create it again "+what, a.wire.CreateTopics(a.context(), []kafka.TopicSpec{spec}))
		}
		again("as it is", kafka.TopicSpec{Partitions: 1})
		again("with more partitions", kafka.TopicSpec{Partitions: 5})
		again("compacted", kafka.TopicSpec{Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}})
		infos, err = a.wire.Topics(a.context(), []string{two})
		a.ok(err)
		a.say("%d partitions", infos[two].Partitions)
	}},
	{name: "offsets of what is not there", ask: func(a *asker) {
		topic := a.topic(1)
		a.bounds(at(topic, 0))
		_, err := a.wire.Ends(a.context(), []kafka.TopicPartition{at(a.prefix+"-absent", 0)})
		a.result("ends of an absent topic", err)
		_, err = a.wire.Starts(a.context(), []kafka.TopicPartition{at(topic, 0), at(topic, 7)})
		a.result("starts of an absent partition", err)
		a.committed(at(topic, 0))
		a.committed(at(topic, 7))
		a.committed(at(a.prefix+"-absent", 0))
	}},
}

// bounds says the start and the end of a partition.
func (a *asker) bounds(tp kafka.TopicPartition) {
	a.t.Helper()
	starts, err := a.wire.Starts(a.context(), []kafka.TopicPartition{tp})
	a.ok(err)
	ends, err := a.wire.Ends(a.context(), []kafka.TopicPartition{tp})
	a.ok(err)
	a.say("bounds: %d to %d", starts[tp], ends[tp])
}
