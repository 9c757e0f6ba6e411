package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/topology"
)

// dlqParked is about keys that are parked, which the topology's stores hold: it needs the topology.
func dlqParked(program string, topologies []*topology.Topology) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Look at parked keys, and release those whose letter is gone",
		Long: "Looks at the keys of which records wait for a dead letter or a delayed record (docs/failures.md), and releases those that wait for one that is\n" +
			"nowhere any more, because the retention of its topic has removed it: nothing else would end their wait.",
		RunE: Group,
	}
	cmd.AddCommand(dlqParkedList(program, topologies), dlqParkedRelease(program, topologies))
	return cmd
}

// parkedFlags are what the verbs share.
type parkedFlags struct {
	output, key, keyBytes, why string
	all, execute               bool
}

func dlqParkedList(program string, topologies []*topology.Topology) *cobra.Command {
	var f parkedFlags
	cmd := f.command(topologies, nil, func(cmd *cobra.Command, t *letters.Tool, p *plan.Plan) error {
		all, err := t.Parked(cmd.Context(), p)
		if err != nil {
			return err
		}
		if f.output == OutputJSON {
			return writeJSON(cmd.OutOrStdout(), list(all))
		}
		if len(all) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "topology %s: no key is parked\n", p.Topology)
			return nil
		}
		w := table(cmd.OutOrStdout(), "INPUT", "KEY", "WAITING", "SINCE", "STATE", "HEAD", "LETTER", "NODE", "FINGERPRINT")
		for _, k := range all {
			letter := "-"
			if k.Letter != nil {
				letter = fmt.Sprintf("%s/%d/%d", k.Letter.Topic, k.Letter.Partition, k.Letter.Offset)
			}
			fmt.Fprintf(w, "%s/%d\t%s\t%d\t%s\t%s\t%s/%d/%d\t%s\t%s\t%s\n", k.Input, k.Partition, brief(quoted(k.Key)), k.Waiting, k.Since.Format(time.RFC3339), k.State,
				k.Head.Topic, k.Head.Partition, k.Head.Offset, letter, k.Node, k.Fingerprint)
		}
		return w.Flush()
	})
	cmd.Use, cmd.Short = "list", "List the keys that are parked, and what each waits for"
	cmd.Long = cmd.Short + ".\nHEAD is the record that the others of the key wait for, by where it was read first. STATE is letter (it is an open dead letter: redrive or\n" +
		"discard it), delayed (it is tried again later), underway (it was redriven or discarded), ready (it has passed), or gone: see dlq parked release."
	cmd.Example = example(program, "dlq parked list --brokers localhost:9092", "dlq parked list --brokers localhost:9092 --json")
	return cmd
}

func dlqParkedRelease(program string, topologies []*topology.Topology) *cobra.Command {
	var f parkedFlags
	var key []byte
	check := func(cmd *cobra.Command) (err error) {
		given := 0
		for _, name := range []string{"key", "key-base64", "all"} {
			if cmd.Flags().Changed(name) {
				given++
			}
		}
		if given != 1 {
			return errors.New("which keys? give --key, --key-base64 or --all")
		}
		switch {
		case cmd.Flags().Changed("key"):
			key = []byte(f.key)
		case cmd.Flags().Changed("key-base64"):
			if key, err = base64.StdEncoding.DecodeString(f.keyBytes); err != nil {
				return fmt.Errorf("--key-base64: %w", err)
			}
		}
		return nil
	}
	cmd := f.command(topologies, check, func(cmd *cobra.Command, t *letters.Tool, p *plan.Plan) error {
		r, err := t.Release(cmd.Context(), p, key, f.why, f.execute)
		if r == nil {
			return err
		}
		if f.output == OutputJSON {
			err = errors.Join(writeJSON(cmd.OutOrStdout(), r), err)
		} else {
			fmt.Fprintf(cmd.OutOrStdout(), "selected %d, done %d; %d records wait for them\n", r.Selected, r.Done, r.Waiting)
		}
		messages := cmd.ErrOrStderr()
		for _, why := range slices.Sorted(maps.Keys(r.Refused)) {
			left := fmt.Errorf("%d keys are left as they are: %s", r.Refused[why], why)
			if f.execute {
				err = errors.Join(err, left) // as a redrive that leaves letters alone
			} else {
				fmt.Fprintln(messages, left)
			}
		}
		switch {
		case r.Selected == 0:
			fmt.Fprintln(messages, "nothing to do: no such key waits for a letter that is gone")
		case !f.execute:
			notExecuted(cmd)
		case r.Done == r.Selected:
			fmt.Fprintln(messages, "done: instances that run work the queues off; others do when they are started")
		}
		if r.Selected > 0 {
			askWhy(cmd, f.why)
		}
		return err
	})
	cmd.Use, cmd.Short = "release", "Have records processed that wait for a letter which is gone"
	cmd.Long = cmd.Short + ".\nThe topology is told through its redrive topic, as when a letter is discarded. Keys that wait for anything that is still there are left alone."
	cmd.Example = example(program, "dlq parked release --brokers localhost:9092 --all",
		`dlq parked release --brokers localhost:9092 --key customer-7 --why "its letter was older than 30 days" --execute`)
	cmd.Flags().StringVar(&f.key, "key", "", "this key")
	cmd.Flags().StringVar(&f.keyBytes, "key-base64", "", "this key, which is no text, in base64")
	cmd.Flags().BoolVar(&f.all, "all", false, "all keys whose letters are gone")
	addWhy(cmd, &f.why)
	addExecute(cmd, &f.execute)
	return cmd
}

// command is a command over the parked keys of a topology.
func (f *parkedFlags) command(topologies []*topology.Topology, check func(*cobra.Command) error, do func(*cobra.Command, *letters.Tool, *plan.Plan) error) *cobra.Command {
	var p *plan.Plan
	return verb{
		knows: settings.OfClient(), topologies: topologies, output: &f.output,
		check: func(cmd *cobra.Command, _ []string, v *settings.Values) (wrong error) {
			if p, wrong = planOf(topologies, v); len(topologies) == 0 {
				wrong = errors.New("this program contains no topology, whose stores hold what is parked: run the program of the topology")
			}
			if check != nil {
				wrong = errors.Join(wrong, check(cmd))
			}
			return wrong
		},
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			bar := newProgress(cmd.ErrOrStderr())
			defer bar.end()
			return do(cmd, &letters.Tool{Client: client, Names: p.Names, Who: who(v), Progress: bar.at}, p)
		},
	}.command()
}
