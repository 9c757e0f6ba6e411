package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/evolution"
	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/contract"
	"github.com/weirstream/weir/internal/termtext"
	"github.com/weirstream/weir/registry"
)

func listVerb() *cobra.Command {
	var r Reach
	var deleted bool
	cmd := r.verb("list", "List the subjects of a registry", 0, func(cmd *cobra.Command, t *evolution.Tool, _ []string) error {
		all, err := t.List(cmd.Context(), deleted)
		if err != nil {
			return err
		}
		return r.show(cmd, all, func(out io.Writer) {
			w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "SUBJECT\tTYPE\tVERSIONS\tID\tLEVEL")
			for _, s := range all {
				name := termtext.Text(s.Name)
				if s.Deleted {
					name += " (deleted)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", name, s.Type, strings.Trim(fmt.Sprint(s.Versions), "[]"), s.ID, s.Level)
			}
			_ = w.Flush() // the reader has gone
		})
	})
	cmd.Example = "  weir schema list --registry http://localhost:8081\n  weir schema list --registry http://localhost:8081 --deleted --json"
	cmd.Flags().BoolVar(&deleted, "deleted", false, "list subjects that were deleted softly, too")
	return cmd
}

func showVerb() *cobra.Command {
	var r Reach
	var id int
	cmd := r.verb("show [SUBJECT] [VERSION]", "Show a schema, of a version or of an id", 2, func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
		if (len(args) == 0) == (id == 0) {
			return cli.UsageError(errors.New("give a subject, or --id"))
		}
		version, err := -1, error(nil)
		if len(args) > 1 {
			if version, err = number(args[1]); err != nil {
				return cli.UsageError(err)
			}
		}
		var s *registry.Registered
		if id != 0 {
			s, err = t.Client.ByID(cmd.Context(), id)
		} else {
			s, err = t.Version(cmd.Context(), args[0], version)
		}
		if err != nil {
			return err
		}
		return r.show(cmd, s, func(out io.Writer) {
			fmt.Fprintln(out, termtext.Lines(strings.ReplaceAll(s.Text, "\r\n", "\n")))
			messages := cmd.ErrOrStderr()
			if s.Subject != "" {
				fmt.Fprintf(messages, "version %d of %s%s, ", s.Version, termtext.Text(s.Subject), map[bool]string{true: ", which is deleted"}[s.Deleted])
			}
			fmt.Fprintf(messages, "id %d, %s\n", s.ID, s.Type)
			for _, ref := range s.References {
				fmt.Fprintf(messages, "%s is version %d of %s\n", termtext.Text(ref.Name), ref.Version, termtext.Text(ref.Subject))
			}
			if !contract.Empty(s.Metadata) {
				fmt.Fprintf(messages, "metadata: %s\n", termtext.Text(string(s.Metadata)))
			}
			if !contract.Empty(s.RuleSet) {
				fmt.Fprintf(messages, "rule set: %s\n", termtext.Text(string(s.RuleSet)))
			}
		})
	})
	cmd.Example = "  weir schema show order.placed.v1-value --registry http://localhost:8081\n  weir schema show order.placed.v1-value 1 --registry http://localhost:8081 --json\n" +
		"  weir schema show --id 7 --registry http://localhost:8081"
	cmd.Flags().IntVar(&id, "id", 0, "show the schema with this id, whatever its subject")
	return cmd
}

func diffVerb() *cobra.Command {
	var r Reach
	cmd := r.verb("diff SUBJECT V1 V2", "Show how two versions of a subject differ by meaning, and whether each reads what the other writes", 3,
		func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
			old, err1 := number(args[1])
			next, err2 := number(args[2])
			if err := errors.Join(err1, err2); err != nil {
				return cli.UsageError(err)
			}
			d, err := t.Diff(cmd.Context(), args[0], old, next)
			if err != nil {
				return err
			}
			return r.show(cmd, d, func(out io.Writer) { tellDiff(out, d, "") })
		})
	cmd.Long = cmd.Short + ".\nA line for each part: + it was added, - it was removed, ~ it was changed. Documentation and the order of members are no difference.\n" +
		"metadata/... and ruleSet/... are what the versions are registered with beside their schemas, which no level compares."
	cmd.Example = "  weir schema diff order.placed.v1-value 1 2 --registry http://localhost:8081\n  weir schema diff order.placed.v1-value 1 latest --registry http://localhost:8081 --json"
	return cmd
}

