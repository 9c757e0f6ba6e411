package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// CheckError lists every mistake of a topology.
type CheckError struct {
	Topology string
	Mistakes []Mistake
}

func (e *CheckError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "topology %q cannot run:", e.Topology)
	for _, m := range e.Mistakes {
		b.WriteString("\n  - ")
		b.WriteString(m.String())
	}
	return b.String()
}

// Mistake is one thing that is wrong with a topology.
type Mistake struct {
	Node string // the node, or several, comma-separated; empty when it is the topology itself
	What string // what is wrong, as it goes on after the name
	Do   string // the way out
}

func (m Mistake) String() string {
	subject := "the topology"
	switch {
	case strings.Contains(m.Node, ", "):
		subject = "nodes " + m.Node
	case m.Node != "":
		subject = "node " + m.Node
	}
	return fmt.Sprintf("%s: %s; %s", subject, m.What, m.Do)
}

// Check returns nil, or a *CheckError with every mistake of the topology.
func (t *Topology) Check() error { return t.check(plan.Names{}) }

// check is Check where things have these names in the cluster.
func (t *Topology) check(names plan.Names) error {
	if t == nil {
		return &CheckError{Mistakes: []Mistake{{What: "is nil", Do: "make it with Define"}}}
	}
	c := &checker{Topology: t, names: names, mistakes: slices.Clone(t.mistakes)}
	c.name()
	c.nodes()
	c.handles()
	c.edges()
	c.stores()
	c.loops()
	c.topics()
	if len(c.mistakes) == 0 {
		return nil
	}
	return &CheckError{Topology: t.name, Mistakes: c.mistakes}
}

// checker collects the mistakes of a topology.
type checker struct {
	*Topology
	names    plan.Names
	mistakes []Mistake
}

func (c *checker) mistake(nodes []string, do, what string, args ...any) {
	var names []string
	for _, n := range nodes {
		names = append(names, shown(n))
	}
	c.add(Mistake{Node: strings.Join(names, ", "), What: fmt.Sprintf(what, args...), Do: do})
}

// shown is a node's name in a mistake. One that is empty is a mistake of its own, and still has to be told from none.
func shown(node string) string {
	if node == "" {
		return `""`
	}
	return node
}

// add adds a mistake that is not there yet: some are found once for each thing that leads to them.
func (c *checker) add(m Mistake) {
	if !slices.Contains(c.mistakes, m) {
		c.mistakes = append(c.mistakes, m)
	}
}

const (
	doName = "use up to 249 letters, digits, '.', '_' and '-'"
	doOnce = "declare it once and share the handle, or give one another name"
)

func (c *checker) name() {
	if problem := illegal(c.Topology.name); problem != "" {
		c.mistake(nil, doName, "its name %s", problem)
	}
	if len(c.Topology.nodes) == 0 {
		c.mistake(nil, "give Define at least one Node", "has no nodes")
	}
}

// nodes checks each node by itself.
func (c *checker) nodes() {
	c.policy(nil, &c.Topology.defaults)
	count := map[string]int{}
	for _, n := range c.Topology.nodes {
		count[n.name]++
		if problem := illegal(n.name); problem != "" {
			c.mistake([]string{fmt.Sprintf("%q", n.name)}, doName, "its name %s", problem)
		}
		if count[n.name] == 2 {
			c.mistake([]string{n.name}, "give each node its own name", "another node has the same name")
		}
		for _, m := range n.mistakes {
			c.add(m)
		}
		c.parts(n)
	}
}

func (c *checker) parts(n *node) {
	at := []string{n.name}
	if len(n.reads) == 0 && !slices.ContainsFunc(n.mistakes, func(m Mistake) bool { return m.What == readsNil }) {
		c.mistake(at, "give it an On", "reads nothing")
	}
	for _, o := range repeated(inputs(n)) {
		c.mistake(at, "merge the two functions, or make two nodes", "has two Ons for %s", plan.NameOf(o))
	}
	for _, s := range repeated(n.stores) {
		c.mistake(at, "list it once", "lists store %s twice", s.Name)
	}
	for _, g := range repeated(n.globals) {
		c.mistake(at, "list it once", "lists global %s twice", g.Name)
	}
	for _, s := range repeated(n.services) {
		c.mistake(at, "list it once", "lists service %s twice", s.Name)
	}
	for _, o := range repeated(n.outsides) {
		c.mistake(at, "list it once", "lists sink %s twice", o.Name)
	}
	for _, o := range repeated(n.outputs) {
		c.mistake(at, "list it once", "lists %s twice in Emits", plan.NameOf(o))
	}
	c.dedup(at, n)
	c.policy(at, n)
}

