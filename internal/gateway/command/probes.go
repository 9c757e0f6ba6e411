package command

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/processors"
)

// probes answers orchestrators, also while no broker has answered yet.
type probes struct {
	began   time.Time
	brokers []string
	ready   atomic.Bool
}

// patience is how long a start may take before that is a problem.
const patience = 5 * time.Second

func (p *probes) Live() bool { return true }

func (p *probes) Unready() []string {
	if p.ready.Load() {
		return nil
	}
	return []string{"the brokers have not answered yet: " + strings.Join(p.brokers, ", ")}
}

func (p *probes) Health() []processors.Problem {
	since := time.Since(p.began)
	if p.ready.Load() || since < patience {
		return nil
	}
	return []processors.Problem{{
		Kind: processors.ProblemBroker, Cause: fmt.Sprintf("the brokers have not answered since the start %s ago: %s", since.Round(time.Second), strings.Join(p.brokers, ", ")),
		Remedy: "look whether the cluster runs and can be reached from here; the log says what each address answers",
	}}
}
