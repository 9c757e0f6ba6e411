package processors

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/state"
)

// onItsCluster runs the checks of a start, unless the state folder belongs to another cluster: there the changelogs seem to have
// been deleted or recreated, and topics would be created where nobody wants them.
//
// A folder is noted when the checks have passed. One that a refused start had noted would keep the start on the right cluster
// from it. State from before there were notes takes the cluster of its first start.
func (e *engine) onItsCluster(ctx context.Context, check func(context.Context) error) (err error) {
	if e.clusterID, err = e.opts.Wire.ClusterID(ctx); err != nil {
		return err
	}
	if e.opts.StateDir == "" || !e.hasStores() {
		return check(ctx)
	}
	dir := state.TopologyDir(e.opts.StateDir, e.graph.plan.Group())
	noted, err := state.ClusterID(dir)
	if err != nil {
		return err
	}
	id := e.clusterID
	if noted != "" && id != "" && noted != id {
		return e.refuse([]string{fmt.Sprintf("the state in %s belongs to the Kafka cluster with id %s, and the brokers %s are of the cluster with id %s: "+
			"give the brokers of its own cluster, or a state-dir of its own for this one; "+
			"if this cluster has taken the place of the other, with the changelogs in it, delete the folder: the state is restored from them",
			dir, noted, e.brokers(), id)})
	}
	if err := check(ctx); err != nil || noted != "" || id == "" {
		return err
	}
	return state.NoteCluster(dir, id)
}
