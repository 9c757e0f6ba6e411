package processors

import "fmt"

// target is what follows a command of this program in a message, so that the command finds the cluster and the topology that
// this instance runs on.
func (i *Instance) target() string {
	if i.opts.Target != "" {
		return i.opts.Target
	}
	return fmt.Sprintf("--brokers %s --topology %s", i.brokers(), i.graph.plan.Topology)
}
