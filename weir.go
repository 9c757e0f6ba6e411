// Package weir runs topologies, which are declared with package topology: as the command line of a program, or inside a
// program that has its own.
//
//	func main() { weir.Main(orders.Totals) }
//
// Main gives the program its whole command line: run, topology check, describe and draw, offsets, version. Everything about a
// run that operators may change is a setting: a flag, a WEIR_ variable, or a line of a YAML file (docs/configuration.md). Exit
// codes are in docs/exit-codes.md. A Program has hooks too, or a command line that is run otherwise.
//
// Run is an instance as a call, with typed Options: no command line, no environment, no signals, and no file but those that
// the options name.
//
//	err := weir.Run(ctx, orders.Totals, weir.Options{Brokers: []string{"localhost:9092"}, StateDir: "/var/lib/totals"})
package weir

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// Program is a program around its topologies.
type Program struct {
	Topologies []*topology.Topology
	// Hooks are called by the instance that "run" starts: see processors.Hook.
	Hooks []processors.Hook
}

// Main runs the process's command line around the topologies, and exits. SIGTERM, SIGHUP and Ctrl-C end a run in order:
// commit, leave the group, exit 0 within 5 seconds, or 1 where a node does not return in that time. A second one, more than 300 ms after the
// first, exits at once.
func Main(topologies ...*topology.Topology) { Program{Topologies: topologies}.Main() }

// Execute is Main without the process: it runs a command line (without the program's name) until it is done or ctx is
// cancelled, which ends it in order. Output goes to os.Stdout, logs to os.Stderr; the error is not printed.
func Execute(ctx context.Context, args []string, topologies ...*topology.Topology) error {
	return Program{Topologies: topologies}.Execute(ctx, args)
}

// ExitCode is the exit code with which Main answers an error of Execute or Run.
func ExitCode(err error) int { return cli.ExitCode(err) }

// Command is the command line, for a program that adds commands of its own.
func Command(topologies ...*topology.Topology) *cobra.Command {
	return Program{Topologies: topologies}.Command()
}

// Main is the function Main, with hooks.
func (p Program) Main() { os.Exit(cli.Main(p.Command())) }

// Execute is the function Execute, with hooks.
func (p Program) Execute(ctx context.Context, args []string) error {
	return cli.Execute(ctx, p.Command(), args)
}

// Command is the function Command, with hooks.
func (p Program) Command() *cobra.Command {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	return cli.Program{Name: name, Topologies: p.Topologies, Hooks: p.Hooks}.Command()
}
