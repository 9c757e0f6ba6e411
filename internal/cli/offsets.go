package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/kafka"
	"github.com/weirstream/weir/topology"
)

// offsetsCommand is the face of internal/offsets.
func offsetsCommand(program string, topologies []*topology.Topology) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offsets",
		Short: "Show and set how far a topology has read its inputs",
		Long: "Shows and sets how far a topology has read its inputs, in agreement with its state. What changes offsets is recorded\n" +
			"before it happens, in the topic " + offsets.JobsTopic + ": an instance refuses offsets that disagree with its state and were not recorded.",
		RunE: group,
	}
	cmd.AddCommand(offsetsShow(program, topologies), offsetsAccept(program, topologies), offsetsReset(program, topologies))
	return cmd
}

// offsetsFlags are what the verbs share.
type offsetsFlags struct {
	json, execute  bool
	topic, to, why string
	partition      int32
}

func offsetsShow(program string, topologies []*topology.Topology) *cobra.Command {
	var f offsetsFlags
	cmd := overOffsets(topologies, &f, func(cmd *cobra.Command, t *offsets.Tool, rows []offsets.Row) error {
		if f.json {
			return writeJSON(cmd.OutOrStdout(), rows)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "TOPIC\tPARTITION\tCOMMITTED\tSTATE\tSTART\tEND\tLAG\tAGREES\t")
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%v\t%s\n", r.Topic, r.Partition, orNone(r.Committed), orNone(r.State), r.Start, r.End, r.Lag, r.Agrees, r.Why)
		}
		return w.Flush()
	})
	cmd.Use, cmd.Short = "show", "Show committed offsets, how far the state has read, and whether the two agree"
	cmd.Example = example(program, "offsets show --brokers localhost:9092")
	return cmd
}

func offsetsAccept(program string, topologies []*topology.Topology) *cobra.Command {
	var f offsetsFlags
	cmd := overOffsets(topologies, &f, func(cmd *cobra.Command, t *offsets.Tool, rows []offsets.Row) error {
		return f.change(cmd, t, t.Accept(rows, f.topic, f.partition), false)
	})
	cmd.Use, cmd.Short = "accept", "Record that committed offsets and state disagree as they do, so that instances start with them"
	cmd.Example = example(program, `offsets accept --brokers localhost:9092 --why "replay wanted by finance" --execute`)
	f.add(cmd)
	return cmd
}

func offsetsReset(program string, topologies []*topology.Topology) *cobra.Command {
	var f offsetsFlags
	cmd := overOffsets(topologies, &f, func(cmd *cobra.Command, t *offsets.Tool, rows []offsets.Row) error {
		if f.to == "" {
			return withCode(exitUsage, errors.New("where to? give --to earliest, latest, state, an offset, or a time such as 2026-01-31T08:00:00Z"))
		}
		changes, err := t.Plan(cmd.Context(), rows, f.topic, f.partition, f.to)
		if err != nil {
			return withCode(exitUsage, err)
		}
		return f.change(cmd, t, changes, true)
	})
	cmd.Use, cmd.Short = "reset", "Record a reset and set the offsets of a stopped topology"
	cmd.Long = "Records a reset and sets the committed offsets of a topology whose instances are stopped. The state stays as it is:\n" +
		"records that are read again are counted again, unless the topology deduplicates or its state is rebuilt."
	cmd.Example = example(program,
		`offsets reset --brokers localhost:9092 --to state --why "the group was idle over the holidays" --execute`,
		`offsets reset --brokers localhost:9092 --topic order.placed.v1 --partition 3 --to 1200 --why "replay of a bad hour" --execute`)
	f.add(cmd)
	cmd.Flags().StringVar(&f.to, "to", "", "where to: earliest, latest, state (where the state stands), an offset, or a time as in RFC 3339")
	return cmd
}

func (f *offsetsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.topic, "topic", "", "input topic; all inputs of the topology where it is not given")
	cmd.Flags().Int32Var(&f.partition, "partition", -1, "partition; all where it is not given")
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, which is recorded; required")
	cmd.Flags().BoolVar(&f.execute, "execute", false, "do it; without it the command shows what it would do and changes nothing")
}

// change shows changes, and does them when told to.
func (f *offsetsFlags) change(cmd *cobra.Command, t *offsets.Tool, changes []offsets.Change, commit bool) error {
	if f.why == "" {
		return withCode(exitUsage, errors.New("why? give the reason with --why TEXT: it is recorded"))
	}
	if f.execute && len(changes) > 0 {
		if err := t.Record(cmd.Context(), changes, f.why, commit); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	if f.json {
		return writeJSON(out, map[string]any{"executed": f.execute, "changes": changes})
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tCOMMITTED\tSTATE\tNEW")
	for _, c := range changes {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", c.Topic, c.Partition, orNone(c.Committed), orNone(c.State), orNone(c.New))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing to do: committed offsets and state agree")
	case !f.execute:
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing was changed: add --execute to do it")
	}
	return nil
}

func orNone(n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

// overOffsets is a command that looks at the offsets of one topology first.
func overOffsets(topologies []*topology.Topology, f *offsetsFlags, do func(*cobra.Command, *offsets.Tool, []offsets.Row) error) *cobra.Command {
	cmd := &cobra.Command{
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			v, err := settings.Resolve(settings.Sources{Flags: cmd.Flags(), Env: os.Environ(), ReadFile: os.ReadFile})
			if err != nil {
				return withCode(exitUsage, err)
			}
			chosen, err := pick(topologies, settings.Topology.Of(v))
			if err != nil {
				return withCode(exitUsage, err)
			}
			plan, err := chosen.Plan()
			if err != nil {
				return withCode(exitRefused, err)
			}
			conf, err := kafkaConfig(v)
			if err != nil {
				return withCode(exitUsage, err)
			}
			client, err := kafka.Dial(cmd.Context(), conf, zap.NewNop())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, client.Close()) }()
			tool := &offsets.Tool{Client: client, Topology: plan.Topology, Who: who()}
			for _, g := range plan.Subgraphs {
				var logs []string
				for _, s := range g.Stores {
					logs = append(logs, topology.ChangelogName(plan.Topology, s.Name))
				}
				for _, in := range g.Inputs {
					tool.Inputs = append(tool.Inputs, offsets.Input{Topic: in.Name, Changelogs: logs})
				}
			}
			rows, err := tool.Show(cmd.Context())
			if err != nil {
				return err
			}
			return do(cmd, tool, rows)
		},
	}
	settings.AddFlags(cmd.Flags(), settings.Table(), nil)
	cmd.SetUsageFunc(settings.Usage)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// who is the operator, for the record.
func who() string {
	host, _ := os.Hostname()
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return cmp.Or(name, "unknown") + "@" + cmp.Or(host, "unknown")
}
