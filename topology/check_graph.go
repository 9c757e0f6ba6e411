package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// handle is a declared stream, edge, store or global with the nodes that know it.
type handle struct {
	kind, name, typ string
	decl            any // *plan.Stream, *plan.Edge, *plan.Store or *plan.Global
	readers         []string
	writers         []string
}

// users are the nodes that know the handle, in the order of declaration.
func (h *handle) users(order []*node) []string {
	var users []string
	for _, n := range order {
		if (slices.Contains(h.readers, n.name) || slices.Contains(h.writers, n.name)) && !slices.Contains(users, n.name) {
			users = append(users, n.name)
		}
	}
	return users
}

// collect lists the handles of the topology in the order in which nodes mention them.
func (c *checker) collect() []*handle {
	var all []*handle
	at := map[any]*handle{}
	get := func(decl any) *handle {
		if h := at[decl]; h != nil {
			return h
		}
		h := &handle{decl: decl}
		switch d := decl.(type) {
		case *plan.Stream:
			h.kind, h.name, h.typ = "stream", d.Name, d.Type
		case *plan.Edge:
			h.kind, h.name, h.typ = "edge", d.Name, d.Type
		case *plan.Store:
			h.kind, h.name, h.typ = "store", d.Name, d.Type
		case *plan.Global:
			h.kind, h.name, h.typ = "global", d.Name, d.Type
		}
		at[decl] = h
		all = append(all, h)
		return h
	}
	for _, n := range c.Topology.nodes {
		for _, r := range n.reads {
			h := get(r.Input())
			h.readers = append(h.readers, n.name)
		}
		for _, s := range n.stores {
			h := get(s)
			h.readers = append(h.readers, n.name)
		}
		for _, g := range n.globals {
			h := get(g)
			h.readers = append(h.readers, n.name)
		}
		for _, o := range n.outputs {
			h := get(o)
			h.writers = append(h.writers, n.name)
		}
	}
	return all
}

// handles checks streams, edges and stores by themselves, and their names against each other.
func (c *checker) handles() {
	seen := map[string]*handle{}
	for _, h := range c.collect() {
		users := h.users(c.Topology.nodes)
		if problem := illegal(h.name); problem != "" {
			c.mistake(users, doName, "the name of %s %q %s", h.kind, h.name, problem)
			continue
		}
		switch d := h.decl.(type) {
		case *plan.Stream:
			c.stream(users, "stream", d)
		case *plan.Global:
			c.stream(users, "global", &d.Stream)
		case *plan.Store:
			if d.NoCodec {
				c.mistake(users, "give Store a codec", "store %s has no codec", h.name)
			}
		}
		// Streams and edges stand in the same places, so they share one space of names.
		space := h.kind + " " + h.name
		if h.kind == "edge" {
			space = "stream " + h.name
		}
		other := seen[space]
		switch {
		case other == nil:
			seen[space] = h
			c.oneTopic(h, seen)
			continue
		case other.kind != h.kind:
			c.mistake(union(c.Topology.nodes, other, h), "give the edge another name",
				"%s is the name of a stream and of an edge", h.name)
		case other.typ != h.typ:
			c.mistake(union(c.Topology.nodes, other, h), doOnce,
				"%s %s is declared twice, with values of type %s and %s", h.kind, h.name, other.typ, h.typ)
		default:
			differ := ""
			if a, b := streamOf(other), streamOf(h); a != nil && options(a) != options(b) {
				differ = fmt.Sprintf(", with %s and with %s", options(a), options(b))
			}
			c.mistake(union(c.Topology.nodes, other, h), doOnce, "%s %s is declared twice%s", h.kind, h.name, differ)
		}
	}
}

// oneTopic checks that a stream and a global of one topic have the same values.
func (c *checker) oneTopic(h *handle, seen map[string]*handle) {
	stream, global := seen["stream "+h.name], seen["global "+h.name]
	if stream == nil || global == nil || stream.kind == "edge" {
		return
	}
	s, g := streamOf(stream), streamOf(global)
	if s.Type != g.Type || s.Codec != g.Codec {
		c.mistake(union(c.Topology.nodes, stream, global), "declare both with one codec",
			"%s is a stream of %s (%s) and a global of %s (%s)", h.name, s.Type, s.Codec, g.Type, g.Codec)
	}
	compacted := *s // as the topic of a global is
	compacted.Compacted = true
	if options(&compacted) != options(g) {
		c.mistake(union(c.Topology.nodes, stream, global), "declare both with the same options",
			"%s is a stream with %s and a global with %s", h.name, options(s), options(g))
	}
}

// streamOf is what a stream or a global says of its topic, nil of other handles.
func streamOf(h *handle) *plan.Stream {
	switch d := h.decl.(type) {
	case *plan.Stream:
		return d
	case *plan.Global:
		return &d.Stream
	}
	return nil
}

