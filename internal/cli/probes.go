package cli

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/processors"
)

// Probes answers the HTTP server's questions: with the word of what runs, and before that has begun with the start's. The server is open while no
// broker answers yet, or an orchestrator would kill a process that waits for its cluster.
type Probes struct {
	began   time.Time
	brokers []string
	running atomic.Pointer[httpserver.Instance]
}

// NewProbes makes Probes of a process that begins now.
func NewProbes(brokers []string) *Probes { return &Probes{began: time.Now(), brokers: brokers} }

// patience is how long a start may look for a broker before that is a problem: a connection or two that fail are not.
const patience = 5 * time.Second

// Running has i answer from now on.
func (p *Probes) Running(i httpserver.Instance) { p.running.Store(&i) }

// Live implements httpserver.Instance.
func (p *Probes) Live() bool {
	i := p.running.Load()
	return i == nil || (*i).Live()
}

// Unready implements httpserver.Instance.
func (p *Probes) Unready() []string {
	if i := p.running.Load(); i != nil {
		return (*i).Unready()
	}
	return []string{"no broker has answered yet: " + strings.Join(p.brokers, ", ")}
}

// Health implements httpserver.Instance.
func (p *Probes) Health() []processors.Problem {
	if i := p.running.Load(); i != nil {
		return (*i).Health()
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
