package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/evolution"
	"github.com/weirstream/weir/internal/termtext"
)

func exportVerb() *cobra.Command {
	var r Reach
	var file string
	cmd := r.verb("export [SUBJECT]...", "Write subjects with their versions, ids, configurations and modes to a file", 1000, func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
		if file == "" {
			_, left, err := t.Export(cmd.Context(), cmd.OutOrStdout(), args)
			sayLeft(cmd, left)
			return err
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already, and an export replaces nothing: remove it first, or name another file", file)
		}
		if err != nil {
			return err
		}
		n, left, err := t.Export(cmd.Context(), f, args)
		if err = errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, os.Remove(file)) // a part would be taken for the whole
		}
		sayLeft(cmd, left)
		return r.show(cmd, map[string]any{"schemas": n, "file": file, "left_out": append([]string{}, left...)}, func(out io.Writer) { fmt.Fprintf(out, "%s: %s\n", termtext.Text(file), count(n, "schema")) })
	})
	cmd.Long = cmd.Short + ", or to the output: lines of JSON, the same with --json. Without subjects all of them. weir schema import reads it."
	cmd.Example = "  weir schema export --registry http://localhost:8081 --file schemas.jsonl\n  weir schema export order.placed.v1-value --registry http://localhost:8081"
	cmd.Flags().StringVar(&file, "file", "", "the file to write, which must not exist (default: the output)")
	return cmd
}

// sayLeft says what an export has left out.
func sayLeft(cmd *cobra.Command, left []string) {
	for _, text := range left {
		fmt.Fprintln(cmd.ErrOrStderr(), termtext.Text(text))
	}
}

func importVerb() *cobra.Command {
	var r Reach
	var execute bool
	cmd := r.verb("import FILE", "Register what weir schema export wrote, under the same ids", 1, func(cmd *cobra.Command, t *evolution.Tool, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		do := t.PlanImport
		if execute {
			do = t.Import
		}
		plan, err := do(cmd.Context(), f)
		if plan == nil {
			return err
		}
		switch {
		case !execute && len(plan.Conflict) > 0:
			err = fmt.Errorf("nothing would be imported: %d in the way", len(plan.Conflict))
		case !execute:
			defer unchanged(cmd)
		}
		return errors.Join(r.show(cmd, plan, func(out io.Writer) {
			fmt.Fprintf(out, "%s: %d new, %d there already, %d in the way\n", count(plan.Schemas, "schema"), plan.New, plan.Known, len(plan.Conflict))
			if plan.Restored > 0 {
				fmt.Fprintf(out, "%d deleted there and not in the file: restored\n", plan.Restored)
			}
			if plan.Deleted > 0 {
				fmt.Fprintf(out, "%d deleted in the file and not there: deleted softly\n", plan.Deleted)
			}
			for _, l := range plan.Levels {
				was := termtext.Text(string(l.Is))
				if was == "" {
					was = "that of all subjects"
				}
				fmt.Fprintf(out, "level of %s: %s, is %s\n", termtext.Text(l.Of()), termtext.Text(string(l.Level)), was)
			}
			for _, s := range plan.Settings {
				was := termtext.Text(string(s.Is))
				if was == "" {
					was = "not set"
				}
				fmt.Fprintf(out, "%s of %s: %s, is %s\n", termtext.Text(s.Name), termtext.Text(s.Of()), termtext.Text(string(s.Value)), was)
			}
			for _, m := range plan.Modes {
				was := termtext.Text(string(m.Is))
				if was == "" {
					was = "that of all subjects"
				}
				fmt.Fprintf(out, "mode of %s: %s, is %s\n", termtext.Text(m.Subject), termtext.Text(string(m.Mode)), was)
			}
			for _, text := range plan.LeftOut {
				fmt.Fprintln(out, termtext.Text(text))
			}
			if execute && !plan.Done {
				fmt.Fprintf(out, "%d of these were registered before it ended\n", plan.Registered)
			}
			if len(plan.Left) > 0 {
				fmt.Fprintf(out, "subjects in the mode IMPORT, as an interrupted import leaves them: %s\n", termtext.Text(strings.Join(plan.Left, " ")))
			}
			for _, c := range plan.Conflict {
				fmt.Fprintf(out, "  %s\n", termtext.Text(c))
			}
		}), err)
	})
	cmd.Long = cmd.Short + ", so that records that were written with them are read. Nothing is done where an id or a version is there and is another schema's.\n" +
		"A version that is deleted softly in one place alone becomes as it is in the file.\n" +
		"It can be run again after it was interrupted: then it also takes its subjects out of the mode IMPORT that it left them in. A subject that was\n" +
		"read-only before an interrupted import is not any more."
	cmd.Example = "  weir schema import schemas.jsonl --registry http://localhost:8081\n  weir schema import schemas.jsonl --registry http://localhost:8081 --execute"
	addExecute(cmd, &execute)
	return cmd
}
