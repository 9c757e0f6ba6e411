package settings

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const usageWidth = 100

// Usage is the usage of a command with settings: its own flags first, then the settings under their headings. cobra's
// would be one list of fifty lines, each too wide to read.
func Usage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n\nExamples:\n%s\n", cmd.UseLine(), cmd.Example)
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	groups := map[string]*strings.Builder{}
	var order []string
	for _, s := range Table() {
		f := cmd.Flags().Lookup(s.Name)
		if f == nil {
			continue
		}
		if groups[s.Group] == nil {
			groups[s.Group] = &strings.Builder{}
			order = append(order, s.Group)
		}
		g := groups[s.Group]
		fmt.Fprintf(g, "  --%s", s.Name)
		if s.kind.flag != "" {
			g.WriteString(" " + s.kind.flag)
		}
		g.WriteString("\n")
		wrap(g, "      ", f.Usage)
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Value.(*flagValue); !ok {
			own.AddFlag(f)
		}
	})
	fmt.Fprintf(&b, "\nFlags:\n%s", own.FlagUsagesWrapped(usageWidth))
	for _, group := range order {
		fmt.Fprintf(&b, "\n%s:\n%s", group, groups[group])
	}
	if len(order) > 0 {
		fmt.Fprintf(&b, "\nEach setting has a variable, %s for --%s, and a line in the file that --%s names.\n", Brokers.Env(), Brokers.Name, Config.Name)
	}
	if cmd.Flags().Lookup(SASLMechanism.Name) != nil {
		fmt.Fprintf(&b, "Secrets have no flag, only these: %s, %s.\n", SASLPassword.Env(), SASLToken.Env())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// wrap writes text in lines that begin with indent.
func wrap(b *strings.Builder, indent, text string) {
	used := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+len(word) > usageWidth:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	b.WriteString("\n")
}
