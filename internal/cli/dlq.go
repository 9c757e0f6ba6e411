package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/topology"
)

// dlqCommand is the face of internal/letters. Only try needs a topology: a letter says where it belongs.
func dlqCommand(p Program) *cobra.Command {
	program, topologies := p.Name, p.Topologies
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters, try, redrive or discard them",
		Long: "Looks at the dead letters of a topic, sends them back into the topology that they failed in, or discards them. docs/failures.md\n" +
			"tells how. A letter is open until it was redriven or discarded; it stays in its topic until the topic's retention.\n\n" +
			"Where runs have a topic.prefix, give it here too; --topic is the name in the cluster, with its prefix.",
		RunE: Group,
	}
	cmd.AddCommand(dlqList(program), dlqShow(program, topologies), dlqExport(program), dlqTry(program, topologies), dlqMove(p, letters.Redrive), dlqMove(p, letters.Discard), dlqParked(program, topologies))
	return cmd
}

// dlqFlags are what the verbs share.
type dlqFlags struct {
	chosen
	topic, output, topology string
	any                     bool // where nothing is chosen all letters are meant
	which                   letters.Selection
	order                   letters.Order
	execute                 bool
	rate                    int
	topologies              []*topology.Topology // of verbs that are about them
	names                   plan.Names
}

func dlqList(program string) *cobra.Command {
	f := dlqFlags{any: true}
	noIndex := false
	cmd := f.command(program, nil, func(cmd *cobra.Command, t *letters.Tool) error {
		if !noIndex {
			t.Index = letterIndex()
		}
		all, err := t.List(cmd.Context(), f.which)
		if err != nil {
			return err
		}
		if all.NoLetters > 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), noLetters(f.topic, all.NoLetters, all.Open+all.Resolved))
		}
		switch {
		case all.Open == 0 && all.Resolved == 0 && all.NoLetters > 0: // it is said
		case all.Open == 0:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: no letter is open, %d were redriven or discarded\n", f.topic, all.Resolved)
		case len(all.Groups) == 0:
			fmt.Fprintf(cmd.ErrOrStderr(), "none of the %d open letters is meant\n", all.Open)
		}
		if n := int64(len(all.Groups)); f.limit > 0 && n > f.limit {
			all.Groups = all.Groups[:f.limit]
			fmt.Fprintf(cmd.ErrOrStderr(), "the %d largest of %d groups: --limit 0 lists all\n", f.limit, n)
		}
		if f.output == OutputJSON {
			return writeJSON(cmd.OutOrStdout(), list(all.Groups))
		}
		if len(all.Groups) == 0 {
			return nil
		}
		w := table(cmd.OutOrStdout(), "FINGERPRINT", "COUNT", "PARKED", "FIRST", "LAST", "NODE", "EXAMPLE", "REASON")
		for _, g := range all.Groups {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%d/%d\t%s\n", g.Fingerprint, g.Count, g.Parked, g.First.Format(time.RFC3339), g.Last.Format(time.RFC3339), g.Node,
				g.Example.Partition, g.Example.Offset, brief(g.Reason))
		}
		return w.Flush()
	})
	cmd.Use, cmd.Short = "list", "List the open letters, grouped by what they failed of"
	cmd.Long = cmd.Short + ".\nPARKED is how many records of their keys wait for them. EXAMPLE is the partition and the offset of the newest letter of the group: dlq show --partition P --offset O."
	cmd.Example = example(program, "dlq list --brokers localhost:9092 --topic order.placed.v1.dlq", "dlq list --brokers localhost:9092 --topic order.placed.v1.dlq --since 24h --json")
	f.choose(cmd, f.any)
	f.limited(cmd, 0, "the most groups to list; 0 for all")
	cmd.Flags().BoolVar(&noIndex, "no-index", false, "read all letters again, and leave no index of a large topic in the user's cache folder")
	return cmd
}

// noLetters says that records of a topic are no dead letters, beside as many that are.
func noLetters(topic string, records, beside int64) string {
	text := fmt.Sprintf("%s: %d records are no dead letters: they have no header that a dead letter of a known system has, and nothing is done with them", topic, records)
	if records == 1 {
		text = fmt.Sprintf("%s: 1 record is no dead letter: it has no header that a dead letter of a known system has, and nothing is done with it", topic)
	}
	if beside == 0 {
		text += "\nno record of it is a dead letter, so this seems to be no topic of dead letters: is its name right?"
	}
	return text
}

