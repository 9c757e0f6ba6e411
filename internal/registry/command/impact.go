package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/evolution"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/termtext"
)

// recordsOf are the flags of a verb that looks at the records of a topic too.
type recordsOf struct {
	topic      string
	topologies string
	last       int
}

func (o *recordsOf) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.topic, "topic", "", "the topic of the subject, as it is called in the cluster (default: the subject without -value or -key)")
	cmd.Flags().IntVar(&o.last, "last", 1000, "how many of the newest records of the topic to look at, over all its partitions")
	settings.AddFlags(cmd.Flags(), settings.Except(settings.OfClient(), settings.Topology.Setting), nil)
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
}

// ask calls do with a client of the cluster, or with none where no brokers are given.
func (o *recordsOf) ask(cmd *cobra.Command, subject string, do func(evolution.Question) error) error {
	q := evolution.Question{Subject: subject, Topic: o.topic, Last: o.last}
	if o.last < 1 {
		return cli.UsageError(errors.New("--last must be 1 or more"))
	}
	if o.topologies != "" {
		f, err := os.Open(o.topologies)
		if err != nil {
			return err
		}
		defer f.Close()
		q.Graphs = f
	}
	v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), nil))
	if err != nil {
		return cli.UsageError(err)
	}
	q.Names.Prefix = settings.TopicPrefix.Of(v)
	if len(settings.Brokers.Of(v)) == 0 {
		return do(q)
	}
	return cli.WithClient(cmd, v, nil, func(client *kafka.Client) error {
		q.Kafka = client
		return do(q)
	})
}

func impactVerb() *cobra.Command {
	var r Reach
	var g given
	var o recordsOf
	exitCode := false
	cmd := r.verb("impact SUBJECT FILE", "Show what a new schema would break: versions, topologies, and real records", 2,
		func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
			s, err := g.read(args[1])
			if err != nil {
				return err
			}
			return o.ask(cmd, args[0], func(q evolution.Question) error {
				q.Schema = s
				impact, err := t.Impact(cmd.Context(), q)
				if err != nil {
					return inFile(args[1], err)
				}
				var breaks error
				if exitCode && impact.Breaks() {
					breaks = cli.DiffersError(fmt.Errorf("the schema of %s would break something that uses %s", args[1], args[0]))
				}
				return errors.Join(r.show(cmd, impact, func(out io.Writer) { tellImpact(out, impact) }), breaks)
			})
		})
	cmd.Long = cmd.Short + ".\nTopologies are those in the file of --topologies, which PROGRAM topology describe --output json writes, and with --brokers those of which\n" +
		"instances run, as status lists them. The newest records of the topic are decoded with the schema then, as a consumer would.\n" +
		"It changes nothing, and exits with 0 whatever it finds; with --exit-code, which is for scripts, with 6 where the schema is refused, a topology\n" +
		"would break, or a record cannot be read."
	cmd.Example = "  orders topology describe --output json > graph.json\n" +
		"  weir schema impact order.placed.v1-value order.v2.avsc --registry http://localhost:8081 --brokers localhost:9092 --topologies graph.json --last 10000 --exit-code"
	g.flags(cmd)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 6 where it would break something, for scripts")
	cmd.Flags().StringVar(&o.topologies, "topologies", "", "file with topologies, as topology describe --output json writes them")
	o.flags(cmd)
	return cmd
}

func tellImpact(out io.Writer, i *evolution.Impact) {
	allowed := "allowed"
	if !i.Allowed {
		allowed = "refused"
	}
	fmt.Fprintf(out, "by the level %s it is %s\n", i.Level, allowed)
	for _, v := range i.Reads {
		if len(v.Broken)+len(v.Breaks) == 0 {
			fmt.Fprintf(out, "version %d: each reads what the other writes\n", v.Version)
		}
		for _, b := range v.Broken {
			fmt.Fprintf(out, "version %d: the new schema cannot read what it wrote: %s at %s: %s\n", v.Version, b.Rule, termtext.Text(b.Path), termtext.Text(b.Detail))
		}
		for _, b := range v.Breaks {
			fmt.Fprintf(out, "version %d: it cannot read what the new schema writes: %s at %s: %s\n", v.Version, b.Rule, termtext.Text(b.Path), termtext.Text(b.Detail))
		}
	}
	for _, u := range i.Uses {
		fmt.Fprintf(out, "topology %s %s %s (codec %s): ", termtext.Text(u.Topology), u.Role, termtext.Text(u.Topic), termtext.Text(u.Codec))
		if len(u.Breaks) == 0 {
			fmt.Fprintln(out, "it would not break with any registered version")
		} else {
			fmt.Fprintf(out, "it would break where it has version %v\n", u.Breaks)
		}
		for _, one := range u.Instances {
			build := strings.TrimSpace(one.Version + " " + one.Revision)
			fmt.Fprintf(out, "  runs as %s, build %s, on %s\n", termtext.Text(one.Instance), termtext.Text(or(build, "not known")), termtext.Text(or(one.Host, "a host that it does not name")))
		}
	}
	tellRecords(out, i.Records, "the new schema")
	for _, u := range i.Unknown {
		fmt.Fprintf(out, "not known: %s\n", u)
	}
}

