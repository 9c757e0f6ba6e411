package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
)

// statusCommand is the face of internal/announced.
func statusCommand(program string) *cobra.Command {
	var output string
	cmd := verb{
		knows: settings.OfClient(), output: &output,
		do: func(cmd *cobra.Command, client *kafka.Client, v *settings.Values) error {
			list, strange, err := announced.List(cmd.Context(), client, namesOf(v), settings.Topology.Of(v))
			if err != nil {
				return err
			}
			if strange > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d records of %s are no announcements that this version understands\n", strange, namesOf(v).System(system.Status.Name))
			}
			if output == OutputJSON {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			paused, err := desired.All(cmd.Context(), client, namesOf(v))
			if err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no instance has announced itself")
			} else if err := printStatus(cmd.OutOrStdout(), list, time.Now()); err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(paused)) {
				for _, h := range paused[name] {
					if only := settings.Topology.Of(v); only == "" || only == name {
						fmt.Fprintf(cmd.OutOrStdout(), "topology %s is paused by %s\n", name, h)
					}
				}
			}
			return nil
		},
	}.command()
	cmd.Use, cmd.Short = "status", "List the instances of all topologies, what they were built from, and how their tasks are"
	cmd.Long = "Lists the instances that have announced themselves in the topic " + system.Status.Name + ", of all topologies or of that which --topology names, whichever\n" +
		"program they are of. An instance announces itself every 30 seconds and when something has changed; one that has missed three is shown\n" +
		"as gone. One that has ended in order is not listed, nor is one with announce=false. With --json all that they say is printed, the graph\n" +
		"of the topology with its topics and schema subjects too.\n\n" +
		"Where runs have a topic.prefix, give it here too: each environment has a topic of its own."
	cmd.Example = example(program, "status --brokers localhost:9092", "status --brokers localhost:9092 --topology customer-totals --json")
	return cmd
}

func printStatus(out io.Writer, list []announced.Listed, now time.Time) error {
	w := table(out, "TOPOLOGY", "INSTANCE", "STATE", "TASKS", "COPIES", "BUILD", "HOST", "STARTED", "HEARD OF")
	for _, l := range list {
		state := l.State
		if l.Gone {
			state = "gone"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s ago\n", l.Topology, l.Instance, state, tasksOf(l.Announcement), copiesOf(l.Announcement),
			buildOf(l.Build), l.Host, l.Started.Format(time.RFC3339), max(0, now.Sub(l.Heard)).Round(time.Second))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range list {
		for _, p := range l.Problems {
			// What a cause says of times, such as since when something waits, is as of then.
			fmt.Fprintf(out, "%s, %s ago: %s: %s\n", l.Instance, max(0, now.Sub(l.Heard)).Round(time.Second), p.Kind, p.Cause)
		}
	}
	return nil
}

// tasksOf is how many tasks are in which state, and how far those are that are being restored.
func tasksOf(a *announced.Announcement) string {
	if a.Cut {
		return "too many to say"
	}
	counts := map[string]int{}
	done, of := int64(0), int64(0)
	for _, t := range a.Tasks {
		counts[t.State]++
		if r := t.Restore; r != nil {
			done, of = done+r.Position-r.From, of+r.To-r.From
		}
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		part := fmt.Sprintf("%d %s", counts[state], state)
		if state == "restoring" && of > 0 {
			part += fmt.Sprintf(" (%d%%)", 100*done/of)
		}
		parts = append(parts, part)
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// copiesOf is how many copies are kept, and how many of them are warm.
func copiesOf(a *announced.Announcement) string {
	warm := 0
	for _, c := range a.Copies {
		if c.Warm {
			warm++
		}
	}
	if len(a.Copies) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, %d warm", len(a.Copies), warm)
}

// shortRevision is how much of a revision a table shows.
const shortRevision = 12

func buildOf(b announced.Build) string {
	text := b.Program + " " + b.Version
	if b.Revision != "" {
		text += " " + b.Revision[:min(shortRevision, len(b.Revision))]
	}
	if b.Modified {
		text += " modified"
	}
	return text
}
