package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

const module = "github.com/weirstream/weir"

// build is what the binary knows about itself.
type build struct {
	Program  string `json:"program"`
	Version  string `json:"version"` // of the program's main module
	Weir     string `json:"weir"`    // of the framework in it
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified"`       // built from a tree with changes that are not in the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild(program string) build {
	b := build{Program: program, Version: "unknown", Weir: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			b.Weir = m.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
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
