//go:build integration

package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/kafkatest"
)

// cluster is three brokers with a proxy in front of each for the instances. Everything that judges talks to the brokers
// themselves.
type cluster struct {
	*kafkatest.Cluster
	proxies []*proxy.Proxy
}

const proxyListener = "PROXIED"

var lanesFlag = flag.Int("weir.lanes", 2, "how many scenarios run at a time, each on a cluster of its own: they wait more than they compute")

// A lane is the right to run beside the others, with the cluster that its scenarios have one after the other.
type lane struct {
	cluster *cluster // nil until a scenario wants it
}

var lanes = sync.OnceValue(func() chan *lane {
	n := max(1, *lanesFlag)
	if os.Getenv("WEIR_KAFKA_BROKERS") != "" {
		n = 1 // the scenarios would meet on it
	}
	free := make(chan *lane, n)
	for range n {
		free <- &lane{}
	}
	return free
})

// theLane lets a test run beside others from here on, when it is its turn.
func theLane(t *testing.T) *lane {
	t.Helper()
	kafkatest.Require(t)
	t.Parallel()
	l := <-lanes()
	t.Cleanup(func() { lanes() <- l })
	return l
}

// theCluster is a lane's cluster, which the test has to itself. Nobody knows how a test that failed has left it, so the next one has a new one.
func theCluster(t *testing.T) *cluster {
	t.Helper()
	l := theLane(t)
	t.Cleanup(func() {
		if t.Failed() && l.cluster != nil {
			l.cluster.end(true)
			l.cluster = nil
		}
	})
	if l.cluster == nil {
		var err error
		if l.cluster, err = startCluster(); err != nil {
			t.Fatal(err)
		}
	}
	return l.cluster
}

func startCluster() (*cluster, error) {
	c := &cluster{}
	listener := kafkatest.Listener{Name: proxyListener, Protocol: "PLAINTEXT"}
	for range 3 {
		p, err := proxy.Listen("127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		c.proxies = append(c.proxies, p)
		listener.Advertised = append(listener.Advertised, p.Addr())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var err error
	c.Cluster, err = kafkatest.Run(ctx, kafkatest.Options{
		Brokers: 3, Listeners: []kafkatest.Listener{listener},
		// Between 20 processes on two cores a broker that runs may be silent for some seconds.
		Config: map[string]string{"broker.session.timeout.ms": millis(sessionTimeout)},
	})
	if err != nil {
		return nil, err
	}
	for i, addr := range c.AddrsOf(proxyListener) {
		c.proxies[i].Forward(addr)
	}
	return c, nil
}

// closeClusters ends the lanes' clusters.
func closeClusters(failed bool) {
	for range cap(lanes()) {
		if c := (<-lanes()).cluster; c != nil {
			c.end(failed)
		}
	}
}

// end ends the cluster. After a failure its nodes' logs are kept.
func (c *cluster) end(failed bool) {
	if failed {
		c.KeepLogs()
		fmt.Fprintln(os.Stderr, "the nodes' logs are in", c.Dir())
	}
	c.Close()
	for _, p := range c.proxies {
		_ = p.Close()
	}
}

func (c *cluster) brokers() []string { return c.Addrs() }

// proxied are the addresses for instances. A cluster that was running already has no listener for proxies.
func (c *cluster) proxied() []string {
	if c.External() {
		return c.Addrs()
	}
	var addrs []string
	for _, p := range c.proxies {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

func (c *cluster) size() int { return len(c.Addrs()) }

// inject puts the same rules into every proxy, with a seed of its own for each.
func (c *cluster) inject(seed uint64, rules ...proxy.Rule) {
	for i, p := range c.proxies {
		p.Inject(seed+uint64(i)<<32, rules...)
	}
}

// strikes sums what the proxies did.
func (c *cluster) strikes() map[proxy.Strike]int {
	sum := map[proxy.Strike]int{}
	for _, p := range c.proxies {
		for s, n := range p.Strikes() {
			sum[s] += n
		}
	}
	return sum
}

// each does something with every node at once.
func each(nodes []*kafkatest.Node, do func(*kafkatest.Node) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if err := do(n); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