func tellDiff(out io.Writer, d *evolution.Diff, indent string) {
	for _, c := range append(slices.Clone(d.Changes), d.Contract...) {
		fmt.Fprintf(out, "%s%s\n", indent, termtext.Text(c.String()))
	}
	if len(d.Changes)+len(d.Contract) == 0 {
		fmt.Fprintf(out, "%sno difference in meaning\n", indent)
	}
	if len(d.Broken) == 0 {
		fmt.Fprintf(out, "%sversion %d reads what version %d wrote\n", indent, d.New, d.Old)
	}
	for _, b := range d.Broken {
		fmt.Fprintf(out, "%sversion %d cannot read what version %d wrote: %s at %s: %s\n", indent, d.New, d.Old, b.Rule, termtext.Text(b.Path), termtext.Text(b.Detail))
	}
	if len(d.Breaks) == 0 {
		fmt.Fprintf(out, "%sversion %d reads what version %d writes\n", indent, d.Old, d.New)
	}
	for _, b := range d.Breaks {
		fmt.Fprintf(out, "%sversion %d cannot read what version %d writes: %s at %s: %s\n", indent, d.Old, d.New, b.Rule, termtext.Text(b.Path), termtext.Text(b.Detail))
	}
}

func historyVerb() *cobra.Command {
	var r Reach
	cmd := r.verb("history SUBJECT", "Show the versions of a subject, each with how it differs from the one before", 1,
		func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
			all, err := t.History(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return r.show(cmd, all, func(out io.Writer) {
				for _, v := range all {
					deleted := ""
					if v.Deleted {
						deleted = ", deleted"
					}
					fmt.Fprintf(out, "version %d, id %d, %s%s\n", v.Version, v.ID, v.Type, deleted)
					if v.Diff != nil {
						tellDiff(out, v.Diff, "  ")
					}
				}
			})
		})
	cmd.Example = "  weir schema history order.placed.v1-value --registry http://localhost:8081"
	return cmd
}

func registerVerb() *cobra.Command {
	var r Reach
	var g given
	var execute bool
	cmd := r.verb("register SUBJECT FILE", "Register a schema as the next version of a subject", 2, func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
		s, err := g.read(args[1])
		if err != nil {
			return err
		}
		do := t.Plan
		if execute {
			do = t.Register
		}
		result, err := do(cmd.Context(), args[0], s)
		if result == nil {
			return inFile(args[1], err)
		}
		return errors.Join(r.registration(cmd, result), err)
	})
	cmd.Long = cmd.Short + ".\nIt is compared with the versions that the subject's level names, and refused where it would break readers: exit code 1, with a line for\n" +
		"each incompatibility, as weir schema check and the registry word it. A schema that is registered already stays as it is."
	cmd.Example = "  weir schema register order.placed.v1-value order.v2.avsc --registry http://localhost:8081\n" +
		"  weir schema register order.placed.v1-value order.v2.avsc --registry http://localhost:8081 --execute"
	g.flags(cmd)
	addExecute(cmd, &execute)
	return cmd
}

// registration shows what registering did or would do.
func (r *Reach) registration(cmd *cobra.Command, result *evolution.Registration) error {
	err := r.show(cmd, result, func(out io.Writer) {
		subject := termtext.Text(result.Subject)
		switch {
		case result.Known:
			fmt.Fprintf(out, "it is registered already: version %d of %s, id %d\n", result.Version, subject, result.ID)
			if result.Latest > 0 {
				fmt.Fprintf(out, "it is not the latest version, which is %d: weir schema rollback %s --to %d makes it the latest\n", result.Latest, subject, result.Version)
			}
		case result.Done:
			fmt.Fprintf(out, "it is now version %d of %s, id %d\n", result.Version, subject, result.ID)
		case len(result.Incompatibilities) > 0:
			for _, i := range result.Incompatibilities {
				fmt.Fprintln(out, termtext.Text(i.String()))
			}
			return
		default:
			fmt.Fprintf(out, "it would be version %d of %s (%s)\n", result.Version, subject, result.Level)
		}
		if result.Needs != "" {
			fmt.Fprintf(out, "with it %s, which it imports, in a subject of that name\n", termtext.Text(result.Needs))
		}
		if result.Diff != nil {
			tellDiff(out, result.Diff, "  ")
		}
	})
	if !result.Known && !result.Done && len(result.Incompatibilities) == 0 {
		unchanged(cmd)
	}
	return err
}

