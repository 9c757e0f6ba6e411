//go:build unix

package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Listener is one more door of the brokers, besides the plaintext one that the brokers and this package use.
type Listener struct {
	Name     string // as in listener.name.<lower case name>.*
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
	// Advertised are the addresses that the brokers give to clients, one for each broker: those of proxies in front of
	// them. Default: where they listen.
	Advertised []string
}

// advertised is the address that the broker with an index gives to clients of the listener at a port.
func (l Listener) advertised(broker, port int) string {
	if l.Advertised != nil {
		return l.Advertised[broker]
	}
	return local(port)
}

// properties is the server.properties of one node.
func (c *Cluster) properties(n *Node, ports nodePorts) string {
	p := map[string]string{
		"node.id":                        fmt.Sprint(n.ID),
		"log.dirs":                       n.dir + "/data",
		"controller.listener.names":      "CONTROLLER",
		"controller.quorum.voters":       strings.Join(c.voters, ","),
		"listener.security.protocol.map": c.protocolMap(),
		"inter.broker.listener.name":     "PLAINTEXT",
		"num.network.threads":            "2",
		"num.io.threads":                 "4",
	}
	var roles, listeners, advertised []string
	if ports.controller != 0 {
		roles = append(roles, "controller")
		listeners = append(listeners, fmt.Sprintf("CONTROLLER://127.0.0.1:%d", ports.controller))
	}
	if ports.broker != 0 {
		roles = append(roles, "broker")
		plain := "PLAINTEXT://" + local(ports.broker)
		listeners, advertised = append(listeners, plain), append(advertised, plain)
		for i, l := range c.opts.Listeners {
			listeners = append(listeners, fmt.Sprintf("%s://%s", l.Name, local(ports.extra[i])))
			advertised = append(advertised, fmt.Sprintf("%s://%s", l.Name, l.advertised(int(n.ID)-1, ports.extra[i])))
		}
		p["advertised.listeners"] = strings.Join(advertised, ",")
		maps.Copy(p, c.brokerDefaults())
		maps.Copy(p, c.opts.Config)
	} else {
		for _, key := range controllersToo {
			p[key] = c.brokerDefaults()[key]
			if v, ok := c.opts.Config[key]; ok {
				p[key] = v
			}
		}
	}
	p["process.roles"] = strings.Join(roles, ",")
	p["listeners"] = strings.Join(listeners, ",")
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		// The format takes a backslash for an escape, and ends a value at a line's end unless one stands there.
		value := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(p[key])
		fmt.Fprintf(&b, "%s=%s\n", key, value)
	}
	return b.String()
}

// controllersToo are settings of brokers by which the controllers decide about topics and about brokers.
var controllersToo = []string{
	"num.partitions", "default.replication.factor", "min.insync.replicas", "broker.session.timeout.ms", "broker.heartbeat.interval.ms",
}

func (c *Cluster) protocolMap() string {
	pairs := []string{"CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT"}
	for _, l := range c.opts.Listeners {
		pairs = append(pairs, l.Name+":"+l.Protocol)
	}
	return strings.Join(pairs, ",")
}

// brokerDefaults make a small cluster that notices failures within seconds.
func (c *Cluster) brokerDefaults() map[string]string {
	replicas, inSync := "1", "1"
	if c.opts.Brokers >= 3 {
		replicas, inSync = "3", "2"
	}
	return map[string]string{
		"auto.create.topics.enable":                "false",
		"num.partitions":                           "4",
		"default.replication.factor":               replicas,
		"min.insync.replicas":                      inSync,
		"offsets.topic.num.partitions":             "8",
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.num.partitions":     "8",
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            inSync,
		"group.initial.rebalance.delay.ms":         "0",
		"broker.heartbeat.interval.ms":             "500",
		"broker.session.timeout.ms":                "3000",
		"replica.lag.time.max.ms":                  "5000",
		// How often a coordinator looks for transactions that have timed out; 10 s by default.
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		// The cleaner's buffer is 128 MiB by default, a quarter of the heap.
		"log.cleaner.dedupe.buffer.size": "16777216",
		"log.cleaner.backoff.ms":         "250",
	}
}
