//go:build unix

package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Options of a cluster. The zero value is one node.
type Options struct {
	// Brokers is 1, a node that is broker and controller, or 3, with three controllers besides.
	Brokers int
	// Config overrides settings of the brokers.
	Config map[string]string
	// Listeners are opened besides the plaintext one. Their settings go into Config.
	Listeners []Listener
	// FormatArgs are given to the tool that formats the data folders: "--add-scram", "SCRAM-SHA-256=[...]".
	FormatArgs []string
	// Heap of a broker. Default 512m. A controller has 256m.
	Heap string
	// JVM are further arguments for Java. "-XX:TieredStopAtLevel=4" makes brokers twice as slow to start, and faster in the
	// long run.
	JVM []string
	// Keep leaves the folder with logs and data where it is.
	Keep bool
}

// Cluster is a running cluster. Its methods are safe for concurrent use.
type Cluster struct {
	opts        Options
	dir         string
	java, libs  string
	javaBuild   string   // what Java says of itself
	classes     []string // arguments of Java for the archive of Kafka's classes
	voters      []string
	addrs       []string
	extra       map[string][]string // addresses by the name of the listener
	brokers     []*Node
	controllers []*Node
	reapers     sync.WaitGroup
	client      *kgo.Client
}

// startTimeout is ample for three brokers and three controllers on two busy cores.
const startTimeout = 3 * time.Minute

// Start starts a cluster for a test, or ends the test as Require does. It is stopped with the test; when the test has
// failed the nodes' logs are kept and their folder is printed.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	Require(t)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := Run(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && c.dir != "" {
			c.opts.Keep = true
			t.Logf("the nodes' logs are kept in %s", c.dir)
		}
		c.Close()
	})
	return c
}

// Run starts a cluster, or takes the one that WEIR_KAFKA_BROKERS names, and waits until every broker serves, groups and
// transactions included. When it fails the folder with the nodes' logs is kept and named in the error, unless ctx was
// cancelled.
func Run(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Brokers == 0 {
		opts.Brokers = 1
	}
	if opts.Heap == "" {
		opts.Heap = "512m"
	}
	c := &Cluster{opts: opts, extra: map[string][]string{}}
	if c.addrs = existing(); c.addrs != nil {
		if err := c.connect(ctx); err != nil {
			return nil, fmt.Errorf("cluster of WEIR_KAFKA_BROKERS: %w", err)
		}
		return c, nil
	}
	if opts.Brokers != 1 && opts.Brokers != 3 {
		return nil, fmt.Errorf("a cluster of %d brokers: want 1 or 3", opts.Brokers)
	}
	var err error
	if c.java, c.javaBuild, err = java(); err != nil {
		return nil, err
	}
	if c.libs, err = jars(ctx); err != nil {
		return nil, err
	}
	c.classes = c.archived(ctx)
	if c.dir, err = os.MkdirTemp("", "weir-kafka-"); err != nil {
		return nil, err
	}
	if err := c.boot(ctx); err != nil {
		c.opts.Keep = !errors.Is(ctx.Err(), context.Canceled) // then nobody asks why
		c.Close()
		return nil, fmt.Errorf("start Kafka %s in %s: %w", Version, c.dir, err)
	}
	return c, nil
}

