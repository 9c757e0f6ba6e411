// Package weir gives a program with topologies its command line: run, topology check, describe and draw, version.
//
//	func main() { weir.Main(orders.Totals) }
//
// Topologies are declared with package topology. Everything about a run that operators may change is a setting: a flag,
// a WEIR_ variable, or a line of a YAML file (docs/configuration.md). Exit codes are in docs/exit-codes.md.
package weir

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/topology"
)

// Main runs the process's command line around the topologies, and exits. SIGTERM, SIGHUP and Ctrl-C end a run in order:
// commit, leave the group, exit 0 within 5 seconds. A second one exits at once.
func Main(topologies ...*topology.Topology) { os.Exit(cli.Main(Command(topologies...))) }

// Run is Main without the process: it runs a command line (without the program's name) until it is done or ctx is
// cancelled, which ends it in order. Output goes to os.Stdout, logs to os.Stderr; the error is not printed.
func Run(ctx context.Context, args []string, topologies ...*topology.Topology) error {
	return cli.Execute(ctx, Command(topologies...), args)
}

// ExitCode is the exit code with which Main answers an error of Run.
func ExitCode(err error) int { return cli.ExitCode(err) }

// Command is the command line, for a program that adds commands of its own.
func Command(topologies ...*topology.Topology) *cobra.Command {
	program := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	return cli.New(program, topologies...)
}
