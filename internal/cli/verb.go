package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/topology"
)

// verb is a command that works on a cluster.
type verb struct {
	knows      []*settings.Setting  // the settings that it has
	topologies []*topology.Topology // that --topology may name, where it has that one
	output     *string
	args       cobra.PositionalArgs // nil: it takes none
	// check, if not nil, refuses what is wrong without a cluster, before anything is connected to: flags, files, topologies. What it refuses with an exit code of its own
	// is refused alone, everything else is wrong use, together with wrong settings.
	check func(cmd *cobra.Command, args []string, v *settings.Values) error
	do    func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error
}

func (o verb) command() *cobra.Command {
	cmd := &cobra.Command{
		Args: o.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), nil))
			if err != nil {
				return withCode(exitUsage, err)
			}
			var wrong error
			if o.check != nil {
				wrong = o.check(cmd, args, v)
			}
			if _, ok := errors.AsType[*coded](wrong); ok {
				return wrong
			}
			return WithClient(cmd, v, wrong, func(client *kafka.Client) error { return o.do(cmd, client, v) })
		},
	}
	if o.args == nil {
		cmd.Args = NoArgs
	}
	settings.AddFlags(cmd.Flags(), o.knows, nil)
	completeSettings(cmd, o.topologies)
	cmd.SetUsageFunc(settings.Usage)
	AddOutput(cmd, o.output)
	return cmd
}

// planOf is the topology that the settings name, or the only one, by its names in the cluster.
func planOf(topologies []*topology.Topology, v *settings.Values) (*plan.Plan, error) {
	t, err := pick(topologies, settings.Topology.Of(v))
	if err != nil {
		return nil, err
	}
	p, err := t.Plan(namesOf(v))
	return p, withCode(exitRefused, err)
}

// addExecute adds --execute to a command that changes something.
func addExecute(cmd *cobra.Command, execute *bool) {
	cmd.Flags().BoolVar(execute, "execute", false, "do it; without it the command shows what it would do and changes nothing")
}

// notExecuted says that --execute was not given.
func notExecuted(cmd *cobra.Command) {
	fmt.Fprintln(cmd.ErrOrStderr(), "nothing was changed: add --execute to do it")
}

// addWhy adds --why to a command that goes on without it, since programs run it.
func addWhy(cmd *cobra.Command, why *string) {
	cmd.Flags().StringVar(why, "why", "", "the reason, which is recorded in "+system.Audit.Name+" with who did it")
}

// askWhy tells a person that the audit will hold no reason.
func askWhy(cmd *cobra.Command, why string) {
	if strings.TrimSpace(why) == "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "no --why is given: the audit tells others who did it, and not why")
	}
}

// reason refuses a change without one.
func reason(why string) error {
	if strings.TrimSpace(why) == "" {
		return errors.New("why? give the reason with --why TEXT: it is recorded")
	}
	return nil
}

// table writes rows in columns, with a line of their names first. It is to be flushed.
func table(out io.Writer, columns ...string) *tabwriter.Writer {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	return w
}
