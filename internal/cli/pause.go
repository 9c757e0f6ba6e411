package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/replay"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/topology"
)

// pauseFlags are what pause and resume share.
type pauseFlags struct {
	output, reason string
	execute, all   bool
	wait           time.Duration
}

func pauseCommand(program string, topologies []*topology.Topology) *cobra.Command {
	var f pauseFlags
	cmd := f.command(topologies, true)
	cmd.Use, cmd.Short = "pause NAME", "Have all instances of a topology commit, leave its group and wait"
	cmd.Long = cmd.Short + ", until it is resumed, also across restarts.\nThey stay alive and healthy, and hold nothing: offsets may be set, and a replay may run. The name may be that of another program's topology.\n\n" +
		"What is wanted stands in the topic " + system.Desired.Name + ", which instances follow; who wanted it and why is in " + system.Audit.Name + " too."
	cmd.Example = example(program, `topology pause customer-totals --brokers localhost:9092 --reason "the billing service is moved" --execute`)
	cmd.Flags().DurationVar(&f.wait, "wait", time.Minute, "how long to wait until the group has no members; 0 to wait for nothing")
	return cmd
}

func resumeCommand(program string, topologies []*topology.Topology) *cobra.Command {
	var f pauseFlags
	cmd := f.command(topologies, false)
	cmd.Use, cmd.Short = "resume NAME", "Have the instances of a paused topology continue"
	cmd.Long = cmd.Short + ".\nWhat a job has paused stays so until the job is done or stopped (replay stop), unless --all is given."
	cmd.Example = example(program, `topology resume customer-totals --brokers localhost:9092 --reason "it is moved" --execute`)
	cmd.Flags().BoolVar(&f.all, "all", false, "also for jobs that have paused it; a replay that runs stops with an error then")
	return cmd
}

// pauseResult is the result as JSON.
type pauseResult struct {
	Topology  string         `json:"topology"`
	Executed  bool           `json:"executed"`
	Holds     []desired.Hold `json:"holds"` // that are in force, as it is now
	Members   int            `json:"members"`
	Instances int            `json:"instances"` // that are announced
}

// command is a command that writes what is wanted of the topology whose name it takes.
func (f *pauseFlags) command(topologies []*topology.Topology, pause bool) *cobra.Command {
	var name string
	cmd := verb{
		knows: settings.Except(settings.OfClient(), settings.Topology.Setting), output: &f.output,
		args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" || strings.Contains(args[0], "/") {
				return fmt.Errorf("which topology? give its name: %s", cmd.UseLine())
			}
			return nil
		},
		check: func(_ *cobra.Command, args []string, _ *settings.Values) error {
			name = args[0]
			if pause && f.execute && strings.TrimSpace(f.reason) == "" {
				return errors.New("why? give the reason with --reason TEXT: it is recorded, and shown while the topology is paused")
			}
			return nil
		},
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			return f.run(cmd, &desired.Tool{Client: client, Names: namesOf(v), Topology: name, Who: who(v)}, pause)
		},
	}.command()
	cmd.ValidArgs = names(topologies)
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, which is recorded")
	cmd.Flags().StringVar(&f.reason, "why", "", "the same as --reason")
	_ = cmd.Flags().MarkHidden("why")
	addExecute(cmd, &f.execute)
	return cmd
}

func (f *pauseFlags) run(cmd *cobra.Command, t *desired.Tool, pause bool) error {
	ctx, messages := cmd.Context(), cmd.ErrOrStderr()
	before, err := t.Read(ctx)
	if err != nil {
		return err
	}
	instances, _, err := announced.List(ctx, t.Client, t.Names, t.Topology)
	if err != nil {
		return err
	}
	r := &pauseResult{Topology: t.Topology, Executed: f.execute, Holds: before.Paused(), Instances: len(instances)}
	if r.Members, err = t.Client.Members(ctx, t.Names.Group(t.Topology)); err != nil {
		return err
	}
	if r.Members == 0 && len(instances) == 0 && len(r.Holds) == 0 {
		fmt.Fprintf(messages, "no instance of topology %s is known, and its group %s has no members: is the name right?\n", t.Topology, t.Names.Group(t.Topology))
	}
	if f.execute {
		if err := f.set(cmd, t, r, pause); err != nil {
			return err
		}
	}
	if f.output == OutputJSON {
		r.Holds = list(r.Holds)
		return writeJSON(cmd.OutOrStdout(), r)
	}
	out := cmd.OutOrStdout()
	state := "topology %s is not paused\n"
	if len(r.Holds) > 0 {
		state = "topology %s is paused\n"
	}
	fmt.Fprintf(out, state, t.Topology)
	for _, h := range r.Holds {
		fmt.Fprintf(out, "  by %s\n", h)
	}
	fmt.Fprintf(out, "  its group has %d members, and %d instances are announced\n", r.Members, r.Instances)
	if !f.execute {
		notExecuted(cmd)
	}
	return nil
}

// set does it, and waits until it is so.
func (f *pauseFlags) set(cmd *cobra.Command, t *desired.Tool, r *pauseResult, pause bool) (err error) {
	ctx := cmd.Context()
	owners := []string{desired.Operator}
	if f.all {
		for _, h := range r.Holds {
			if h.Owner != desired.Operator {
				owners = append(owners, h.Owner)
			}
		}
	}
	for _, owner := range owners {
		if r.Holds, err = t.Set(ctx, owner, pause, f.reason); err != nil {
			return err
		}
	}
	if pause && f.wait > 0 {
		if err := t.Empty(ctx, f.wait); err != nil {
			return fmt.Errorf("topology %s is paused, and %w", t.Topology, err)
		}
		r.Members = 0
	}
	return nil
}

// pauseWithin is how long instances may take to leave the group of a topology that a command has paused.
const pauseWithin = time.Minute

// addPause adds --pause to a command that needs the instances of its topology out of the way.
func addPause(cmd *cobra.Command, pause *bool) {
	cmd.Flags().BoolVar(pause, "pause", false, "have the instances of the topology leave its group meanwhile, and continue afterwards; without it they must be stopped or paused")
}

// whilePaused does something with the topology paused, in the name of the command, and resumes it. What was left in the middle
// (replay.ErrHalf) keeps it paused: the same command goes on with it.
func whilePaused(cmd *cobra.Command, t *desired.Tool, why string, do func() error) error {
	ctx, messages, owner := cmd.Context(), cmd.ErrOrStderr(), cmd.Parent().Name()+" "+cmd.Name()
	if _, err := t.Set(ctx, owner, true, why); err != nil {
		return err
	}
	err := t.Empty(ctx, pauseWithin)
	if err == nil {
		if err = do(); errors.Is(err, replay.ErrHalf) {
			return fmt.Errorf("%w\ntopology %s stays paused until then", err, t.Topology)
		}
	}
	holds, undone := t.Set(context.WithoutCancel(ctx), owner, false, why)
	for _, h := range holds {
		fmt.Fprintf(messages, "topology %s stays paused, by %s\n", t.Topology, h)
	}
	if undone == nil && len(holds) == 0 {
		fmt.Fprintf(messages, "topology %s is resumed\n", t.Topology)
	}
	return errors.Join(err, undone)
}
