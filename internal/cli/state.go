package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/internal/kafka"
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
	limit               int
	execute, pause      bool
}

func stateSnapshot(program string, topologies []*topology.Topology) *cobra.Command {
	var f stateFlags
	cmd := f.command(topologies, nil, func(cmd *cobra.Command, t *replay.Tool, p *plan.Plan) error {
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
	check := func() error {
		if f.limit < 1 {
			return fmt.Errorf("--limit: %d is not allowed: give how many records of each partition are captured at most", f.limit)
		}
		return nil
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
	check := func() error {
		if strings.TrimSpace(f.why) == "" {
			return errors.New("why? give the reason with --why TEXT: it is recorded")
		}
		return nil
	}
	cmd := f.command(topologies, check, func(cmd *cobra.Command, t *replay.Tool, p *plan.Plan) error {
		var m *golden.Manifest
		restore := func() (err error) {
			m, err = t.Restore(cmd.Context(), p, f.folder, f.why, f.execute)
			return err
		}
		var err error
		if f.pause && f.execute {
			_, err := t.Restore(cmd.Context(), p, f.folder, f.why, false)
			if _, ok := errors.AsType[*replay.MembersError](err); err != nil && !ok {
				return err // what is refused pauses nothing
			}
			err = whilePaused(cmd, &desired.Tool{Client: t.Client, Names: t.Names, Topology: p.Topology, Who: t.Who}, f.why, restore)
		} else {
			err = restore()
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
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing was changed: add --execute to do it")
		}
		return nil
	})
	cmd.Use, cmd.Short = "restore", "Give the stores of a topology that is stopped or paused the content of a snapshot, and its group the offsets"
	cmd.Long = cmd.Short + ".\nRecords after the snapshot are processed again, and their outputs and dead letters written again. The reset is recorded; a command\n" +
		"that was ended is run again."
	cmd.Example = example(program, `state restore --brokers localhost:9092 --folder totals-2026-11-20 --why "bad build of Monday" --execute`)
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, which is recorded; required")
	cmd.Flags().BoolVar(&f.execute, "execute", false, "do it; without it the command checks the snapshot and changes nothing")
	addPause(cmd, &f.pause)
	return cmd
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

// command is a command over a topology and a folder.
func (f *stateFlags) command(topologies []*topology.Topology, check func() error, do func(*cobra.Command, *replay.Tool, *plan.Plan) error) *cobra.Command {
	cmd := &cobra.Command{
		Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), nil))
			if err != nil {
				return withCode(exitUsage, err)
			}
			chosen, wrong := pick(topologies, settings.Topology.Of(v))
			if f.folder == "" {
				wrong = errors.Join(wrong, errors.New("which folder? give it with --folder"))
			}
			if check != nil {
				wrong = errors.Join(wrong, check())
			}
			return WithClient(cmd, v, wrong, func(client *kafka.Client) error {
				p, err := chosen.Plan(namesOf(v))
				if err != nil {
					return withCode(exitRefused, err)
				}
				return do(cmd, &replay.Tool{Client: client, Names: namesOf(v), Who: who()}, p)
			})
		},
	}
	settings.AddFlags(cmd.Flags(), settings.OfClient(), nil)
	completeSettings(cmd, topologies)
	cmd.SetUsageFunc(settings.Usage)
	cmd.Flags().StringVar(&f.folder, "folder", "", "the folder of the snapshot; required")
	AddOutput(cmd, &f.output)
	return cmd
}