func (c *checker) stream(users []string, kind string, d *plan.Stream) {
	if !d.Foreign && !plan.IsEventName(d.Name) {
		c.mistake(users, fmt.Sprintf("rename it, or declare the %s with Foreign() when others named the topic", kind),
			"%s %s is not named entity.event_type.vN", kind, d.Name)
	}
	if d.NoCodec {
		c.mistake(users, fmt.Sprintf("give %s a codec", strings.ToUpper(kind[:1])+kind[1:]), "%s %s has no codec", kind, d.Name)
	}
	for _, m := range d.Mistakes {
		c.mistake(users, m.Do, "%s", m.What)
	}
	switch {
	case d.Tiered && kind == "global":
		c.mistake(users, "leave Tiered out: a global is compacted, and Kafka has no remote storage for compacted topics", "global %s is Tiered", d.Name)
	case d.Tiered && d.Compacted:
		c.mistake(users, "leave one of them out: Kafka has no remote storage for compacted topics", "%s %s is Tiered and Compacted", kind, d.Name)
	case d.LocalRetention != 0 && !d.Tiered:
		c.mistake(users, "add Tiered, or leave LocalRetention out", "%s %s has a LocalRetention and is not Tiered", kind, d.Name)
	case d.LocalRetention > d.Retention && d.Retention >= time.Millisecond:
		c.mistake(users, "make the Retention the longer one, which counts for local and remote records alike",
			"%s %s has a LocalRetention of %v, above its Retention of %v", kind, d.Name, d.LocalRetention, d.Retention)
	}
}

// counts checks that inputs of one sub-graph, of which partition p is one task, state no different counts.
func (c *checker) counts(p *plan.Plan) {
	for _, g := range p.Subgraphs {
		counted := g.Counted()
		for _, in := range g.Inputs {
			if in.Partitions > 0 && in.Partitions != counted.Partitions {
				c.mistake(touching(p, p.Topic(counted), p.Topic(in)), "state the same number, or leave Partitions out of one",
					"streams %s and %s are processed together, and state %d and %d Partitions", counted.Name, in.Name, counted.Partitions, in.Partitions)
			}
		}
	}
}

func union(order []*node, a, b *handle) []string {
	return (&handle{readers: append(slices.Clone(a.readers), b.readers...),
		writers: append(slices.Clone(a.writers), b.writers...)}).users(order)
}

// edges checks that every edge has two ends.
func (c *checker) edges() {
	for _, h := range c.collect() {
		if h.kind != "edge" {
			continue
		}
		if len(h.readers) == 0 {
			c.mistake(h.writers, "read it with On, or take it out of Emits", "nobody reads edge %s", h.name)
		}
		if len(h.writers) == 0 {
			c.mistake(h.readers, "add it to the Emits of the node that feeds it", "nobody writes edge %s", h.name)
		}
	}
}

// stores checks that no store is in two sub-graphs: they are different tasks, on different goroutines or machines.
func (c *checker) stores() {
	in := map[*plan.Store]int{}
	users := map[*plan.Store][]string{}
	var shared []*plan.Store
	for i, nodes := range c.components() {
		for _, n := range nodes {
			for _, s := range n.stores {
				if first, ok := in[s]; ok && first != i && !slices.Contains(shared, s) {
					shared = append(shared, s)
				}
				in[s] = i
				if !slices.Contains(users[s], n.name) {
					users[s] = append(users[s], n.name)
				}
			}
		}
	}
	for _, s := range shared {
		c.mistake(users[s], "give each sub-graph its own store, or connect the nodes with an Edge",
			"store %s is used by nodes that neither read the same stream nor are connected by an edge", s.Name)
	}
}

func (c *checker) loops() {
	for _, cycle := range c.cycles() {
		var names []string
		var path strings.Builder
		for _, s := range cycle {
			name := c.Topology.nodes[s.node].name
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			fmt.Fprintf(&path, "%s -(%s)-> ", shown(name), plan.NameOf(s.via))
		}
		path.WriteString(shown(c.Topology.nodes[cycle[0].node].name))
		c.mistake(names, "break it: a record must not come back to a node that it has passed", "a cycle, %s", path.String())
	}
}

