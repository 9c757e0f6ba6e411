package letters

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// refuses says why an order leaves a letter alone that it chooses, "" where it does not. It looks at nothing but the order and the
// letter, because it decides what was resolved, too.
func (o *Order) refuses(l *Letter) string {
	absent := slices.IndexFunc(o.Absent, func(w Way) bool { return slices.Contains(o.ways(l), w) })
	switch {
	case l.stranger():
		return noLetter
	case o.Verb == Discard && absent >= 0:
		return fmt.Sprintf("topic %s does not exist, so its topology cannot be told that records of the key need not wait any more: make the topic again", o.Absent[absent].Topic)
	case o.Verb == Discard:
		return ""
	case l.Cut || l.Excess != nil:
		return "the letter does not hold its whole record"
	case l.Redrives >= MaxRedrives && !o.Force:
		return fmt.Sprintf("it was redriven %d times and failed each time: correct what it fails of first, then give --force", l.Redrives)
	case o.To == "" && (l.Topology == "" || l.Position.Topic == ""):
		return "the letter does not name the topology that it failed in: give --to origin, or --to TOPIC"
	case o.To == Origin && l.First.Topic == "":
		return "the letter does not name the topic of its record: give --to TOPIC"
	case o.To == Origin && (alwaysOwned(l.First.Topic) || absent >= 0 && plan.Owned(l.First.Topic) != ""):
		return "the letter says that its record stood in a topic of Kafka's or of Weir's own, where nothing is written: give --to TOPIC, or discard it"
	case absent >= 0:
		return fmt.Sprintf("topic %s does not exist: make it again, or give --to TOPIC", o.Absent[absent].Topic)
	}
	return ""
}

// alwaysOwned are topics that every build has refused as an origin. What plan.Owned knows beyond them was taken by earlier ones, whose jobs must not be
// read otherwise now: an order has those among its Absent ways.
func alwaysOwned(topic string) bool {
	return strings.HasPrefix(topic, "__") || topic == "_schemas" || strings.Contains(topic, "_weir.") || strings.HasSuffix(topic, "-changelog")
}

// Way is where letters go: into the redrive topic of a topology for an input, or into a topic as it is.
type Way struct {
	Topology string `json:"topology,omitempty"`
	Topic    string `json:"topic"`
}

// ways are those of a letter that depend on what it says.
func (o *Order) ways(l *Letter) (ways []Way) {
	if o.Verb == Redrive && o.To == "" || o.releases(l) {
		ways = append(ways, Way{l.Topology, l.Position.Topic})
	}
	if o.Verb == Redrive && o.To == Origin {
		ways = append(ways, Way{Topic: l.First.Topic})
	}
	return ways
}

// maxAbsent bounds what a job says of ways that lead nowhere.
const maxAbsent = 100

// explorer looks up once whether a way leads anywhere.
type explorer struct {
	tool  *Tool
	order *Order
	known map[Way]bool
}

