package letters

import (
	"context"
	"errors"
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
	ways := o.ways(l)
	absent := slices.IndexFunc(o.Absent, func(w Way) bool {
		return !w.Elsewhere && slices.Contains(ways, Way{Topology: w.Topology, Topic: w.Topic})
	})
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
	case o.elsewhere(ways):
		return "the letter says that its record failed in another environment, or in a topic that is not its topology's, and nothing is sent there: give --to TOPIC, or discard it"
	case absent >= 0 && o.Absent[absent].Unread:
		return fmt.Sprintf("topology %s does not read %s, so nobody would process what is redriven into it: give --to origin or --to TOPIC, discard it, or give --force where a build that reads it is to come",
			o.Absent[absent].Topology, o.Absent[absent].Topic)
	case absent >= 0:
		return fmt.Sprintf("topic %s does not exist: make it again, or give --to TOPIC", o.Absent[absent].Topic)
	}
	if by, yes := o.spares(l); yes {
		return fmt.Sprintf("its record was processed again since it failed, by %s, which did not look at the letters of this topic: discard it, or give --force where that has left it out", by)
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
	// Elsewhere says that the way leads out of the environment or to another topology: whoever wrote the letter may have said anything. Jobs that have it are of version 4.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Unread says that the topology is known not to read what comes that way.
	Unread bool `json:"unread,omitempty"`
}

// ways are those of a letter that depend on what it says.
func (o *Order) ways(l *Letter) (ways []Way) {
	if o.Verb == Redrive && o.To == "" || o.frees(l) {
		ways = append(ways, Way{Topology: l.Topology, Topic: l.Position.Topic})
	}
	if o.Verb == Redrive && o.To == Origin {
		ways = append(ways, Way{Topic: l.First.Topic})
	}
	return ways
}

// maxWays bounds how many topics an order looks up, or makes.
const maxWays = 1000

// maxAbsent bounds what a job says of ways that lead nowhere.
const maxAbsent = 100

// explorer looks up once whether a way leads anywhere.
type explorer struct {
	tool     *Tool
	order    *Order
	known    map[Way]bool
	readings map[string]*redrivesRead // by topology
	short    map[string]ShortError    // redrive topics that have fewer partitions than their input
	notes    []string
}