func compatVerb() *cobra.Command {
	var r Reach
	var g given
	var level string
	var execute bool
	cmd := r.verb("compat [SUBJECT] [FILE]", "Show or set the level of compatibility of a subject, or check a schema against it", 2,
		func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
			if len(args) == 2 && level != "" {
				return cli.UsageError(errors.New("--set is for a subject: leave out the file"))
			}
			if len(args) == 2 {
				s, err := g.read(args[1])
				if err != nil {
					return err
				}
				result, err := t.Plan(cmd.Context(), args[0], s)
				if result == nil {
					return inFile(args[1], err)
				}
				return errors.Join(r.registration(cmd, result), err)
			}
			if level != "" {
				if _, err := schema.ParseLevel(level); err != nil {
					return cli.UsageError(fmt.Errorf("--set: %w", err))
				}
			}
			subject := strings.Join(args, "")
			of := "the level of all subjects without one of their own"
			if subject != "" {
				of = "the level of " + termtext.Text(subject)
			}
			l, err := t.Level(cmd.Context(), subject, level, execute)
			if err != nil {
				return err
			}
			if l.New != "" && !l.Done {
				defer unchanged(cmd)
			}
			return r.show(cmd, l, func(out io.Writer) {
				switch {
				case l.New == "":
					fmt.Fprintln(out, l.Level)
				case l.Done:
					fmt.Fprintf(out, "%s was %s and is now %s\n", of, l.Level, l.New)
				default:
					fmt.Fprintf(out, "%s is %s and would be %s\n", of, l.Level, l.New)
				}
			})
		})
	cmd.Long = cmd.Short + ".\nWithout a subject it is the level of all subjects that have none of their own. With a file nothing is changed: exit code 1 where it is not\ncompatible."
	cmd.Example = "  weir schema compat order.placed.v1-value --registry http://localhost:8081\n" +
		"  weir schema compat order.placed.v1-value --set FULL --registry http://localhost:8081 --execute\n" +
		"  weir schema compat order.placed.v1-value order.v2.avsc --registry http://localhost:8081"
	g.flags(cmd)
	cmd.Flags().StringVar(&level, "set", "", "the level to set: NONE, BACKWARD, FORWARD, FULL, or one of the last three with _TRANSITIVE")
	addExecute(cmd, &execute)
	return cmd
}

func deleteVerb() *cobra.Command {
	var r Reach
	var permanent, execute bool
	cmd := r.verb("delete SUBJECT [VERSION]", "Delete a subject or one of its versions", 2, func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
		version, err := 0, error(nil)
		if len(args) > 1 {
			if version, err = number(args[1]); err == nil && version < 0 {
				err = errors.New("which version? give its number")
			}
			if err != nil {
				return cli.UsageError(err)
			}
		}
		do := t.PlanDelete
		if execute {
			do = t.Delete
		}
		d, err := do(cmd.Context(), args[0], version, permanent)
		if err != nil {
			return err
		}
		if !d.Done {
			defer unchanged(cmd)
		}
		return r.show(cmd, d, func(out io.Writer) {
			what := "version"
			if len(d.Versions) != 1 {
				what = "versions"
			}
			verb := "would be deleted"
			switch {
			case d.Done && len(d.Versions) == 1:
				verb = "is deleted"
			case d.Done:
				verb = "are deleted"
			}
			if permanent {
				verb += " for good"
			}
			fmt.Fprintf(out, "%s %s of %s %s\n", what, strings.Trim(fmt.Sprint(d.Versions), "[]"), termtext.Text(d.Subject), verb)
			fmt.Fprint(out, follows(d))
		})
	})
	cmd.Long = cmd.Short + ".\nA soft deletion leaves the schema to be found by its id, so that records that were written with it can be read. With --permanent it is gone,\nand such records cannot be read any more; only what was deleted softly before can be deleted so."
	cmd.Example = "  weir schema delete order.placed.v1-value 2 --registry http://localhost:8081 --execute\n" +
		"  weir schema delete order.placed.v1-value --permanent --registry http://localhost:8081 --execute"
	cmd.Flags().BoolVar(&permanent, "permanent", false, "delete for good what was deleted softly before")
	addExecute(cmd, &execute)
	return cmd
}

// follows says what a deletion means for who reads and writes.
func follows(d *evolution.Deletion) (text string) {
	if d.Permanent {
		text = "records that were written with what is deleted for good cannot be read any more\n"
	}
	topic, value := strings.CutSuffix(d.Subject, "-value")
	if !value {
		topic, value = strings.CutSuffix(d.Subject, "-key")
	}
	if !d.None || !value {
		return text
	}
	topic = topic[strings.LastIndexByte(topic, ':')+1:]
	return text + fmt.Sprintf("no version is left: gateways refuse events for topic %s with 503, and records of topologies that write it wait, until a schema is registered\n", termtext.Text(topic))
}
