package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/topology"
)

// offsetsCommand is the face of internal/offsets.
func offsetsCommand(program string, topologies []*topology.Topology) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offsets",
		Short: "Show and set how far a topology has read its inputs",
		Long: "Shows and sets how far a topology has read its inputs, in agreement with its state. What changes offsets is recorded\n" +
			"before it happens, in the topic " + system.Jobs.Name + ": an instance refuses offsets that disagree with its state and were not recorded.\n\n" +
			"Where runs have a topic.prefix, give it here too: group, topics and PREFIX" + system.Jobs.Name + " are then those of that environment.",
		RunE: Group,
	}
	cmd.AddCommand(offsetsShow(program, topologies), offsetsAccept(program, topologies), offsetsReset(program, topologies))
	return cmd
}

// offsetsFlags are what the verbs share.
type offsetsFlags struct {
	output, to, why string
	which           offsets.Selection
	execute, pause  bool
	letters         string // what becomes of letters: see addLetters
	accept          string // see addAccept
	plan            *plan.Plan
}

func offsetsShow(program string, topologies []*topology.Topology) *cobra.Command {
	var f offsetsFlags
	cmd := overOffsets(topologies, &f, nil, func(cmd *cobra.Command, t *offsets.Tool, rows []offsets.Row) error {
		var mends []offsets.Mend
		for _, r := range rows {
			mends = append(mends, r.Mend)
		}
		disagrees := disagreement(program, mends, len(rows))
		if f.output == OutputJSON {
			return errors.Join(writeJSON(cmd.OutOrStdout(), rows), disagrees)
		}
		w := table(cmd.OutOrStdout(), "TOPIC", "PARTITION", "COMMITTED", "STATE", "START", "END", "LAG", "AGREES", "")
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%v\t%s\n", r.Topic, r.Partition, orNone(r.Committed), orNone(r.State), r.Start, r.End, r.Lag, r.Agrees, r.Why)
		}
		return errors.Join(w.Flush(), disagrees)
	})
	cmd.Use, cmd.Short = "show", "Show committed offsets, how far the state has read, and whether the two agree"
	cmd.Long = cmd.Short + fmt.Sprintf(".\nThe topology's redrive and retry topics are shown too, as far as they exist: LAG is what waits there.\nExits %d when they disagree somewhere: an instance would be refused.", exitDisagrees)
	cmd.Example = example(program, "offsets show --brokers localhost:9092", "offsets show --brokers localhost:9092 --output json")
	return cmd
}

// ways say what is wrong and what to do, by what helps: in how many partitions, of how many, and the program's name.
var ways = map[offsets.Mend]string{
	offsets.MendOffsets: "committed offsets and state disagree in %[1]d of %[2]d partitions: a start would be refused; " +
		"%[3]s offsets reset --help tells how to set the offsets, %[3]s offsets accept --help how to go on with them as they are",
	offsets.MendState: "changelogs do not hold the state of %[1]d of %[2]d partitions: a start would be refused, and no offset mends that; " +
		"restore the topic, rebuild the state, or go on without it with %[3]s run --accept-empty-state: docs/offsets.md tells the steps",
	offsets.MendPartitions: "changelogs have another number of partitions than their input, which concerns %[1]d of %[2]d partitions: " +
		"a start would be refused, and no offset mends that; docs/adding-partitions.md tells the ways on",
}

// disagreement is an error where a start would be refused: a line for each way out.
func disagreement(program string, mends []offsets.Mend, all int) error {
	n := map[offsets.Mend]int{}
	for _, m := range mends {
		n[m]++
	}
	var lines []error
	for _, m := range []offsets.Mend{offsets.MendOffsets, offsets.MendState, offsets.MendPartitions} {
		if n[m] > 0 {
			lines = append(lines, fmt.Errorf(ways[m], n[m], all, program))
		}
	}
	return withCode(exitDisagrees, errors.Join(lines...))
}

