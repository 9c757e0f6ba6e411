package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/replay"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/topology"
)

// stateCommand is the face of snapshots, which internal/replay makes.
func stateCommand(program string, topologies []*topology.Topology) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Write the stores of a topology into files, and read them back",
		Long: "Writes the stores of a topology, as they are at its committed offsets, into a folder of files with checksums, and reads them back\n" +
			"(docs/replay.md). With the records after it captured, the folder is a test: topologytest.Golden.",
		RunE: Group,
	}
	cmd.AddCommand(stateSnapshot(program, topologies), stateCapture(program, topologies), stateRestore(program, topologies))
	return cmd
}

// stateFlags are what the verbs share.
type stateFlags struct {
	output, folder, why string
	accept              string // see addAccept
	limit               int
	execute, pause      bool
}

func stateSnapshot(program string, topologies []*topology.Topology) *cobra.Command {
	var f stateFlags
	cmd := f.command(topologies, f.isNew, func(cmd *cobra.Command, t *replay.Tool, p *plan.Plan) error {
		m, err := t.Snapshot(cmd.Context(), p, f.folder)
		if err != nil {
			return err
		}
		return f.print(cmd, m)
	})
	cmd.Use, cmd.Short = "snapshot", "Write the stores of a topology, at its committed offsets, into a new folder"
	cmd.Long = cmd.Short + ".\nInstances may run meanwhile: what belongs to later offsets is left out."
	cmd.Example = example(program, "state snapshot --brokers localhost:9092 --folder totals-2026-11-20")
	return cmd
}

func stateCapture(program string, topologies []*topology.Topology) *cobra.Command {
	var f stateFlags
	check := func(p *plan.Plan) error {
		if f.limit < 1 {
			return fmt.Errorf("--limit: %d is not allowed: give how many records of each partition are captured at most", f.limit)
		}
		return f.isSnapshot(p)
	}
	cmd := f.command(topologies, check, func(cmd *cobra.Command, t *replay.Tool, p *plan.Plan) error {
		m, err := t.Capture(cmd.Context(), p, f.folder, f.limit)
		if err != nil {
			return err
		}
		return f.print(cmd, m)
	})
	cmd.Use, cmd.Short = "capture", "Add the records that follow a snapshot to its folder, for a golden test"
	cmd.Example = example(program, "state capture --brokers localhost:9092 --folder totals-2026-11-20 --limit 1000")
	cmd.Flags().IntVar(&f.limit, "limit", 1000, "the most records of each partition")
	return cmd
}

func stateRestore(program string, topologies []*topology.Topology) *cobra.Command {
	var f stateFlags
	check := func(p *plan.Plan) error {
		return errors.Join(reason(f.why), letters.CheckAccept(f.accept), f.isSnapshot(p))
	}
	cmd := f.command(topologies, check, func(cmd *cobra.Command, t *replay.Tool, p *plan.Plan) error {
		m, err := f.restore(cmd, t, p)
		if _, twice := errors.AsType[*letters.CopiedError](err); twice {
			return withCode(exitRefused, err)
		}
		if err != nil {
			return err
		}
		if err := f.print(cmd, m); err != nil {
			return err
		}
		if f.execute {
			fmt.Fprintln(cmd.ErrOrStderr(), "done: the stores are those of the snapshot, and the group continues at its offsets")
		} else {
			notExecuted(cmd)
		}
		return nil
	})
	cmd.Use, cmd.Short = "restore", "Give the stores of a topology that is stopped or paused the content of a snapshot, and its group the offsets"
	cmd.Long = cmd.Short + ".\nRecords after the snapshot are processed again, and their outputs and dead letters written again. The reset is recorded; a command\n" +
		"that was ended is run again."
	cmd.Example = example(program, `state restore --brokers localhost:9092 --folder totals-2026-11-20 --why "bad build of Monday" --execute`)
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, which is recorded; required")
	addAccept(cmd, &f.accept)
	addExecute(cmd, &f.execute)
	addPause(cmd, &f.pause)
	return cmd
}

// restore restores, with the instances out of the way where that is asked for. What would be refused pauses nothing.
func (f *stateFlags) restore(cmd *cobra.Command, t *replay.Tool, p *plan.Plan) (*golden.Manifest, error) {
	o := replay.RestoreOptions{Why: f.why, Execute: f.execute, Copies: f.accept == letters.AcceptCopies}
	if !f.pause && f.execute {
		m, err := t.Restore(cmd.Context(), p, f.folder, o)
		if _, ok := errors.AsType[*replay.MembersError](err); ok {
			err = fmt.Errorf("%w; or give --pause, which does both", err)
		}
		return m, err
	}
	check := o
	check.Execute = false
	m, err := t.Restore(cmd.Context(), p, f.folder, check)
	if present, ok := errors.AsType[*replay.MembersError](err); ok && !f.execute {
		fmt.Fprintf(cmd.ErrOrStderr(), "group %s has %d members: --pause has them leave it first\n", present.Group, present.Members)
	} else if err != nil && !ok {
		return nil, err
	}
	if !f.execute {
		return m, nil
	}
	err = whilePaused(cmd, &desired.Tool{Client: t.Client, Names: t.Names, Topology: p.Topology, Who: t.Who}, f.why, func() (err error) {
		m, err = t.Restore(cmd.Context(), p, f.folder, o)
		return err
	})
	return m, err
}

func (f *stateFlags) print(cmd *cobra.Command, m *golden.Manifest) error {
	if f.output == OutputJSON {
		return writeJSON(cmd.OutOrStdout(), m)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "snapshot of topology %s, taken at %s, in %s\n", m.Topology, m.Taken.Format("2006-01-02T15:04:05Z07:00"), f.folder)
	for _, in := range m.Inputs {
		fmt.Fprintf(out, "  input %s/%d at offset %d\n", in.Topic, in.Partition, in.Offset)
	}
	for _, s := range m.Stores {
		fmt.Fprintf(out, "  store %s/%d: %d keys\n", s.Store, s.Partition, s.Lines)
	}
	if m.Records != nil {
		fmt.Fprintf(out, "  %d records after that\n", m.Records.Lines)
	}
	return nil
}

// command is a command over a topology and a folder, which check looks at before anything is connected to.
func (f *stateFlags) command(topologies []*topology.Topology, check func(*plan.Plan) error, do func(*cobra.Command, *replay.Tool, *plan.Plan) error) *cobra.Command {
	var p *plan.Plan
	cmd := verb{
		knows: settings.OfClient(), topologies: topologies, output: &f.output,
		check: func(_ *cobra.Command, _ []string, v *settings.Values) (wrong error) {
			if p, wrong = planOf(topologies, v); f.folder == "" {
				wrong = errors.Join(wrong, errors.New("which folder? give it with --folder"))
			}
			return errors.Join(wrong, check(p))
		},
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			return do(cmd, &replay.Tool{Client: client, Names: p.Names, Who: who(v)}, p)
		},
	}.command()
	cmd.Flags().StringVar(&f.folder, "folder", "", "the folder of the snapshot; required")
	return cmd
}

// isNew refuses a folder that is there.
func (f *stateFlags) isNew(*plan.Plan) error {
	if f.folder == "" {
		return nil
	}
	return toMake(f.folder)
}

// isSnapshot refuses a folder that is no snapshot of the topology.
func (f *stateFlags) isSnapshot(p *plan.Plan) error {
	if f.folder == "" || p == nil {
		return nil
	}
	_, err := golden.Of(f.folder, p.Topology)
	return err
}
