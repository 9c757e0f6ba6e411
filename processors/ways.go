package processors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
)

// target is what follows a command of this program in a message, so that the command finds the cluster and the topology that
// this instance runs on.
func (e *engine) target() string {
	if e.opts.Target != "" {
		return e.opts.Target
	}
	return fmt.Sprintf("--brokers %s --topology %s", e.brokers(), e.graph.plan.Topology)
}

// command is a command of this program as a line to run.
func (e *engine) command(verb, flags string) string {
	return strings.TrimSpace(filepath.Base(os.Args[0]) + " " + verb + " " + e.target() + " " + flags)
}

// rebuild is how the state of the topology is rebuilt from its inputs. The offsets go first: with an empty store and the old offsets
// a start would process records that the store should have seen others before.
func (e *engine) rebuild() string {
	var logs []string
	for _, t := range e.graph.plan.Topics {
		if t.Role == plan.ChangelogTopic {
			logs = append(logs, t.Name)
		}
	}
	return fmt.Sprintf("to rebuild the state from the inputs, as far as they are kept: delete the changelog topics (%s) and on every instance the folder %s, then run %s, then start each instance once with --accept-empty-state",
		strings.Join(logs, ", "), state.TopologyDir(e.opts.StateDir, e.graph.plan.Group()), e.command("offsets reset", "--to earliest --why TEXT --execute"))
}
