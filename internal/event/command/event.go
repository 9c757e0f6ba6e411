// Package command is the command line of events: `weir event`.
package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/event"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/registry/command"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/termtext"
)

// Event is `weir event`.
func Event() *cobra.Command {
	cmd := &cobra.Command{Use: "event", Short: "Declare events: topic, schema and who may publish them, in one file", Args: cobra.ArbitraryArgs, RunE: cli.Group}
	cmd.AddCommand(fresh(), verb("plan", "Show what is missing of an event in a cluster"), verb("apply", "Make what is missing of an event: topic, schema, permissions and quotas"))
	return cmd
}

func fresh() *cobra.Command {
	var owner, dir, output string
	cmd := &cobra.Command{
		Use: "new EVENT", Short: "Write a file that declares an event, with a first schema",
		Example: "  weir event new order.placed.v1 --owner team-orders\n  weir event plan order.placed.v1.yaml --brokers localhost:9092 --registry http://localhost:8081",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s takes the name of the event, such as order.placed.v1", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(owner) == "" {
				return cli.UsageError(errors.New("who answers for the event? give --owner TEAM, such as --owner team-orders: gateways and plans show it"))
			}
			if !plan.IsEventName(args[0]) {
				return cli.UsageError(fmt.Errorf("%q is no name of an event: name it entity.event_type.vN, such as order.placed.v1", args[0]))
			}
			paths, err := event.New(dir, args[0], owner)
			if err != nil {
				return err
			}
			return show(cmd, output, map[string]any{"files": paths}, func(out io.Writer) {
				for _, p := range paths {
					fmt.Fprintln(out, termtext.Text(p))
				}
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "who answers for the event; required")
	cmd.Flags().StringVar(&dir, "dir", ".", "folder for the files, made where there is none; the files must not exist")
	cli.AddOutput(cmd, &output)
	return cmd
}

func show(cmd *cobra.Command, output string, result any, text func(io.Writer)) error {
	if output != cli.OutputJSON {
		text(cmd.OutOrStdout())
		return nil
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(result)
}

func verb(name, short string) *cobra.Command {
	var reach command.Reach
	var gateway string
	exitCode := false
	long := ".\nApplied again it changes nothing. Nothing is taken away: a topic stays, and so does a schema that the file does not name any more."
	if name == "plan" {
		long = ".\nIt changes nothing, and exits with 0 whether something is missing or not; with --exit-code, which is for scripts, with 6 where something is.\n" +
			"What cannot be made as the file says is an error, with exit code 1."
	}
	cmd := &cobra.Command{
		Use: name + " FILE", Short: short,
		Long:    short + long,
		Example: "  weir event " + name + " order.placed.v1.yaml --brokers localhost:9092 --registry http://localhost:8081",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s takes one file", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), nil))
			if err != nil {
				return cli.UsageError(err)
			}
			file, err := event.Read(args[0])
			if err != nil {
				return cli.UsageError(err)
			}
			if u, err := url.Parse(gateway); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return cli.UsageError(fmt.Errorf("--gateway: %q is no URL of a gateway, such as http://127.0.0.1:8080", gateway))
			}
			schemas, wrong := reach.Client(cmd.ErrOrStderr())
			if wrong == nil {
				defer schemas.Close()
			}
			return cli.WithClient(cmd, v, wrong, func(client *kafka.Client) error {
				t := &event.Tool{Kafka: client, Registry: schemas, Names: plan.Names{Prefix: settings.TopicPrefix.Of(v)}}
				do := t.Plan
				if name == "apply" {
					do = t.Apply
				}
				r, err := do(cmd.Context(), file)
				if r == nil {
					return err
				}
				var differs error
				if err == nil && exitCode && !r.Done {
					differs = cli.DiffersError(fmt.Errorf("event %s is not as %s says: weir event apply makes it so", r.Event, args[0]))
				}
				return errors.Join(show(cmd, reach.Output(), r, func(out io.Writer) { tell(out, r, name, gateway, err) }), err, differs)
			})
		},
	}
	reach.Flags(cmd)
	if name == "plan" {
		cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 6 where something is missing, for scripts")
	}
	cmd.Flags().StringVar(&gateway, "gateway", "http://127.0.0.1:8080", "URL of the gateway in the line that is printed to try the event")
	settings.AddFlags(cmd.Flags(), settings.Except(settings.OfClient(), settings.Topology.Setting), nil)
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// tell shows the steps, and ends where err says why it is not done.
func tell(out io.Writer, r *event.Result, verb, gateway string, err error) {
	applying := verb == "apply" && slices.ContainsFunc(r.Steps, func(s event.Step) bool { return s.Done && s.Change != "none" })
	for _, s := range r.Steps {
		sign, end := map[string]string{"none": " ", "create": "+", "change": "~"}[s.Change], ""
		if verb == "apply" && err != nil && !s.Done {
			end = " (not done)"
		}
		fmt.Fprintf(out, "%s %s: %s%s\n", sign, s.Part, termtext.Text(s.What), end)
	}
	switch {
	case err != nil && applying:
		fmt.Fprintln(out, "not all of it is done: run weir event apply again when the cause is mended")
		return
	case err != nil:
		fmt.Fprintln(out, "nothing was done")
		return
	case verb == "plan" && r.Done:
		fmt.Fprintln(out, "nothing is missing")
		return
	case verb == "plan":
		fmt.Fprintln(out, "weir event apply does it")
		return
	case !r.Done:
		return
	}
	tellLines(out, r, strings.TrimSuffix(gateway, "/")+"/topics/"+r.Event+"/events")
}

// tellLines prints how to publish an event.
func tellLines(out io.Writer, r *event.Result, at string) {
	sample := printable(string(r.Sample))
	switch {
	case sample == "":
		sample = "VALUE"
		fmt.Fprintf(out, "\nNo event could be made up that a gateway takes: write its value in place of VALUE. Why not, %s\n", termtext.Text(r.Unsampled))
	case sample[0] == '[':
		sample = "[" + sample + "]" // an array is one of events
	}
	if r.KeyName == "" {
		at += "?key=" + url.QueryEscape(r.SampleKey)
	}
	quoted := at
	if strings.Contains(at, "?") { // which a shell may take as a pattern
		quoted = "'" + at + "'"
	}
	header := ""
	if r.SampleID != "" {
		header = " -H 'Idempotency-Key: " + r.SampleID + "'"
	}
	fmt.Fprintf(out, "\nTo publish one (where the gateway asks for a client, with a header more, such as -H 'X-Api-Key: KEY'):\n\ncurl -X POST %s%s -H 'Content-Type: application/json' -d '%s'\n", quoted, header, strings.ReplaceAll(sample, "'", `'\''`))
	literal := "`" + sample + "`"
	if strings.Contains(sample, "`") {
		literal = strconv.Quote(sample)
	}
	fmt.Fprint(out, "\nIn Go:\n\n")
	if header == "" {
		fmt.Fprintf(out, "res, err := http.Post(%q, \"application/json\", strings.NewReader(%s))\n", at, literal)
		return
	}
	fmt.Fprintf(out, "req, err := http.NewRequest(\"POST\", %q, strings.NewReader(%s))\nreq.Header.Set(\"Content-Type\", \"application/json\")\nreq.Header.Set(\"Idempotency-Key\", %q)\nres, err := http.DefaultClient.Do(req)\n",
		at, literal, r.SampleID)
}

// printable is JSON in which what a terminal does not show, or takes as a command, is escaped.
func printable(document string) string {
	var text strings.Builder
	for _, c := range document {
		if unicode.IsPrint(c) {
			text.WriteRune(c)
			continue
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
	}
	return text.String()
}
