package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/topology"
)

func topologyCommand(program string, topologies []*topology.Topology) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "Check, describe or draw topologies; pause and resume them",
		Long: "Checks, describes or draws topologies, without a cluster; pauses and resumes those that run on one. Where runs have a topic.prefix, give it here too (--topic.prefix,\n" +
			"WEIR_TOPIC_PREFIX, or --config): topics and the group are then shown by the names that they have in the cluster.",
		RunE: Group,
	}
	cmd.AddCommand(checkCommand(program, topologies), describeCommand(program, topologies), drawCommand(program, topologies),
		pauseCommand(program, topologies), resumeCommand(program, topologies))
	return cmd
}

func checkCommand(program string, topologies []*topology.Topology) *cobra.Command {
	var output string
	cmd := overTopologies(topologies, func(w io.Writer, names plan.Names, chosen []*topology.Topology) error {
		var refused []error
		var checks []check
		for _, t := range chosen {
			_, err := t.Plan(names)
			if err != nil {
				refused = append(refused, err)
			}
			checks = append(checks, newCheck(t, err))
		}
		if output == OutputJSON {
			if err := writeJSON(w, checks); err != nil {
				return err
			}
		} else {
			for _, c := range checks {
				if c.Sound {
					fmt.Fprintf(w, "%s: sound\n", c.Topology)
				}
			}
		}
		return withCode(exitRefused, errors.Join(refused...))
	})
	cmd.Use = "check [NAME...]"
	cmd.Short = "Report every mistake of a topology, each with the way out"
	cmd.Long = "Reports every mistake of the named topologies, or of all, each with the node's name and what to do.\nExits 3 when there is one."
	cmd.Example = example(program, "topology check", "topology check --output json")
	AddOutput(cmd, &output)
	return cmd
}

// check is the result of a check as JSON.
type check struct {
	Topology string    `json:"topology"`
	Sound    bool      `json:"sound"`
	Mistakes []finding `json:"mistakes"`
}

type finding struct {
	Node string `json:"node,omitempty"`
	What string `json:"what"`
	Do   string `json:"do"`
}

func newCheck(t *topology.Topology, err error) check {
	c := check{Topology: t.Name(), Sound: err == nil, Mistakes: []finding{}}
	var found *topology.CheckError
	if errors.As(err, &found) {
		for _, m := range found.Mistakes {
			c.Mistakes = append(c.Mistakes, finding(m))
		}
	}
	return c
}

func describeCommand(program string, topologies []*topology.Topology) *cobra.Command {
	var output string
	cmd := overPlans(topologies, func(plan *plan.Plan) (string, error) {
		if output == OutputJSON {
			data, err := plan.JSON()
			return string(data), err
		}
		return plan.Describe(), nil
	})
	cmd.Use = "describe [NAME...]"
	cmd.Short = "Print a topology's nodes, stores and topics"
	cmd.Long = "Prints the nodes and stores of the named topologies, or of all, and the topics that they read, write and own,\nby the names that these have in the cluster: where runs have a topic.prefix, give it here too.\nWith --output json, one document for each topology."
	cmd.Example = example(program, "topology describe", "topology describe --topic.prefix staging.", "topology describe --output json")
	AddOutput(cmd, &output)
	return cmd
}

func drawCommand(program string, topologies []*topology.Topology) *cobra.Command {
	var format string
	cmd := overPlans(topologies, func(plan *plan.Plan) (string, error) {
		if format == "dot" {
			return plan.DOT(), nil
		}
		return plan.Mermaid(), nil
	})
	cmd.Use = "draw [NAME...]"
	cmd.Short = "Draw a topology as Mermaid or DOT text"
	cmd.Example = example(program, "topology draw", "topology draw --format dot | dot -Tsvg > topology.svg")
	addChoice(cmd, &format, "format", "language of the drawing", "mermaid", "dot")
	return cmd
}

// overPlans is a command that prints a text for each of the topologies named.
func overPlans(topologies []*topology.Topology, print func(*plan.Plan) (string, error)) *cobra.Command {
	return overTopologies(topologies, func(w io.Writer, names plan.Names, chosen []*topology.Topology) error {
		var texts []string
		for _, t := range chosen {
			plan, err := t.Plan(names)
			if err != nil {
				return withCode(exitRefused, err)
			}
			text, err := print(plan)
			if err != nil {
				return err
			}
			texts = append(texts, text)
		}
		return writeTexts(w, texts)
	})
}

// overTopologies is a command that takes names of topologies and means all of them when there is none. It knows the settings that say
// what things are called in the cluster.
func overTopologies(topologies []*topology.Topology, do func(io.Writer, plan.Names, []*topology.Topology) error) *cobra.Command {
	cmd := &cobra.Command{
		ValidArgs: names(topologies),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), nil))
			if err != nil {
				return withCode(exitUsage, err)
			}
			chosen := topologies
			if len(args) > 0 {
				chosen = nil
			}
			for _, name := range args {
				t, err := pick(topologies, name)
				if err != nil {
					return withCode(exitUsage, err)
				}
				chosen = append(chosen, t)
			}
			return do(cmd.OutOrStdout(), namesOf(v), chosen)
		},
	}
	settings.AddFlags(cmd.Flags(), settings.OfNames(), nil)
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// writeTexts writes texts with an empty line between two.
func writeTexts(w io.Writer, texts []string) error {
	for i, text := range texts {
		if i > 0 {
			text = "\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
