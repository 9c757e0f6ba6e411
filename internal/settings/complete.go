package settings

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Complete teaches a command's shell completion the values of its settings: choices, files and folders. Nothing else is
// offered, as completing the names of files in place of a number only misleads.
func Complete(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := f.Value.(*flagValue)
		if !ok {
			return
		}
		s := value.setting
		complete := cobra.FixedCompletions(slices.Clone(s.kind.choices), cobra.ShellCompDirectiveNoFileComp)
		switch s.kind.flag {
		case "FILE":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		case "DIR":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
	})
}
