package processors

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/state"
)

// A state folder belongs to the cluster of its first start. A start against another one is refused before anything is created,
// with both ids; a start that was refused for another reason notes nothing; state without a note takes the cluster that it meets.
//
// Mutations seen to fail it: onItsCluster that checks first, that notes first, or that never notes; a comparison without noted.
func TestAStateFolderBelongsToItsCluster(t *testing.T) {
	bubble(t, 1, simkafka.Config{ID: "its own"}, func(g *rig) {
		own, other := g.cluster, simkafka.New(simkafka.Config{ID: "another"})
		topics := func() int {
			infos, err := simWire{other.Process("look")}.Topics(context.Background(), []string{jobIn, jobOut, jobDead, jobLog})
			if err != nil {
				t.Fatal(err)
			}
			return len(infos)
		}
		noted := func() string {
			id, err := state.ClusterID(state.TopologyDir(g.dir, jobGroup))
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		g.cluster = other
		g.refusedFor(g.run(), "input topic "+jobIn, "output topic "+jobOut)
		if id := noted(); id != "" {
			t.Errorf("a start that was refused has noted %q", id)
		}
		g.cluster = own
		g.begun()
		if id := noted(); id != "its own" {
			t.Errorf("noted %q", id)
		}
		g.cluster, g.opts.Create = other, &Creation{Partitions: 1}
		g.refusedFor(g.run(), `with id its own, and the brokers BROKERS are of the cluster with id another`)
		if n := topics(); n != 0 {
			t.Errorf("%d topics were created on the other cluster", n)
		}
		g.cluster, g.opts.Create = own, nil
		if err := os.Remove(filepath.Join(state.TopologyDir(g.dir, jobGroup), ".cluster-id")); err != nil {
			t.Fatal(err)
		}
		g.start()
		g.stop()
		if id := noted(); id != "its own" {
			t.Errorf("noted %q for state from before there were notes", id)
		}
		g.start() // with the note
	})
}