// topics checks the topics that result: dead letters and changelogs have names that nobody has written down.
func (c *checker) topics() {
	p := c.plan(c.names)
	c.counts(p)
	c.oneNameEach(p)
	role := map[string]plan.Role{}
	looks := map[string]string{}
	for _, t := range p.Topics {
		role[t.Name] = t.Role
		if problem := illegal(t.Name); problem != "" {
			if c.names.Prefix != "" && illegal(strings.TrimPrefix(t.Name, c.names.Prefix)) == "" {
				c.mistake(touching(p, t.Name), "use a shorter prefix", "the topic %s %s", t.Name, problem)
			} else if t.Role.Aside() && illegal(c.Topology.name) == "" && illegal(t.PartitionsOf) == "" {
				c.mistake(touching(p, t.PartitionsOf), "shorten the name of the topology or of the stream", "the %v topic %s of input %s %s", t.Role, t.Name, t.PartitionsOf, problem)
			}
			continue
		}
		if other, ok := looks[metricName(t.Name)]; ok {
			c.mistake(touching(p, other, t.Name), "rename one",
				"topics %s and %s differ only in '.' and '_', which Kafka refuses", other, t.Name)
		}
		looks[metricName(t.Name)] = t.Name
	}
	for _, g := range p.Subgraphs {
		for _, n := range g.Nodes {
			for _, dlq := range p.DeadLetters(g, n) {
				c.deadLetter(n, dlq, role[dlq])
			}
		}
		for _, s := range g.Stores {
			c.changelog(p, g, s, role[p.Changelog(s)])
		}
	}
}

// oneNameEach checks that no two streams come to one topic, which a prefix can do, and that none comes to one of Weir's own.
func (c *checker) oneNameEach(p *plan.Plan) {
	named := map[string]*handle{}
	for _, h := range c.collect() {
		s := streamOf(h)
		if s == nil {
			continue
		}
		topic := p.Topic(s)
		if strings.HasPrefix(topic, p.Names.System("_weir.")) {
			c.mistake(h.users(c.Topology.nodes), "take another name", "topic %s is Weir's own", topic)
		} else if kind := plan.Owned(s.Name); len(h.writers) > 0 && kind != "" && kind != plan.OwnedLetters {
			c.mistake(h.users(c.Topology.nodes), "write to another topic", "topic %s is written to, and is a topic of Kafka's or of Weir's own (%s)", topic, kind)
		}
		if other := named[topic]; other == nil {
			named[topic] = h
		} else if other.name != h.name {
			c.mistake(union(c.Topology.nodes, other, h), "rename one, or use another prefix", "streams %s and %s are both the topic %s", other.name, h.name, topic)
		}
	}
}

func (c *checker) deadLetter(n *plan.Node, topic string, role plan.Role) {
	at := []string{n.Name}
	if role != plan.DeadLetterTopic {
		c.mistake(at, "name another topic with DeadLetter", "its dead letter topic %s is also in use as %v", topic, role)
		return
	}
	if kind := plan.Owned(n.DeadLetter); kind != "" && kind != plan.OwnedLetters {
		c.mistake(at, "name another topic with DeadLetter", "its dead letter topic %s is a topic of Kafka's or of Weir's own (%s)", topic, kind)
	}
	// Topics given with DeadLetter have been checked with their node; here it is the input's name and ".dlq".
	if problem := illegal(topic); n.DeadLetter == "" && problem != "" && illegal(strings.TrimSuffix(topic, ".dlq")) == "" {
		c.mistake(at, "name a shorter topic with DeadLetter", "its dead letter topic %s %s", topic, problem)
	}
}

func (c *checker) changelog(p *plan.Plan, g *plan.Subgraph, s *plan.Store, role plan.Role) {
	name := p.Changelog(s)
	var users []string
	for _, n := range g.Users(s) {
		users = append(users, n.Name)
	}
	if role != plan.ChangelogTopic {
		c.mistake(users, "give the store another name", "the changelog %s of store %s is also in use as %v", name, s.Name, role)
		return
	}
	if problem := illegal(name); problem != "" && illegal(s.Name) == "" && illegal(c.Topology.name) == "" {
		c.mistake(users, "shorten the name of the store or of the topology",
			"the changelog %s of store %s %s", name, s.Name, problem)
	}
}

// touching lists the nodes that read one of the topics or write to it.
func touching(p *plan.Plan, topics ...string) []string {
	var nodes []string
	for _, g := range p.Subgraphs {
		for _, n := range g.Nodes {
			if slices.ContainsFunc(topicsOf(p, g, n), func(topic string) bool { return slices.Contains(topics, topic) }) {
				nodes = append(nodes, n.Name)
			}
		}
	}
	return nodes
}

// topicsOf lists the topics that a node reads or writes to.
func topicsOf(p *plan.Plan, g *plan.Subgraph, n *plan.Node) []string {
	topics := p.DeadLetters(g, n)
	for _, h := range n.Reads {
		if h.Stream != nil {
			topics = append(topics, p.Topic(h.Stream))
		}
	}
	for _, o := range n.Outputs {
		if s, ok := o.(*plan.Stream); ok {
			topics = append(topics, p.Topic(s))
		}
	}
	for _, s := range n.Stores {
		topics = append(topics, p.Changelog(s))
	}
	for _, global := range n.Globals {
		topics = append(topics, p.Topic(&global.Stream))
	}
	return topics
}