// explore adds to what is absent of the order those of a letter's ways that lead nowhere.
func (e *explorer) explore(ctx context.Context, l *Letter) error {
	for _, w := range e.order.ways(l) {
		if e.known[w] {
			continue
		}
		e.known[w] = true
		if w.Topology == "" && plan.Owned(w.Topic) != "" {
			if err := e.leadsNowhere(w); err != nil {
				return err
			}
			continue
		}
		names := []string{w.Topic}
		if w.Topology != "" {
			topic, input := redriveTopic(e.tool.Names, l)
			if names[0] = topic; input != "" {
				names = append(names, input)
			}
		}
		infos, err := e.tool.Client.Topics(ctx, names)
		if err == nil && len(infos) == 0 {
			err = e.leadsNowhere(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leadsNowhere notes a way for the order.
func (e *explorer) leadsNowhere(w Way) error {
	if len(e.order.Absent) == maxAbsent {
		return fmt.Errorf("more than %d topics that letters name do not exist, or are none to write to, such as %s: choose fewer letters, or give --to TOPIC", maxAbsent, w.Topic)
	}
	e.order.Absent = append(e.order.Absent, Way{strings.Clone(w.Topology), strings.Clone(w.Topic)})
	return nil
}

// redriveTopic is the topic through which a letter comes back, and the input whose records it holds; "" for one that exists, since
// the letter was redriven before.
func redriveTopic(n plan.Names, l *Letter) (topic, input string) {
	failed := l.Position.Topic
	name := strings.TrimPrefix(failed, n.Prefix)
	if strings.HasPrefix(name, l.Topology+"-") && strings.HasSuffix(name, "-redrive") {
		return failed, ""
	}
	return n.Redrive(l.Topology, &plan.Stream{Name: name}), failed
}

// target is where a letter goes: the topic, and the partition, or -1 for the one that its key belongs to.
func (t *Tool) target(o *Order, l *Letter) (tp kafka.TopicPartition, input string) {
	switch o.To {
	case "":
		topic, input := redriveTopic(t.Names, l)
		return kafka.TopicPartition{Topic: topic, Partition: l.Position.Partition}, input
	case Origin:
		return l.First.TopicPartition, ""
	}
	return kafka.TopicPartition{Topic: o.To, Partition: -1}, ""
}

// releases says whether the topology is to be told that nothing needs to wait for the letter any more: it does not come back there.
func (o *Order) releases(l *Letter) bool {
	return l.Parks != "" && l.Topology != "" && l.Position.Topic != "" && (o.Verb == Discard || o.To != "")
}

// release is what tells it.
func release(l *Letter, to kafka.TopicPartition, now int64) *kafka.Outgoing {
	out := &kafka.Outgoing{TopicPartition: to, Timestamp: now, Key: slices.Clone(l.Record.Key)}
	for _, h := range deadletter.Released(l.Record.Headers) {
		out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: slices.Clone(h.Value)})
	}
	return out
}

// outgoing is what is written for a letter.
func (o *Order) outgoing(l *Letter, to kafka.TopicPartition, now int64) *kafka.Outgoing {
	r := l.Record
	out := &kafka.Outgoing{TopicPartition: to, Timestamp: now, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)}
	headers := l.Headers
	if o.To == "" {
		headers = deadletter.Redriven(r.Headers)
	}
	for _, h := range headers { // the reader's memory is given back
		out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: slices.Clone(h.Value)})
	}
	return out
}

// ready makes the topics that an order needs. needs are the redrive topics by the input whose partitions they share, "" for topics that
// must exist. It returns how many partitions each has.
func (t *Tool) ready(ctx context.Context, needs map[string]string) (map[string]int32, error) {
	if err := system.Jobs.Ensure(ctx, t.Client, t.jobsTopic()); err != nil {
		return nil, err
	}
	if err := system.Audit.Ensure(ctx, t.Client, t.auditTopic()); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(needs))
	for _, input := range needs {
		if input != "" {
			names = append(names, input)
		}
	}
	infos, err := t.Client.Topics(ctx, names)
	if err != nil {
		return nil, err
	}
	counts := map[string]int32{}
	var specs []kafka.TopicSpec
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		if info, ok := infos[name]; ok {
			counts[name] = info.Partitions
			continue
		}
		input, ok := infos[needs[name]]
		if !ok {
			what := needs[name]
			if what == "" {
				what = name
			}
			return nil, fmt.Errorf("topic %s does not exist, so nothing can be redriven: make it again, or give --to TOPIC", what)
		}
		counts[name] = input.Partitions
		specs = append(specs, redriveSpec(name, input.Partitions))
	}
	return counts, t.Client.CreateTopics(ctx, specs)
}

// redriveSpec is how a redrive topic is made.
func redriveSpec(name string, partitions int32) kafka.TopicSpec {
	return kafka.TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: -1, Config: map[string]string{
		"cleanup.policy": "delete", "retention.ms": strconv.FormatInt(plan.DeadLetterRetention.Milliseconds(), 10),
		"max.message.bytes": strconv.Itoa(plan.DeadLetterSize), "message.timestamp.type": "LogAppendTime",
	}}
}
