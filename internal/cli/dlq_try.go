package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/topology"
)

// dlqTry is the verb that needs the topologies.
func dlqTry(program string, topologies []*topology.Topology) *cobra.Command {
	f := dlqFlags{topologies: list(topologies)}
	var o letters.TrialOptions
	check := func() (err error) {
		if len(topologies) == 0 {
			return fmt.Errorf("%s contains no topology, so it cannot try letters: run the program of the topology, as in: totals dlq try --topic %s --all", program, f.topic)
		}
		chosen := topologies
		if f.topology != "" {
			one, err := pick(topologies, f.topology)
			if err != nil {
				return err
			}
			chosen = []*topology.Topology{one}
		}
		o.Plans, err = plansOf(chosen, f.names)
		return err
	}
	cmd := f.command(program, check, func(cmd *cobra.Command, t *letters.Tool) error {
		r, err := t.Try(cmd.Context(), f.which, f.limit, o)
		if err != nil {
			return err
		}
		if f.output == OutputJSON {
			err = writeJSON(cmd.OutOrStdout(), r)
		} else {
			err = printTrial(cmd.OutOrStdout(), r)
		}
		return errors.Join(err, f.untried(cmd, r))
	})
	cmd.Use, cmd.Short = "try", "Say how many letters would pass now, and why the others would not, with nothing written anywhere"
	cmd.Long = cmd.Short + ".\nToday's program processes the open letters that are chosen, in the order of a redrive, on copies of the stores as they are now, in a\n" +
		"temporary folder (TMPDIR). With --topology only letters of that one are tried. Where none of the letters could be tried, the exit code is 1. Nothing is written to Kafka, and instances may run meanwhile. A record is tried once, and no broker is asked whether it\n" +
		"takes the outputs. Letters whose nodes call a service are left out, unless --call-services is given: what such a call changes, it changes."
	cmd.Example = example(program, "dlq try --brokers localhost:9092 --topic order.placed.v1.dlq --all",
		"dlq try --brokers localhost:9092 --topic order.placed.v1.dlq --fingerprint 1f2e3d4c5b6a7988 --limit 1000 --json")
	f.choose(cmd, f.any)
	f.limited(cmd, 0, "the most letters to try; 0 for all")
	cmd.Flags().BoolVar(&o.Call, "call-services", false, "have nodes call the services that they depend on, for real")
	var state string
	addChoice(cmd, &state, "state", "what the stores hold at the beginning", "now", "empty")
	cmd.PreRun = func(*cobra.Command, []string) { o.Empty = state == "empty" }
	return cmd
}

// untried fails where letters are chosen and none of them was tried: that says nothing of them. Where none is chosen it says so.
func (f *dlqFlags) untried(cmd *cobra.Command, r *letters.Trial) error {
	if r.Selected == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: no open letter is meant\n", f.topic)
	}
	if r.Selected == 0 || r.Passed+r.Failed > 0 {
		return nil
	}
	var whys []error
	for _, why := range slices.Sorted(maps.Keys(r.Untried)) {
		whys = append(whys, fmt.Errorf("%d not tried: %s", r.Untried[why], why))
	}
	return fmt.Errorf("none of the %d letters was tried, so whether they would pass is not known\n%w", r.Selected, errors.Join(whys...))
}

func printTrial(out io.Writer, r *letters.Trial) error {
	fmt.Fprintf(out, "selected %d: %d would pass, %d would fail again\n", r.Selected, r.Passed, r.Failed)
	for _, how := range slices.Sorted(maps.Keys(r.Outcomes)) {
		fmt.Fprintf(out, "  %d %s\n", r.Outcomes[how], how)
	}
	for _, topic := range slices.Sorted(maps.Keys(r.Outputs)) {
		fmt.Fprintf(out, "  %d records for %s\n", r.Outputs[topic], topic)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Outside)) {
		fmt.Fprintf(out, "  %d would write to %s, which was neither written to nor asked whether it takes that\n", r.Outside[name], name)
	}
	for _, why := range slices.Sorted(maps.Keys(r.Untried)) {
		fmt.Fprintf(out, "  %d not tried: %s\n", r.Untried[why], why)
	}
	if r.Parked > 0 {
		fmt.Fprintf(out, "  %d records of their keys wait for them, and were not tried: they follow when the letters have passed, or were discarded\n", r.Parked)
	}
	if len(r.Groups) == 0 {
		return nil
	}
	w := table(out, "FINGERPRINT", "COUNT", "AS BEFORE", "NODE", "EXAMPLE", "REASON")
	for _, g := range r.Groups {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d/%d\t%s\n", g.Fingerprint, g.Count, g.Before, g.Node, g.Example.Partition, g.Example.Offset, brief(g.Reason))
	}
	return w.Flush()
}
