package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/schema"
)

// Schema is `weir schema`.
func Schema() *cobra.Command {
	cmd := &cobra.Command{Use: "schema", Short: "Compare, register and change schemas", Args: cobra.ArbitraryArgs, RunE: cli.Group}
	cmd.AddCommand(check(), registerVerb(), listVerb(), showVerb(), diffVerb(), historyVerb(), compatVerb(), deleteVerb(), exportVerb(), importVerb(), impactVerb(), rollbackVerb())
	return cmd
}

// checked is the result of a check.
type checked struct {
	Compatible        bool         `json:"compatible"`
	Type              schema.Type  `json:"type"`
	Level             schema.Level `json:"level"`
	New               string       `json:"new"`
	Incompatibilities []broken     `json:"incompatibilities"`
}

// broken is an incompatibility with the file that it is with.
type broken struct {
	Old    string `json:"old"`
	Reader string `json:"reader"` // "new" or "old"
	schema.Difference
	Allowed string `json:"allowed"` // in place of the change
}

func check() *cobra.Command {
	var kind, level, output string
	var references []string
	cmd := &cobra.Command{
		Use:   "check OLD... NEW",
		Short: "Say whether a new schema is compatible with older ones, from files alone",
		Long: "Compares the last file with those before it, the oldest first, as a registry does when a schema is registered. A level that\n" +
			"is not TRANSITIVE compares with the last of the older ones only.\n\n" +
			"Exit codes: 0 compatible, 1 incompatible (each incompatibility is a line, with its path in the schema), 2 wrong use, or a file\n" +
			"that cannot be read or is no schema.",
		Example: "  weir schema check --type avro --level BACKWARD order.v1.avsc order.v2.avsc\n" +
			"  weir schema check --type protobuf --level FULL_TRANSITIVE v1.proto v2.proto v3.proto --json\n" +
			"  weir schema check --type avro --reference shop.Money=money.avsc order.v1.avsc order.v2.avsc",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("give at least two files: OLD... NEW")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			t, err1 := typeOf(kind, files[len(files)-1])
			l, err2 := schema.ParseLevel(level)
			if err2 != nil {
				err2 = cli.UsageError(fmt.Errorf("--level: %w", err2))
			}
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			if kind == "" {
				if err := ofOneType(t, files); err != nil {
					return cli.UsageError(err)
				}
			}
			imports, err := readReferences(references)
			if err != nil {
				return cli.UsageError(err)
			}
			result, err := compare(t, l, files, imports)
			if err != nil { // which says nothing of what is compatible
				return cli.UsageError(err)
			}
			out := cmd.OutOrStdout()
			switch {
			case output == cli.OutputJSON:
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				if err := e.Encode(result); err != nil {
					return err
				}
			case result.Compatible:
				fmt.Fprintf(out, "%s is compatible (%s)\n", result.New, l)
			default:
				for _, b := range result.Incompatibilities {
					fmt.Fprintf(out, "%s: %s\n", b.Rule, schema.Incompatibility{Difference: b.Difference, Reader: b.Reader}.Explain(result.New, b.Old))
				}
			}
			if !result.Compatible {
				return fmt.Errorf("%s is not compatible (%s): %s", result.New, l, schema.CountIncompatibilities(len(result.Incompatibilities)))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "type", "", typeHelp)
	cmd.Flags().StringVar(&level, "level", string(schema.Backward), "NONE, BACKWARD, FORWARD, FULL, or one of the last three with _TRANSITIVE")
	cmd.Flags().StringArrayVar(&references, "reference", nil, "file that the schemas refer to by a name, NAME=FILE; may be given several times, each after what it refers to")
	cli.AddOutput(cmd, &output)
	return cmd
}

// ofOneType refuses files whose names say that they are of another type than the last one.
func ofOneType(t schema.Type, files []string) error {
	for _, path := range files {
		if other, err := typeOf("", path); err == nil && other != t {
			return fmt.Errorf("%s is of type %s, and %s of type %s: give files of one type, or --type where a name is wrong", path, other, files[len(files)-1], t)
		}
	}
	return nil
}

func readReferences(given []string) (list []schema.Import, err error) {
	for _, text := range given {
		name, path, ok := strings.Cut(text, "=")
		if !ok || name == "" || path == "" {
			return nil, fmt.Errorf("--reference: %q is not NAME=FILE", text)
		}
		in := schema.Import{Name: name}
		if in.Text, err = readSchema(path); err != nil {
			return nil, fmt.Errorf("--reference: %w", err)
		}
		list = append(list, in)
	}
	return list, nil
}

func compare(t schema.Type, l schema.Level, files []string, imports []schema.Import) (*checked, error) {
	var all []*schema.Schema
	for i, path := range files {
		text, err := readSchema(path)
		if err != nil {
			return nil, err
		}
		s, err := schema.Parse(schema.Source{Type: t, Text: text, Imports: imports, Stored: i < len(files)-1})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	last := len(all) - 1
	result := &checked{Type: t, Level: l, New: files[last], Incompatibilities: []broken{}}
	for _, i := range schema.Check(l, all[:last], all[last]) {
		result.Incompatibilities = append(result.Incompatibilities, broken{files[i.Old], i.Reader, i.Difference, i.Allowed()})
	}
	result.Compatible = len(result.Incompatibilities) == 0
	return result, nil
}