// existing returns the addresses of a cluster that is to be used as it is.
func existing() []string {
	var addrs []string // nil when there is none
	for addr := range strings.SplitSeq(os.Getenv("WEIR_KAFKA_BROKERS"), ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

func (c *Cluster) boot(ctx context.Context) error {
	if err := c.layout(); err != nil {
		return err
	}
	if err := c.format(ctx); err != nil {
		return err
	}
	for _, n := range append(c.controllers, c.brokers...) {
		if err := n.launch(); err != nil {
			return err
		}
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	for _, n := range c.brokers {
		if err := c.awaitNode(ctx, n); err != nil {
			return err
		}
	}
	return c.awaitCoordinators(ctx)
}

type nodePorts struct {
	broker, controller int // 0: has no such role
	extra              []int
}

// layout names the nodes, chooses their ports and writes their settings.
func (c *Cluster) layout() error {
	ports, err := freePorts(c.opts.Brokers*(2+len(c.opts.Listeners)) + 1)
	if err != nil {
		return err
	}
	next := func() int {
		port := ports[0]
		ports = ports[1:]
		return port
	}
	wanted := map[*Node]nodePorts{}
	for i := range c.opts.Brokers {
		p := nodePorts{broker: next()}
		n := &Node{ID: int32(i + 1), Addr: local(p.broker), cluster: c, heap: c.opts.Heap, dir: filepath.Join(c.dir, fmt.Sprintf("broker-%d", i+1))}
		for _, l := range c.opts.Listeners {
			port := next()
			p.extra = append(p.extra, port)
			c.extra[l.Name] = append(c.extra[l.Name], local(port))
		}
		voter := n
		if c.opts.Brokers == 1 {
			p.controller = next()
			c.voters = append(c.voters, fmt.Sprintf("%d@%s", n.ID, local(p.controller)))
		} else {
			voter = &Node{ID: int32(101 + i), cluster: c, heap: "256m", dir: filepath.Join(c.dir, fmt.Sprintf("controller-%d", 101+i))}
			q := nodePorts{controller: next()}
			c.voters = append(c.voters, fmt.Sprintf("%d@%s", voter.ID, local(q.controller)))
			c.controllers = append(c.controllers, voter)
			wanted[voter] = q
		}
		c.brokers = append(c.brokers, n)
		c.addrs = append(c.addrs, n.Addr)
		wanted[n] = p
	}
	for n, p := range wanted {
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(n.dir, "server.properties"), []byte(c.properties(n, p)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Addrs are the brokers' plaintext addresses. AddrsOf are those of another listener.
func (c *Cluster) Addrs() []string                  { return c.addrs }
func (c *Cluster) AddrsOf(listener string) []string { return c.extra[listener] }

// Brokers and Controllers are the nodes. With one node they are the same; of a cluster that was running already there
// are none.
func (c *Cluster) Brokers() []*Node { return c.brokers }
func (c *Cluster) Controllers() []*Node {
	if len(c.controllers) == 0 {
		return c.brokers
	}
	return c.controllers
}

// External says that the cluster was running already: its nodes cannot be touched.
func (c *Cluster) External() bool { return c.brokers == nil }

// NeedNodes ends a test that wants to make nodes fail when the cluster is not ours: it fails in CI and skips elsewhere.
func (c *Cluster) NeedNodes(t testing.TB) {
	t.Helper()
	switch {
	case !c.External():
	case os.Getenv("CI") == "true":
		t.Fatal("CI must run this test: it makes nodes fail, and those of WEIR_KAFKA_BROKERS cannot be touched")
	default:
		t.Skip("makes nodes fail, and those of WEIR_KAFKA_BROKERS cannot be touched")
	}
}

// Node returns a node by its id, or nil.
func (c *Cluster) Node(id int32) *Node {
	for _, n := range append(append([]*Node(nil), c.brokers...), c.controllers...) {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// Dir is the folder with the nodes' logs and data, empty for a cluster that was running already.
func (c *Cluster) Dir() string { return c.dir }

// KeepLogs makes Close leave the nodes' logs where they are.
func (c *Cluster) KeepLogs() { c.opts.Keep = true }

// Close kills the nodes, waits for them, and removes their data, and their logs unless they are to be kept.
func (c *Cluster) Close() {
	if c.client != nil {
		c.client.Close()
	}
	for _, n := range append(append([]*Node(nil), c.brokers...), c.controllers...) {
		_ = n.Kill()
	}
	c.reapers.Wait()
	if c.dir == "" {
		return
	}
	if !c.opts.Keep {
		_ = os.RemoveAll(c.dir)
		return
	}
	for _, n := range append(append([]*Node(nil), c.brokers...), c.controllers...) {
		_ = os.RemoveAll(filepath.Join(n.dir, "data")) // logs are small, data is not
	}
}
