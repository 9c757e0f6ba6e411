package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/replay"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// replayCommand is the face of internal/replay.
func replayCommand(program string, topologies []*topology.Topology) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Process records again: into their topology, into a topic, or into a shadow",
		Long: "Processes records again that are still in a topic, as a file says (docs/replay.md): into their topology, into another topic, or into\n" +
			"a shadow of the topology. A job and its progress stand in the topic " + system.Jobs.Name + ": a run that was ended, also by kill -9, is\n" +
			"continued by the same command, and each record has its effect once. A run ends with a receipt.\n\n" +
			"into: topology needs the topology in this program, and pauses its instances until it is done; into: topic needs no topology.",
		RunE: Group,
	}
	cmd.AddCommand(replayPlan(program, topologies), replayRun(program, topologies, false), replayRun(program, topologies, true),
		replayStatus(program, topologies), replayStop(program, topologies), replayList(program, topologies))
	return cmd
}

// replayFlags are what the verbs share.
type replayFlags struct {
	output    string
	o         replay.RunOptions
	processes bool // it needs the topology that the file names
}

func replayPlan(program string, topologies []*topology.Topology) *cobra.Command {
	f := replayFlags{processes: true}
	cmd := f.command(topologies, true, func(cmd *cobra.Command, t *replay.Tool, j *replay.Job) error {
		p, err := t.Plan(cmd.Context(), j, f.o.FromEarliest)
		if err != nil {
			return err
		}
		if f.output == OutputJSON {
			if err := writeJSON(cmd.OutOrStdout(), p); err != nil {
				return err
			}
		} else if err := printPlan(cmd.OutOrStdout(), p); err != nil {
			return err
		}
		if p.Refused != "" {
			return withCode(exitRefused, errors.New(p.Refused))
		}
		return nil
	})
	cmd.Use, cmd.Short = "plan FILE", "Show what a replay would do: partitions, offsets, records, bytes, time, and what it touches"
	cmd.Example = example(program, "replay plan replay.yaml --brokers localhost:9092", "replay plan replay.yaml --brokers localhost:9092 --json")
	f.earliest(cmd)
	return cmd
}

func printPlan(out io.Writer, p *replay.Plan) error {
	about := "about "
	if p.Exact {
		about = ""
	}
	fmt.Fprintf(out, "replay %s (%s) of %s into %s\n", p.Job, p.State, p.From, string(p.Into)+" "+cmp.Or(p.Topology, p.To))
	w := table(out, "PARTITION", "START", "END", "OFFSETS", "EARLIEST", "LATEST", "REMOVED")
	for _, one := range p.Partitions {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\n", one.Partition, one.Start, one.End, one.End-one.Start, one.Earliest, one.Latest, one.Removed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d offsets, %s%d records of %d bytes before they are chosen, %s at least\n", p.Offsets, about, p.Records, p.Bytes,
		time.Duration(p.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	for _, what := range p.Touches {
		fmt.Fprintf(out, "touches %s\n", what)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	return nil
}

func replayRun(program string, topologies []*topology.Topology, resume bool) *cobra.Command {
	f := replayFlags{processes: true}
	cmd := f.command(topologies, true, func(cmd *cobra.Command, t *replay.Tool, j *replay.Job) error {
		run := t.Run
		if resume {
			run = t.Resume
		}
		r, err := run(cmd.Context(), j, f.o)
		if r != nil {
			err = errors.Join(f.print(cmd, r), err)
		}
		if err != nil && r != nil && r.State != replay.Done {
			err = fmt.Errorf("%w\nreplay %s is not done: %d of %d offsets are; continue it with %s replay resume FILE", err, j.Name, r.Done, r.Offsets, program)
		}
		if r == nil && errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
			err = fmt.Errorf("replay %s: this run was ended before it processed anything: run it again, or give it up with %s replay stop FILE: %w", j.Name, program, err)
		}
		if _, refused := errors.AsType[*replay.RefusedError](err); refused {
			return withCode(exitRefused, err)
		}
		return classified(err)
	})
	if resume {
		cmd.Use, cmd.Short = "resume FILE", "Continue a replay that was ended"
		cmd.Example = example(program, "replay resume replay.yaml --brokers localhost:9092")
	} else {
		cmd.Use, cmd.Short = "run FILE", "Carry a replay out, or continue it, and print its receipt"
		cmd.Long = cmd.Short + ".\nA replay that is done is not done again, unless --force is given. Ctrl-C, and kill -9 too, leave what is done; the same command\n" +
			"continues from there. The exit code is 0 only when the replay is done."
		cmd.Example = example(program, "replay run replay.yaml --brokers localhost:9092", `replay run replay.yaml --brokers localhost:9092 --why "bug 4711 is mended" --json`)
		f.earliest(cmd)
		cmd.Flags().BoolVar(&f.o.Force, "force", false, "also a replay that is done, or that began with another file, and a shadow that began with another build: it begins again")
	}
	addWhy(cmd, &f.o.Why)
	return cmd
}

// print writes a receipt.
func (f *replayFlags) print(cmd *cobra.Command, r *replay.Receipt) error {
	if f.output == OutputJSON {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	r.Print(cmd.OutOrStdout())
	return nil
}

func replayStatus(program string, topologies []*topology.Topology) *cobra.Command {
	var f replayFlags
	cmd := f.command(topologies, true, func(cmd *cobra.Command, t *replay.Tool, j *replay.Job) error {
		r, err := t.Stands(cmd.Context(), j)
		if r != nil {
			err = errors.Join(f.print(cmd, r), err)
		}
		if err != nil {
			return err
		}
		if r.State != replay.Done {
			return fmt.Errorf("replay %s is not done: %d of %d offsets are, the last at %s", r.Job, r.Done, r.Offsets, r.At.Format(time.RFC3339))
		}
		return nil
	})
	cmd.Use, cmd.Short = "status FILE", "Show how far a replay is, or its receipt"
	cmd.Long = cmd.Short + ".\nThe exit code is 0 only when the replay is done."
	cmd.Example = example(program, "replay status replay.yaml --brokers localhost:9092 --json")
	return cmd
}

func replayStop(program string, topologies []*topology.Topology) *cobra.Command {
	var f replayFlags
	cmd := f.command(topologies, true, func(cmd *cobra.Command, t *replay.Tool, j *replay.Job) error {
		r, err := t.Stop(cmd.Context(), j)
		if err != nil {
			return err
		}
		if r.State == replay.Stopped {
			fmt.Fprintln(cmd.ErrOrStderr(), "it is stopped")
		} else if r.State == replay.Begun {
			fmt.Fprintln(cmd.ErrOrStderr(), "the process that runs it is asked to stop; replay status shows when it has")
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "nothing to do: the replay is %s\n", r.State)
		}
		return f.print(cmd, r)
	})
	cmd.Use, cmd.Short = "stop FILE", "Ask the process that runs a replay, wherever it is, to stop after its transaction"
	cmd.Example = example(program, "replay stop replay.yaml --brokers localhost:9092")
	return cmd
}

func replayList(program string, topologies []*topology.Topology) *cobra.Command {
	var f replayFlags
	cmd := f.command(topologies, false, func(cmd *cobra.Command, t *replay.Tool, _ *replay.Job) error {
		all, err := t.List(cmd.Context())
		if err != nil {
			return err
		}
		if f.output == OutputJSON {
			return writeJSON(cmd.OutOrStdout(), all)
		}
		if len(all) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "no replay has run")
			return nil
		}
		w := table(cmd.OutOrStdout(), "JOB", "STATE", "FROM", "INTO", "DONE", "OFFSETS", "BEGAN", "WHO")
		for _, r := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s %s\t%d\t%d\t%s\t%s\n", r.Job, r.State, r.From, r.Into, cmp.Or(r.Topology, r.To), r.Done, r.Offsets, r.Began.Format(time.RFC3339), r.Who)
		}
		return w.Flush()
	})
	cmd.Use, cmd.Short = "list", "List all replays, the newest first"
	cmd.Example = example(program, "replay list --brokers localhost:9092", "replay list --brokers localhost:9092 --json")
	return cmd
}