func tellRecords(out io.Writer, r *evolution.Records, reader string) {
	if r == nil {
		return
	}
	if r.Read == 0 {
		fmt.Fprintf(out, "topic %s has no records\n", termtext.Text(r.Topic))
		return
	}
	fmt.Fprintf(out, "of the newest %d records of %s %s cannot read %d; %d name no schema, %d are empty\n", r.Read, termtext.Text(r.Topic), reader, r.Undecodable, r.Unframed, r.Empty)
	for _, w := range r.By {
		what := fmt.Sprintf("schema %d, no version of the subject", w.ID)
		if w.Version > 0 {
			what = "version " + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(w.Versions), "[]")), " and ")
		}
		fmt.Fprintf(out, "  written with %s: %d, of which %d cannot be read", what, w.Records, w.Undecodable)
		if w.Why != "" {
			fmt.Fprintf(out, ", such as %s: %s", w.Example, termtext.Text(w.Why))
		}
		fmt.Fprintln(out)
	}
}

// underID says under which id the schema of an older version is registered, and why it is not that version's.
func underID(r *evolution.Rollback) string {
	id := fmt.Sprintf("id %d", r.ID)
	if r.ID == 0 {
		id = "a new id"
	}
	switch {
	case !r.NewID:
		return id
	case len(r.Added) > 0:
		return id + ", since the registry's configuration changes its metadata or rules"
	}
	return id + ", since the registry's configuration (normalize) changes its text"
}

func rollbackVerb() *cobra.Command {
	var r Reach
	var o recordsOf
	var to string
	var execute bool
	cmd := r.verb("rollback SUBJECT", "Register the schema of an earlier version as the next one", 1, func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
		if to == "" {
			return cli.UsageError(errors.New("which version? give the one to go back to with --to"))
		}
		version, err := number(to)
		if err == nil && version < 0 {
			err = errors.New("give the number of an earlier version")
		}
		if err != nil {
			return cli.UsageError(fmt.Errorf("--to: %w", err))
		}
		return o.ask(cmd, args[0], func(q evolution.Question) error {
			result, err := t.Rollback(cmd.Context(), q, version, execute)
			if result == nil {
				return err
			}
			shown := r.show(cmd, result, func(out io.Writer) {
				for _, i := range result.Incompatibilities {
					fmt.Fprintln(out, termtext.Text(i.String()))
				}
				switch {
				case result.Known:
					fmt.Fprintf(out, "the latest version, %d, is this schema already\n", result.Version)
				case result.Done:
					fmt.Fprintf(out, "version %d is now the schema of version %d, %s\n", result.Version, result.To, underID(result))
				case err == nil:
					fmt.Fprintf(out, "version %d would be the schema of version %d, %s\n", result.Version, result.To, underID(result))
				}
				for _, c := range result.Added {
					fmt.Fprintf(out, "  to version %d: %s\n", result.To, termtext.Text(c.String()))
				}
				if result.Diff != nil && err == nil {
					tellDiff(out, result.Diff, "  ")
				}
				if result.Records != nil {
					fmt.Fprintf(out, "%d of the newest records were written with a later version\n", result.Newer)
				}
				tellRecords(out, result.Records, "the older schema")
			})
			if err == nil && !result.Known && !result.Done {
				unchanged(cmd)
			}
			return errors.Join(shown, err)
		})
	})
	cmd.Long = cmd.Short + ", where the level allows it: what was written with the versions in between stays, and readers must\n" +
		"read it. It has the metadata and rules that it had, and its id, unless the registry's configuration changes them. With --brokers it shows how\n" +
		"many of the newest records were written with a later version, and whether readers with the older schema can read them. The older version is\n" +
		"deleted softly, because a registry would answer with it otherwise."
	cmd.Example = "  weir schema rollback order.placed.v1-value --to 1 --registry http://localhost:8081 --brokers localhost:9092\n" +
		"  weir schema rollback order.placed.v1-value --to 1 --registry http://localhost:8081 --brokers localhost:9092 --execute"
	cmd.Flags().StringVar(&to, "to", "", "the version to go back to; required")
	addExecute(cmd, &execute)
	o.flags(cmd)
	return cmd
}
