package cli

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/processors"
)

// probes answers the HTTP server's questions: with the instance's word, and before there is one with the start's. The
// server is open while no broker answers yet, or an orchestrator would kill a process that waits for its cluster.
type probes struct {
	began    time.Time
	brokers  []string
	instance atomic.Pointer[processors.Managed]
}

// patience is how long a start may look for a broker before that is a problem: a connection or two that fail are not.
const patience = 5 * time.Second

func (p *probes) Live() bool {
	i := p.instance.Load()
	return i == nil || i.Live()
}

func (p *probes) Unready() []string {
	if i := p.instance.Load(); i != nil {
		return i.Unready()
	}
	return []string{"no broker has answered yet: " + strings.Join(p.brokers, ", ")}
}

func (p *probes) Health() []processors.Problem {
	if i := p.instance.Load(); i != nil {
		return i.Health()
	}
	since := time.Since(p.began)
	if since < patience {
		return nil
	}
	return []processors.Problem{{
		Kind:   processors.ProblemBroker,
		Cause:  fmt.Sprintf("no broker has answered since the start %s ago: %s", since.Round(time.Second), strings.Join(p.brokers, ", ")),
		Remedy: "look whether the cluster runs and can be reached from here; the log says what each address answers",
	}}
}
