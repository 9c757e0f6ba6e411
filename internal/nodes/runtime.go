package nodes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/record"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/topology"
)

// Record implements plan.Runtime.
func (c *Call) Record() *plan.Record { return &c.record.Record }

// Key implements plan.Runtime.
func (c *Call) Key() string { return c.at }

// Now implements plan.Runtime.
func (c *Call) Now() time.Time { return c.env.Now() }

// Log implements plan.Runtime.
func (c *Call) Log() *zap.Logger {
	r := &c.record
	return c.env.Log.With(zap.String("node", c.node.Decl.Name), zap.String("input", fmt.Sprintf("%s/%d", r.Topic, r.Partition)), zap.Int64("offset", r.Offset))
}

// IdempotencyKey implements plan.Runtime.
func (c *Call) IdempotencyKey() string {
	r := c.first()
	h := sha256.New()
	for _, s := range [...]string{c.env.Cluster, c.env.Group, c.node.Decl.Name, r.Topic, r.TopicID} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	fmt.Fprintf(h, "%d:%d", r.Partition, r.Offset)
	if n := c.times[c.node.id]; n > 1 { // an edge brings several values of one record
		fmt.Fprintf(h, ":%d", n)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// first is where the record was read first.
func (c *Call) first() First {
	if c.record.First != nil {
		return *c.record.First
	}
	return First{Topic: c.record.Topic, TopicID: c.record.TopicID, Partition: c.record.Partition, Offset: c.record.Offset}
}

// Duplicate implements plan.Runtime.
func (c *Call) Duplicate(topic string, offset int64) {
	if c.env.Log.Core().Enabled(zap.DebugLevel) {
		c.Log().Debug("duplicate", zap.String("first_topic", topic), zap.Int64("first_offset", offset))
	}
}

// Store implements plan.Runtime. A handle that is not declared is a mistake of the program: every record would fail of
// it, and drain into the dead letters.
func (c *Call) Store(store *plan.Store) (keyed.Any, error) {
	for i, s := range c.node.Decl.Stores {
		if s == store {
			return c.state.Store(c.node.stores[i]), nil
		}
	}
	for _, s := range c.node.Decl.Stores {
		if s.Name == store.Name {
			return nil, c.twice("store", s.Name, "Uses")
		}
	}
	return nil, topology.Fatal(fmt.Errorf("node %s uses store %s, which is not in its Uses: add it there", c.node.Decl.Name, store.Name))
}

// Global implements plan.Runtime.
func (c *Call) Global(global *plan.Global) (plan.View, error) {
	for _, g := range c.node.Decl.Globals {
		if g == global {
			return c.env.Global(g), nil
		}
	}
	for _, g := range c.node.Decl.Globals {
		if g.Name == global.Name {
			return nil, c.twice("global", g.Name, "Uses")
		}
	}
	return nil, topology.Fatal(fmt.Errorf("node %s uses global %s, which is not in its Uses: add it there", c.node.Decl.Name, global.Name))
}

// Service implements plan.Runtime.
func (c *Call) Service(service *plan.Service) error {
	for _, s := range c.node.Decl.Services {
		if s == service && c.env.Unserved {
			return &UnservedError{Service: s.Name}
		}
		if s == service {
			return nil
		}
	}
	return topology.Fatal(fmt.Errorf("node %s calls service %s, which is not in its Uses: add it there", c.node.Decl.Name, service.Name))
}

// Outside implements plan.Runtime.
func (c *Call) Outside(ctx context.Context, outside *plan.Outside, work any) error {
	if !slices.Contains(c.node.Decl.Outsides, outside) {
		for _, o := range c.node.Decl.Outsides {
			if o.Name == outside.Name {
				return c.twice("sink", o.Name, "Uses")
			}
		}
		return topology.Fatal(fmt.Errorf("node %s writes to sink %s, which is not in its Uses: add it there", c.node.Decl.Name, outside.Name))
	}
	if c.env.Outside != nil {
		if err := c.env.Outside(ctx, outside, c.first()); err != nil {
			return topology.World(fmt.Errorf("sink %s: %w", outside.Name, err))
		}
	}
	c.outward = append(c.outward, Outward{c.node, outside, work})
	return nil
}

// Output implements plan.Runtime.
func (c *Call) Output(decl plan.Output) error {
	for _, o := range c.node.Decl.Outputs {
		if o == decl {
			return nil
		}
	}
	name := plan.NameOf(decl)
	for _, o := range c.node.Decl.Outputs {
		if plan.NameOf(o) == name {
			return c.twice("stream or edge", name, "Emits")
		}
	}
	return topology.Fatal(fmt.Errorf("node %s emits to %s, which is not in its Emits: add it there", c.node.Decl.Name, name))
}

// twice is the error for a handle that has the name of one that the node declares.
func (c *Call) twice(kind, name, part string) error {
	return topology.Fatal(fmt.Errorf("node %s has a handle of %s %s that is not the one in its %s: declare it once and share the handle",
		c.node.Decl.Name, kind, name, part))
}

// Buffer implements plan.Runtime.
func (c *Call) Buffer() []byte { return c.arena.Tail() }

// Topic implements plan.Runtime.
func (c *Call) Topic(stream *plan.Stream) string { return c.ofOutput(stream, c.node.schemas) }

// ofOutput is what a list has, which is as that of the node's outputs, for one of them.
func (c *Call) ofOutput(stream *plan.Stream, list []string) (topic string) {
	for i, o := range c.node.Decl.Outputs {
		if o == plan.Output(stream) {
			topic = list[i]
		}
	}
	return topic
}

// Emit implements plan.Runtime.
func (c *Call) Emit(stream *plan.Stream, key string, encoded []byte, tombstone bool, as *plan.Emission) {
	topic := c.ofOutput(stream, c.node.topics)
	if as != nil && as.Partition >= 0 && c.env.Partitions != nil {
		if n := c.env.Partitions(topic); n > 0 && as.Partition >= n {
			c.Fail(fmt.Errorf("emit to stream %s: there is no partition %d of %d", stream.Name, as.Partition, n))
			return
		}
	}
	c.effects = append(c.effects, Effect{c.node, stream, topic, key, c.arena.Take(encoded), tombstone, as})
}

// Headers appends the headers that the record of an effect has to into: those of the input that its node passes on, and then its own,
// which take the place of others of their name.
func (c *Call) Headers(into []record.Header, e *Effect) []record.Header {
	var own []record.Header
	if e.As != nil {
		own = e.As.Headers
	}
	for _, h := range c.record.Headers {
		// What the input's value was written with says nothing of another value.
		if h.Key == framing.ValueHeader || h.Key == framing.KeyHeader && e.Key != c.RecordKey() {
			continue
		}
		if e.Node.Decl.Passes(h) && !slices.ContainsFunc(own, func(o record.Header) bool { return o.Key == h.Key }) {
			into = append(into, h)
		}
	}
	return append(into, own...)
}

// Forward implements plan.Runtime.
func (c *Call) Forward(edge *plan.Edge, key string, value any) {
	c.forward = append(c.forward, forwarded{edge, key, value})
}

// Fail implements plan.Runtime.
func (c *Call) Fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
	if c.misuse == nil && topology.IsFatal(err) {
		c.misuse = err
	}
}
