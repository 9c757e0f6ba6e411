package plan

import (
	"slices"
	"time"
)

// DeadLetterRetention is how long dead letters are kept: long enough that somebody comes back from a holiday.
const DeadLetterRetention = 30 * 24 * time.Hour

// RetryRetention is how long a retry topic of a delay keeps its records: as long as dead letters, and long enough for any delay.
func RetryRetention(delay time.Duration) time.Duration {
	return max(DeadLetterRetention, 4*delay)
}

// DeadLetterSize is the largest record batch of a dead-letter topic: a record that its input topic just took, perhaps
// compressed, must fit with the reason for its failure. Clusters for hire refuse to make topics of more than 8 MiB.
const DeadLetterSize = 8 << 20

func (r Role) String() string {
	switch r {
	case InputTopic:
		return "input"
	case OutputTopic:
		return "output"
	case DeadLetterTopic:
		return "dead letter"
	case ChangelogTopic:
		return "changelog"
	case GlobalTopic:
		return "global"
	case RedriveTopic:
		return "redrive"
	case RetryTopic:
		return "retry"
	}
	return "unknown"
}

// Aside says whether records of an input wait in such a topic, beside the input, and are read as the input is.
func (r Role) Aside() bool { return r == RedriveTopic || r == RetryTopic }

// topics lists every topic of the plan once: inputs, globals, outputs, dead letters, redrives, retries, changelogs, each in the order of declaration.
func (p *Plan) topics() []Topic {
	var topics []Topic
	at := map[string]int{}
	add := func(t Topic) {
		if i, ok := at[t.Name]; ok {
			topics[i].Written = topics[i].Written || t.Role == OutputTopic
			topics[i].Global = topics[i].Global || t.Role == GlobalTopic
			if t.Role == GlobalTopic { // what it keeps is what look-ups need
				topics[i].Cleanup, topics[i].Retention, topics[i].Stream = t.Cleanup, t.Retention, t.Stream
			}
			return
		}
		at[t.Name] = len(topics)
		topics = append(topics, t)
	}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			t := p.streamTopic(in, InputTopic)
			if counted := g.Counted(); in != counted {
				t.PartitionsOf, t.Partitions = p.Topic(counted), counted.Partitions
			}
			add(t)
		}
	}
	for _, global := range p.Globals {
		add(p.streamTopic(&global.Stream, GlobalTopic))
	}
	for _, g := range p.Subgraphs {
		for _, n := range g.Nodes {
			for _, o := range n.Outputs {
				if s, ok := o.(*Stream); ok {
					add(p.streamTopic(s, OutputTopic))
				}
			}
		}
	}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			for _, n := range g.Reached(in) {
				add(Topic{Name: p.DeadLetter(n, in), Role: DeadLetterTopic, Written: true,
					Cleanup: "delete", Retention: DeadLetterRetention, MaxMessage: DeadLetterSize})
			}
		}
	}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			add(Topic{Name: p.Redrive(in), Role: RedriveTopic, PartitionsOf: p.Topic(in), Partitions: in.Partitions,
				Cleanup: "delete", Retention: DeadLetterRetention, MaxMessage: DeadLetterSize})
		}
	}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			for _, delay := range g.Delays(in) {
				add(Topic{Name: p.Retry(in, delay), Role: RetryTopic, PartitionsOf: p.Topic(in), Partitions: in.Partitions, Written: true,
					Cleanup: "delete", Retention: RetryRetention(delay), MaxMessage: DeadLetterSize})
			}
		}
	}
	for _, g := range p.Subgraphs {
		for _, s := range g.Stores {
			t := Topic{Name: p.Changelog(s), Role: ChangelogTopic, Store: s.Name, Written: true,
				Cleanup: "compact", Retention: Forever}
			if counted := g.Counted(); counted != nil {
				t.PartitionsOf, t.Partitions = p.Topic(counted), counted.Partitions
			}
			if s == g.Parked {
				t.MaxMessage = DeadLetterSize
			}
			add(t)
		}
	}
	return topics
}

// Former is a retry topic of a delay that the topology no longer has. Records may wait there.
type Former struct {
	Topic
	Input *Stream
	Delay time.Duration
}