// dedup checks that a node's ids are those of all that it reads.
func (c *checker) dedup(at []string, n *node) {
	if len(n.dedups) > 1 {
		c.mistake(at, "keep one", "has %d Dedup and DedupSequence parts", len(n.dedups))
		return
	}
	for _, d := range n.dedups {
		decl := d.decl()
		for _, m := range d.check(n) {
			c.mistake(at, m.Do, "%s", m.What)
		}
		for _, h := range n.reads {
			typ := ""
			if h.Edge != nil {
				typ = h.Edge.Type
			} else {
				typ = h.Stream.Type
			}
			if typ != decl.Type {
				c.mistake(at, "read values of one type, or make a node for each type", "has a Dedup for values of type %s, and reads %s with values of type %s",
					decl.Type, plan.NameOf(h.Input()), typ)
			}
		}
	}
}

// policy checks what a node may say for itself, or the topology for all.
func (c *checker) policy(at []string, n *node) {
	if len(n.retries) > 1 {
		c.mistake(at, "keep one", "has %d Retry parts", len(n.retries))
	}
	for _, b := range n.retries {
		c.backoff(at, b)
	}
	c.later(at, n)
	if len(n.classify) > 1 {
		c.mistake(at, "keep one", "has %d Classify parts", len(n.classify))
	}
	for _, f := range n.classify {
		if f == nil {
			c.mistake(at, "give it a function, or leave it out", "has a Classify without a function")
		}
	}
	if len(n.timeouts) > 1 {
		c.mistake(at, "keep one", "has %d Timeout parts", len(n.timeouts))
	}
	for _, d := range n.timeouts {
		if d < time.Millisecond {
			c.mistake(at, "use a millisecond or more, or leave Timeout out for any time", "has a Timeout of %v", d)
		}
	}
	if len(n.dead) > 1 {
		c.mistake(at, "keep one", "has %d DeadLetter parts", len(n.dead))
	}
	for _, topic := range n.dead {
		if problem := illegal(topic); problem != "" {
			c.mistake(at, doName+", or leave DeadLetter out for <input>.dlq", "its dead letter topic %q %s", topic, problem)
		}
	}
}

func (c *checker) backoff(at []string, b Backoff) {
	const longest = 24 * time.Hour
	switch {
	case b.Attempts < 0:
		c.mistake(at, "use 1 for a single try, 0 for the default", "its Backoff has %d Attempts", b.Attempts)
	case b.First < 0 || b.Max < 0 || b.Within < 0:
		c.mistake(at, "use 0 for the default", "its Backoff has a time below 0")
	case b.Max > 0 && b.First > b.Max:
		c.mistake(at, "make Max the longer one", "its Backoff begins with %v, above its Max of %v", b.First, b.Max)
	case b.First > longest || b.Max > longest:
		c.mistake(at, "stay below "+longest.String()+": the partition waits meanwhile",
			"its Backoff waits for %v", max(b.First, b.Max))
	case b.Jitter > 1 || b.Jitter != b.Jitter:
		c.mistake(at, "use a share of up to 1, 0 for the default", "its Backoff has a Jitter of %v", b.Jitter)
	case b.Within > longest:
		c.mistake(at, "stay below "+longest.String()+": the partition waits meanwhile", "its Backoff tries Within %v", b.Within)
	case b.Attempts > mostAttempts:
		c.mistake(at, fmt.Sprintf("stay at %d or below: the partition waits meanwhile; a record that needs more needs a person", mostAttempts),
			"its Backoff has %d Attempts", b.Attempts)
	case b.Within == 0 && b.total() > longest:
		c.mistake(at, "use fewer Attempts, shorter times or Within, "+longest.String()+" in all at most: the partition waits meanwhile",
			"its Backoff waits for %v in all", b.total())
	}
}

const mostAttempts = 10_000

// total is how long a record waits in all before its last try.
func (b Backoff) total() time.Duration {
	b = b.withDefaults()
	var sum time.Duration
	wait := b.First
	for n := b.Attempts - 1; n > 0; n-- {
		if wait >= b.Max {
			return sum + time.Duration(n)*b.Max // n is below mostAttempts, and Max a day at most
		}
		sum += wait
		wait *= 2
	}
	return sum
}

// inputs lists what a node reads.
func inputs(n *node) []plan.Output {
	var in []plan.Output
	for _, h := range n.reads {
		in = append(in, h.Input())
	}
	return in
}

// repeated lists what is more than once in list, once each.
func repeated[E comparable](list []E) []E {
	count := map[E]int{}
	var twice []E
	for _, e := range list {
		if count[e]++; count[e] == 2 {
			twice = append(twice, e)
		}
	}
	return twice
}