func (f *replayFlags) earliest(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.o.FromEarliest, "from-earliest", false, "where retention has removed records that are asked for, begin with what is there")
}

// command is a command over a file of a replay, or over all jobs.
func (f *replayFlags) command(topologies []*topology.Topology, file bool, do func(*cobra.Command, *replay.Tool, *replay.Job) error) *cobra.Command {
	var j *replay.Job
	var opts processors.Options
	o := verb{
		knows: settings.Table(), topologies: topologies, output: &f.output,
		check: func(cmd *cobra.Command, args []string, v *settings.Values) (wrong error) {
			if file {
				j, wrong = replay.ReadFile(args[0])
			}
			if wrong == nil && f.processes && j.Topology != "" {
				_, wrong = pickFor(topologies, j.Topology)
			}
			var err error
			opts, err = InstanceOptions(v)
			opts.Log, _ = newToolLog(cmd.ErrOrStderr(), v) // WithClient refuses what is wrong with it
			return errors.Join(wrong, err)
		},
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			opts.Log = quiet(opts.Log)
			opts.DeadLetters = deadLetters(topologies, namesOf(v))
			bar := newProgress(cmd.ErrOrStderr())
			defer bar.end()
			return do(cmd, &replay.Tool{
				Client: client, Names: namesOf(v), Who: who(v), Options: opts, Log: opts.Log, Progress: bar.at,
				Say: func(text string) { notice(cmd, text) },
				Topology: func(name string, names plan.Names) (*plan.Plan, error) {
					t, err := pickFor(topologies, name)
					if err != nil {
						return nil, withCode(exitUsage, err)
					}
					p, err := t.Plan(names)
					return p, withCode(exitRefused, err)
				},
			}, j)
		},
	}
	if file {
		o.args = func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("which replay? give its file: %s", cmd.UseLine())
			}
			return nil
		}
	}
	return o.command()
}

// pickFor is the topology that a file names.
func pickFor(topologies []*topology.Topology, name string) (*topology.Topology, error) {
	t, err := pick(topologies, name)
	if err != nil {
		return nil, fmt.Errorf("topology: %w: run the program that contains it", err)
	}
	return t, nil
}