// FormerRetries are those among topics, by their names.
func (p *Plan) FormerRetries(topics []string) (former []Former) {
	known := map[string]bool{}
	for _, t := range p.Topics {
		known[t.Name] = true
	}
	for _, name := range topics {
		for _, g := range p.Subgraphs {
			for _, in := range g.Inputs {
				if delay, ok := p.Names.RetryOf(p.Topology, in, name); ok && !known[name] {
					former = append(former, Former{Topic{Name: name, Role: RetryTopic, PartitionsOf: p.Topic(in), Partitions: in.Partitions}, in, delay})
				}
			}
		}
	}
	return former
}

// WithFormer are the topics of the plan, and those among topics that are retry topics of delays that the topology no longer has.
func (p *Plan) WithFormer(topics []string) []Topic {
	all := slices.Clone(p.Topics)
	for _, f := range p.FormerRetries(topics) {
		all = append(all, f.Topic)
	}
	return all
}

// Asides are the topics in which records wait beside the inputs, those of delays that the topology no longer has as far as they are among topics.
func (p *Plan) Asides(topics []string) []Topic {
	return slices.DeleteFunc(p.WithFormer(topics), func(t Topic) bool { return !t.Role.Aside() })
}

// FormerlyParked are those among topics that are changelogs of parked records, by their names, though the topology parks none there.
func (p *Plan) FormerlyParked(topics []string) (former []string) {
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			name := p.Names.Changelog(p.Topology, in.Name+ParkedEnd)
			if slices.Contains(topics, name) && !slices.ContainsFunc(p.Topics, func(t Topic) bool { return t.Name == name }) {
				former = append(former, name)
			}
		}
	}
	return former
}

// streamTopic is the topic of a stream as the stream wants it.
func (p *Plan) streamTopic(s *Stream, role Role) Topic {
	t := Topic{
		Name: p.Topic(s), Role: role, Stream: s, Partitions: s.Partitions, Written: role == OutputTopic,
		Cleanup: s.Cleanup(), Retention: s.Retention, Tiered: s.Tiered, LocalRetention: s.LocalRetention,
	}
	if s.Compacted && s.Retention == 0 {
		t.Retention = Forever
	}
	return t
}

// Counted is the input whose partition count holds for the whole sub-graph: the first that states one, else the first; nil when there
// is no input.
func (g *Subgraph) Counted() *Stream {
	for _, in := range g.Inputs {
		if in.Partitions > 0 {
			return in
		}
	}
	if len(g.Inputs) > 0 {
		return g.Inputs[0]
	}
	return nil
}

// Reached lists the nodes in which a record of the input may fail: those that read it, and those at the other ends of their edges.
func (g *Subgraph) Reached(in *Stream) []*Node {
	reached := map[Output]bool{in: true}
	var nodes []*Node
	for grown := true; grown; {
		grown = false
		for _, n := range g.Nodes {
			if slices.Contains(nodes, n) || !slices.ContainsFunc(n.Reads, func(h Handler) bool { return reached[h.Input()] }) {
				continue
			}
			grown = true
			nodes = append(nodes, n)
			for _, o := range n.Outputs {
				if _, ok := o.(*Edge); ok {
					reached[o] = true
				}
			}
		}
	}
	return nodes
}

// Delays are those after which a record of the input may be tried again, by some node that it reaches, in order.
func (g *Subgraph) Delays(in *Stream) (delays []time.Duration) {
	for _, n := range g.Reached(in) {
		delays = append(delays, n.Later...)
	}
	slices.Sort(delays)
	return slices.Compact(delays)
}

// Parks says whether a record of the input that fails parks its key: where a node that it reaches says so, or has stores and a delay would
// change the order and nothing is said.
func (g *Subgraph) Parks(in *Stream) bool {
	delays := len(g.Delays(in)) > 0
	return slices.ContainsFunc(g.Reached(in), func(n *Node) bool {
		if n.Parking != nil {
			return *n.Parking
		}
		return delays && len(n.Stores) > 0
	})
}

// DeadLetters lists the topics to which records go that fail in a node of the sub-graph: one, unless the node takes the
// default and records of several inputs reach it.
func (p *Plan) DeadLetters(g *Subgraph, n *Node) []string {
	var topics []string
	for _, in := range g.Inputs {
		if topic := p.DeadLetter(n, in); slices.Contains(g.Reached(in), n) && !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// Forever is the retention of records that are never deleted for their age.
const Forever time.Duration = -1

// Cleanup is the cleanup.policy of the stream's topic.
func (s *Stream) Cleanup() string {
	switch {
	case !s.Compacted:
		return "delete"
	case s.Retention > 0:
		return "compact,delete"
	}
	return "compact"
}