// explore adds to what is absent of the order those of a letter's ways that lead nowhere.
func (e *explorer) explore(ctx context.Context, l *Letter) error {
	for _, w := range e.order.ways(l) {
		if e.known[w] {
			continue
		}
		if e.known[w] = true; len(e.known) > maxWays {
			return fmt.Errorf("the letters name more than %d topics to send records to, such as %s: choose fewer letters, or give --to TOPIC", maxWays, w.Topic)
		}
		elsewhere, err := e.elsewhere(ctx, w)
		if err != nil {
			return err
		}
		if w.Topology == "" && plan.Owned(w.Topic) != "" || elsewhere {
			w.Elsewhere = elsewhere
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
		var infos map[string]kafka.TopicInfo
		if !slices.ContainsFunc(names, func(name string) bool { return !plan.IsTopicName(name) }) {
			infos, err = e.tool.Client.Topics(ctx, names)
		}
		if len(names) == 2 {
			e.compare(infos[names[0]], infos[names[1]])
		}
		if err == nil && len(infos) > 0 {
			w.Unread, err = e.unread(ctx, w, names[0])
		}
		if err == nil && (len(infos) == 0 || w.Unread) {
			err = e.leadsNowhere(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compare notes a redrive topic that lacks partitions which its input has got since it was made.
func (e *explorer) compare(redrive, input kafka.TopicInfo) {
	if redrive.Partitions > 0 && redrive.Partitions < input.Partitions {
		if e.short == nil {
			e.short = map[string]ShortError{}
		}
		e.short[redrive.Name] = ShortError{Topic: redrive.Name, Input: input.Name, Has: redrive.Partitions, Wants: input.Partitions, tool: e.tool.Client.Config().Tool("kafka-topics.sh")}
	}
}

// lacks refuses a letter that goes into a partition which its redrive topic does not have, before anything is done.
func (e *explorer) lacks(l *Letter) error {
	if !e.order.releases(l) && (e.order.Verb != Redrive || e.order.To != "") {
		return nil
	}
	topic, _ := redriveTopic(e.tool.Names, l)
	if s, ok := e.short[topic]; ok && l.Position.Partition >= s.Has && l.Position.Partition < s.Wants {
		s.Partition = l.Position.Partition
		return &s
	}
	return nil
}

// ShortError says that a redrive topic has fewer partitions than its input, of which letters are.
type ShortError struct {
	Topic, Input          string
	Has, Wants, Partition int32
	tool                  string // Kafka's for topics
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("topic %s has %d partitions, its input %s has %d, and a letter's record stood in partition %d: give it as many first, with %s --alter --topic %s --partitions %d "+
		"(nothing was done; --partition chooses letters, by the partition of their own topic)", e.Topic, e.Has, e.Input, e.Wants, e.Partition, e.tool, e.Topic, e.Wants)
}

// leadsNowhere notes a way for the order.
func (e *explorer) leadsNowhere(w Way) error {
	if len(e.order.Absent) == maxAbsent {
		return fmt.Errorf("more than %d topics that letters name do not exist, or are none to write to, such as %s: choose fewer letters, or give --to TOPIC", maxAbsent, w.Topic)
	}
	e.order.Absent = append(e.order.Absent, Way{strings.Clone(w.Topology), strings.Clone(w.Topic), w.Elsewhere, w.Unread})
	return nil
}

// elsewhere says that a way into a topology leads into another one or another environment of the cluster. Two lies would do that: a position in a redrive
// topic that is not the topology's, and a name of a topology that begins with the prefix of an environment.
func (e *explorer) elsewhere(ctx context.Context, w Way) (bool, error) {
	if w.Topology == "" {
		return false, nil
	}
	n := e.tool.Names
	if plan.IsRedrive(w.Topic) && !n.IsRedriveOf(w.Topology, w.Topic) || !plan.IsTopicName(n.Prefix+w.Topology) {
		return true, nil
	}
	var signs []string // topics by which an environment is known
	for i := range w.Topology {
		for _, topic := range []system.Topic{system.Jobs, system.Audit, system.Status, system.Desired} {
			signs = append(signs, n.Prefix+w.Topology[:i+1]+topic.Name)
		}
	}
	infos, err := e.tool.Client.Topics(ctx, signs)
	if _, denied := errors.AsType[*kafka.BlockedError](err); denied {
		return false, nil // whoever may not see another environment may not write there either
	}
	return len(infos) > 0, err
}

// redriveTopic is the topic through which a letter comes back, and the input whose records it holds; "" for one that exists, since
// the letter was redriven before.
func redriveTopic(n plan.Names, l *Letter) (topic, input string) {
	failed := l.Position.Topic
	name := strings.TrimPrefix(failed, n.Prefix)
	if n.IsRedriveOf(l.Topology, failed) {
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

// releases says whether the topology is to be told that nothing needs to wait for the letter any more.
func (o *Order) releases(l *Letter) bool { return o.frees(l) && !o.elsewhere(o.ways(l)) }

// elsewhere says that one of ways leads to another topology or environment.
func (o *Order) elsewhere(ways []Way) bool {
	return slices.ContainsFunc(o.Absent, func(w Way) bool {
		return w.Elsewhere && slices.Contains(ways, Way{Topology: w.Topology, Topic: w.Topic})
	})
}

// frees says whether records of the letter's key need not wait any more: it does not come back there.
func (o *Order) frees(l *Letter) bool {
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
// must exist. It returns how many partitions each of them has, and each input.
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
	counts := map[string]int32{} // of the inputs too
	for name, info := range infos {
		counts[name] = info.Partitions
	}
	var specs []kafka.TopicSpec
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		if _, ok := infos[name]; ok {
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
