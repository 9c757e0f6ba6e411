package nodes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Record implements topology.Runtime.
func (c *Call) Record() *topology.Record { return &c.record }

// Key implements topology.Runtime.
func (c *Call) Key() string { return c.at }

// Now implements topology.Runtime.
func (c *Call) Now() time.Time { return c.env.Now() }

// Log implements topology.Runtime.
func (c *Call) Log() *zap.Logger {
	r := &c.record
	return c.env.Log.With(zap.String("node", c.node.Decl.Name), zap.String("input", fmt.Sprintf("%s/%d", r.Topic, r.Partition)), zap.Int64("offset", r.Offset))
}

// IdempotencyKey implements topology.Runtime.
func (c *Call) IdempotencyKey() string {
	r := &c.record
	h := sha256.New()
	for _, s := range [...]string{c.env.Cluster, c.env.Topology, c.node.Decl.Name, r.Topic} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	fmt.Fprintf(h, "%d:%d", r.Partition, r.Offset)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Table implements topology.Runtime. A handle that is not declared is a mistake of the program: every record would fail of
// it, and drain into the dead letters.
func (c *Call) Table(store *topology.StoreDecl) (state.Table, error) {
	for i, s := range c.node.Decl.Stores {
		if s == store {
			return c.state.Table(c.node.tables[i]), nil
		}
	}
	for _, s := range c.node.Decl.Stores {
		if s.Name == store.Name {
			return nil, c.twice("store", s.Name, "Uses")
		}
	}
	return nil, topology.Fatal(fmt.Errorf("node %s uses store %s, which is not in its Uses: add it there", c.node.Decl.Name, store.Name))
}

// Output implements topology.Runtime.
func (c *Call) Output(decl topology.Output) error {
	for _, o := range c.node.Decl.Outputs {
		if o == decl {
			return nil
		}
	}
	name := topology.OutputName(decl)
	for _, o := range c.node.Decl.Outputs {
		if topology.OutputName(o) == name {
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

// Buffer implements topology.Runtime.
func (c *Call) Buffer() []byte { return c.arena.Tail() }

// Emit implements topology.Runtime.
func (c *Call) Emit(stream *topology.StreamDecl, key string, encoded []byte, tombstone bool, as *topology.Emission) {
	c.effects = append(c.effects, Effect{c.node, stream, key, c.arena.Take(encoded), tombstone, as})
}

// Headers appends the headers that the record of an effect has to into: those of the input that its node passes on, and then its own,
// which take the place of others of their name.
func (c *Call) Headers(into []topology.Header, e *Effect) []topology.Header {
	var own []topology.Header
	if e.As != nil {
		own = e.As.Headers
	}
	for _, h := range c.record.Headers {
		if e.Node.Decl.Passes(h) && !slices.ContainsFunc(own, func(o topology.Header) bool { return o.Key == h.Key }) {
			into = append(into, h)
		}
	}
	return append(into, own...)
}

// Forward implements topology.Runtime.
func (c *Call) Forward(edge *topology.EdgeDecl, key string, value any) {
	c.forward = append(c.forward, forwarded{edge, key, value})
}

// Fail implements topology.Runtime.
func (c *Call) Fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
	if c.misuse == nil && topology.IsFatal(err) {
		c.misuse = err
	}
}