func offsetsAccept(program string, topologies []*topology.Topology) *cobra.Command {
	var f offsetsFlags
	cmd := overOffsets(topologies, &f, func() error { return reason(f.why) }, func(cmd *cobra.Command, t *offsets.Tool, rows []offsets.Row) error {
		changes, kept, err := t.Accept(rows, f.which)
		if err != nil {
			return withCode(exitUsage, err)
		}
		return f.change(cmd, program, t, changes, kept, false)
	})
	cmd.Use, cmd.Short = "accept", "Record that committed offsets and state disagree as they do, so that instances start with them"
	cmd.Example = example(program, `offsets accept --brokers localhost:9092 --why "replay wanted by finance" --execute`)
	f.add(cmd)
	return cmd
}

func offsetsReset(program string, topologies []*topology.Topology) *cobra.Command {
	var f offsetsFlags
	var where offsets.Where
	check := func() (err error) {
		where, err = offsets.ParseWhere(f.to)
		switch {
		case f.to == "":
			err = errors.New("where to? give --to earliest, latest, state, an offset, or a time such as 2026-01-31T08:00:00Z")
		case err != nil:
			err = fmt.Errorf("--to: %w", err)
		}
		return errors.Join(err, reason(f.why))
	}
	cmd := overOffsets(topologies, &f, check, func(cmd *cobra.Command, t *offsets.Tool, rows []offsets.Row) error {
		changes, kept, err := t.Plan(cmd.Context(), rows, f.which, where)
		if err != nil {
			return withCode(exitUsage, err)
		}
		reader := t.Client.NewFetcher(1 << 20)
		defer reader.Close()
		if err := t.Twice(cmd.Context(), reader, rows, changes); err != nil {
			return withCode(exitRefused, err)
		}
		return f.change(cmd, program, t, changes, kept, true)
	})
	cmd.Use, cmd.Short = "reset", "Record a reset and set the offsets of a topology that is stopped or paused"
	cmd.Long = "Records a reset and sets the committed offsets of a topology whose instances are stopped or paused; --pause has them paused meanwhile. The state stays as it is:\n" +
		"records that are read again are counted again, unless the topology deduplicates or its state is rebuilt.\n\n" +
		"--to state sets what disagrees to where the state stands, and keeps the rest. Records after the last one that changed the\n" +
		"state are processed again where Weir's own offset is lost: nothing is counted twice, but their outputs and dead letters\n" +
		"may come twice.\n\n" +
		"Redrive and retry topics go along where the group has no offset of them: to where the state stands, or with --to earliest and latest to their ends,\n" +
		"since the inputs bring the same records again."
	cmd.Example = example(program,
		`offsets reset --brokers localhost:9092 --to state --why "the group was idle over the holidays" --execute`,
		`offsets reset --brokers localhost:9092 --topic order.placed.v1 --partition 3 --to 1200 --why "replay of a bad hour" --execute`)
	f.add(cmd)
	cmd.Flags().StringVar(&f.to, "to", "", "where to: earliest, latest, state (where the state stands), an offset, or a time as in RFC 3339")
	return cmd
}

func (f *offsetsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.which.Topic, "topic", "", "input topic, or one of its redrive and retry topics, as it is named in the cluster, with its topic.prefix; all inputs of the topology where it is not given")
	cmd.Flags().Int32Var(&f.which.Partition, "partition", -1, "partition; all where it is not given")
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, which is recorded; required")
	f.addLetters(cmd)
	addExecute(cmd, &f.execute)
	addPause(cmd, &f.pause)
}

