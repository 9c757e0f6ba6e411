package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/buildinfo"
)

// build is what the binary knows about itself.
type build struct {
	Program string `json:"program"`
	buildinfo.Info
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild(program string) build {
	return build{Program: program, Info: buildinfo.Read(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

func versionCommand(program string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary was built from",
		Example: example(program, "version", "version --output json"),
		Args:    NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuild(program)
			if output == OutputJSON {
				return writeJSON(cmd.OutOrStdout(), b)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s (weir %s, %s, %s)\n", b.Program, b.Version, b.Weir, b.Go, b.Platform)
			return err
		},
	}
	AddOutput(cmd, &output)
	return cmd
}
