package command

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/processors"
)

// probes answers orchestrators, also while no broker has answered yet.
type probes struct {
	began time.Time
	log   atomic.Pointer[registry.Log]
}

// patience is how long a start may look for a broker before that is a problem.
const patience = 5 * time.Second

// Live is always so: what stops a registry is the topic and the cluster, and no restart mends these.
func (p *probes) Live() bool { return true }

func (p *probes) Unready() []string {
	if l := p.log.Load(); l != nil {
		return l.Unready()
	}
	return []string{"no broker has answered yet"}
}

func (p *probes) Health() (list []processors.Problem) {
	l := p.log.Load()
	if l == nil {
		if since := time.Since(p.began); since > patience {
			return []processors.Problem{{Kind: processors.ProblemBroker, Cause: fmt.Sprintf("no broker has answered since the start %s ago", since.Round(time.Second)),
				Remedy: "look whether the cluster runs and can be reached from here; the log says what each address answers"}}
		}
		return nil
	}
	for _, problem := range l.Problems() {
		list = append(list, processors.Problem{Kind: problem.Kind, Cause: problem.Cause, Remedy: problem.Remedy})
	}
	return list
}