// change shows changes, and does them when told to. It fails where a partition that was meant disagrees and is not changed.
func (f *offsetsFlags) change(cmd *cobra.Command, program string, t *offsets.Tool, changes []offsets.Change, kept []offsets.Kept, commit bool) error {
	again, err := f.record(cmd.Context(), t, changes, commit)
	if err != nil {
		return err
	}
	var mends []offsets.Mend
	for _, k := range kept {
		mends = append(mends, k.Mend)
	}
	emptied := 0 // changes that go with a state that is gone, as when it is rebuilt
	for _, c := range changes {
		if c.Mend == offsets.MendPartitions {
			mends = append(mends, c.Mend)
		} else if c.Mend == offsets.MendState {
			emptied++
		}
	}
	left := disagreement(program, mends, len(changes)+len(kept))
	out, messages := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if f.output == OutputJSON {
		return errors.Join(writeJSON(out, map[string]any{"executed": f.execute, "changes": list(changes), "kept": list(kept), "letters": again.answered, "letters_reopened": again.reopened}), left)
	}
	w := table(out, "TOPIC", "PARTITION", "COMMITTED", "STATE", "NEW")
	for _, c := range changes {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", c.Topic, c.Partition, orNone(c.Committed), orNone(c.State), orNone(c.New))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, k := range kept {
		fmt.Fprintf(messages, "%s/%d is kept as it is: %s\n", k.Topic, k.Partition, k.Why)
	}
	if emptied > 0 {
		fmt.Fprintf(messages, "changelogs do not hold the state of %s: rebuild it as docs/offsets.md tells, and start once with --accept-empty-state\n",
			partitionCount(emptied))
	}
	for _, line := range again.lines(f.execute) {
		fmt.Fprintln(messages, line)
	}
	switch {
	case len(changes) == 0 && left != nil: // the error says it
	case len(changes) == 0 && len(kept) == 0:
		fmt.Fprintln(messages, "nothing to do: committed offsets and state agree")
	case len(changes) == 0:
		fmt.Fprintln(messages, "nothing to do")
	case !f.execute:
		notExecuted(cmd)
	case commit:
		fmt.Fprintf(messages, "done: recorded and set in %s\n", partitionCount(len(changes)))
	default:
		fmt.Fprintf(messages, "done: recorded for %s, no offset was changed\n", partitionCount(len(changes)))
	}
	return left
}

func partitionCount(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// list is a list that JSON shows as one where it is empty.
func list[T any](items []T) []T { return append([]T{}, items...) }

func orNone(n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

// overOffsets is a command that looks at the offsets of one topology first. check refuses wrong use before anything is connected to.
func overOffsets(topologies []*topology.Topology, f *offsetsFlags, check func() error, do func(*cobra.Command, *offsets.Tool, []offsets.Row) error) *cobra.Command {
	f.which.Partition = -1
	var tool *offsets.Tool
	return verb{
		knows: settings.OfClient(), topologies: topologies, output: &f.output,
		check: func(cmd *cobra.Command, _ []string, v *settings.Values) (wrong error) {
			if f.plan, wrong = planOf(topologies, v); wrong == nil {
				tool = offsetsTool(f.plan, who(v))
				wrong = f.which.Among(tool.Graphs)
			}
			wrong = errors.Join(wrong, f.checkLetters())
			if check != nil {
				wrong = errors.Join(wrong, check())
			}
			return wrong
		},
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			tool.Client = client
			change := func() error {
				rows, err := tool.Show(cmd.Context())
				if err != nil {
					return err
				}
				return do(cmd, tool, rows)
			}
			if !f.pause || !f.execute {
				return change()
			}
			return whilePaused(cmd, &desired.Tool{Client: client, Names: f.plan.Names, Topology: f.plan.Topology, Who: who(v)}, f.why, change)
		},
	}.command()
}

// offsetsTool is the tool for a topology.
func offsetsTool(p *plan.Plan, who string) *offsets.Tool {
	tool := &offsets.Tool{Topology: p.Topology, Group: p.Group(), Jobs: p.Names.System(system.Jobs.Name), Who: who}
	for _, g := range p.Subgraphs {
		var part offsets.Graph
		for _, s := range g.Stores {
			part.Stores = append(part.Stores, offsets.Store{Name: s.Name, Changelog: p.Changelog(s)})
		}
		for _, in := range g.Inputs {
			part.Inputs = append(part.Inputs, p.Topic(in))
		}
		for _, topic := range p.Asides(nil) {
			if slices.Contains(part.Inputs, topic.PartitionsOf) {
				part.Asides = append(part.Asides, offsets.Aside{Topic: topic.Name, Of: topic.PartitionsOf})
			}
		}
		tool.Graphs = append(tool.Graphs, part)
	}
	return tool
}