// indexLeast is how many offsets a topic has at least for an index: fewer are read in a moment.
const indexLeast = 50_000

// letterIndex is where listings of large topics are remembered, nil where the user has no such folder.
func letterIndex() *letters.Index {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return &letters.Index{Dir: filepath.Join(dir, "weir", "dlq"), Least: indexLeast}
}

// plansOf are the topologies of a program, by their names in the cluster.
func plansOf(topologies []*topology.Topology, names plan.Names) (plans []*plan.Plan, err error) {
	for _, one := range topologies {
		p, err := one.Plan(names)
		if err != nil {
			return nil, withCode(exitRefused, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func dlqMove(p Program, verb letters.Verb) *cobra.Command {
	program := p.Name
	var f dlqFlags
	check := func() error {
		if f.rate < 0 {
			return fmt.Errorf("--rate: %d is not allowed: give letters a second, or 0 for no bound", f.rate)
		}
		if f.order.To != "" && f.order.To == f.topic {
			return fmt.Errorf("--to: %s is the topic of the letters themselves: give another topic", f.order.To)
		}
		if err := plan.CheckTarget(f.order.To); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		return nil
	}
	noIndex := false
	cmd := f.command(program, check, func(cmd *cobra.Command, t *letters.Tool) error {
		if !noIndex {
			t.Index = letterIndex()
		}
		if !p.Examples {
			var err error
			if t.Plans, err = plansOf(p.Topologies, t.Names); err != nil {
				return err
			}
		}
		f.order.Verb, f.order.Selection, f.order.Limit = verb, f.which, f.limit
		r, err := f.carryOut(cmd.Context(), t)
		if r == nil {
			return err
		}
		return errors.Join(f.report(cmd, r), err)
	})
	past := "redriven"
	if verb == letters.Discard {
		past = "discarded"
		cmd.Use, cmd.Short = "discard", "Mark letters as resolved without doing anything with their records"
		cmd.Long = cmd.Short + ".\nThey are not listed any more, and never redriven; they stay in their topic until its retention."
	} else {
		cmd.Use, cmd.Short = "redrive", "Send the records of letters back into the topology that they failed in"
		cmd.Long = cmd.Short + ".\nThey go into the topic <topology>-<input>-redrive, which is made when it is needed and which nobody but the topology reads: running\n" +
			"instances notice it within seconds. Records of one key keep their order. A command that was ended, also by kill -9, is run again\n" +
			"and redrives what is left: each letter once."
		cmd.Flags().StringVar(&f.order.To, "to", "", "where to: origin (the topic where the records were read first, which all its readers see) or a topic; default: the redrive topic of the topology")
		cmd.Flags().BoolVar(&f.order.Force, "force", false, fmt.Sprintf("also letters that were redriven %d times, of inputs that their topology does not read, and of records that were processed again since", letters.MaxRedrives))
	}
	cmd.Example = example(program, fmt.Sprintf("dlq %s --brokers localhost:9092 --topic order.placed.v1.dlq --fingerprint 1f2e3d4c5b6a7988", verb),
		fmt.Sprintf(`dlq %s --brokers localhost:9092 --topic order.placed.v1.dlq --fingerprint 1f2e3d4c5b6a7988 --why "bug 4711 is mended" --execute`, verb))
	f.choose(cmd, f.any)
	f.limited(cmd, 0, "the most letters that this run takes; 0 for all")
	addWhy(cmd, &f.order.Why)
	cmd.Flags().BoolVar(&noIndex, "no-index", false, "read all letters also where the index that dlq list leaves of a large topic says that none is meant")
	cmd.Flags().IntVar(&f.rate, "rate", 0, "the most letters a second that are "+past+"; 0 for no bound")
	addExecute(cmd, &f.execute)
	return cmd
}

func (f *dlqFlags) carryOut(ctx context.Context, t *letters.Tool) (*letters.Result, error) {
	if !f.execute {
		return t.Plan(ctx, f.order)
	}
	return t.Execute(ctx, f.order, f.rate)
}

// report says what came of an order. Letters that were refused make it fail: the job is not done.
func (f *dlqFlags) report(cmd *cobra.Command, r *letters.Result) error {
	messages := cmd.ErrOrStderr()
	if f.output == OutputJSON {
		if err := writeJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else {
		printResult(cmd.OutOrStdout(), r)
	}
	if r.NoLetters > 0 {
		fmt.Fprintln(messages, noLetters(r.Topic, r.NoLetters, r.Open+r.Resolved))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(messages, "note: %s\n", note)
	}
	switch {
	case r.NoLetters > 0 && r.Selected == 0 && r.Open == 0: // it is said
	case r.Selected == 0 && len(r.Refused) == 0 && r.Open == 0:
		fmt.Fprintf(messages, "%s is drained: no letter is open\n", r.Topic)
	case r.Selected == 0 && len(r.Refused) == 0:
		fmt.Fprintln(messages, "nothing to do: no open letter is meant")
	case !r.Executed && r.Selected > 0:
		notExecuted(cmd)
	case r.Executed && r.Open == 0:
		fmt.Fprintf(messages, "done: %s is drained, no letter is open\n", r.Topic)
	}
	var errs []error
	for _, why := range slices.Sorted(maps.Keys(r.Refused)) {
		errs = append(errs, fmt.Errorf("%d left alone: %s", r.Refused[why], why))
	}
	if r.Selected > 0 {
		askWhy(cmd, f.order.Why)
	}
	if !r.Executed {
		for _, err := range errs {
			fmt.Fprintln(messages, err)
		}
		return nil
	}
	return errors.Join(errs...)
}

// printResult says what was chosen, and what was done with it by whom.
func printResult(out io.Writer, r *letters.Result) {
	into := "  %d into %s\n"
	if r.Executed && r.Done < r.Selected {
		into = "  %d of those selected are for %s\n"
	}
	if r.TakenOver {
		fmt.Fprintf(out, "selected %d, done %d by this command, which has lost its place; open when it ended %d\n", r.Selected, r.Done, r.Open)
		for _, o := range r.Others {
			fmt.Fprintf(out, "  %d %s since by %s, job %s\n", o.Done, o.How, o.Who, o.Job)
		}
	} else {
		fmt.Fprintf(out, "selected %d, done %d, open afterwards %d\n", r.Selected, r.Done, r.Open)
	}
	for _, topic := range slices.Sorted(maps.Keys(r.Into)) {
		fmt.Fprintf(out, into, r.Into[topic], topic)
	}
	if r.Executed && r.Resolved > 0 {
		fmt.Fprintf(out, "  %d letters of the topic were redriven, discarded or answered before this command began\n", r.Resolved)
	}
}

// command is a command over one topic of dead letters. check refuses wrong use before anything is connected to.
func (f *dlqFlags) command(program string, check func() error, do func(*cobra.Command, *letters.Tool) error) *cobra.Command {
	cmd := verb{
		knows:      slices.DeleteFunc(settings.OfClient(), func(s *settings.Setting) bool { return s == settings.Topology.Setting && f.topologies == nil }),
		topologies: f.topologies, output: &f.output,
		check: func(cmd *cobra.Command, _ []string, v *settings.Values) (wrong error) {
			f.topology, f.names = settings.Topology.Of(v), namesOf(v)
			f.which, wrong = f.selection(cmd, f.any, time.Now())
			if f.topic == "" {
				wrong = errors.Join(errors.New("which topic? give the topic of dead letters with --topic, such as order.placed.v1.dlq"), wrong)
			}
			if check != nil {
				wrong = errors.Join(wrong, check())
			}
			return wrong
		},
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			bar := newProgress(cmd.ErrOrStderr())
			defer bar.end()
			return do(cmd, &letters.Tool{Client: client, Names: f.names, Topic: f.topic, Who: who(v), Progress: bar.at})
		},
	}.command()
	cmd.Flags().StringVar(&f.topic, "topic", "", "the topic of dead letters, as it is called in the cluster; required")
	return cmd
}
