// Package cli is the command line around a program's topologies: run, topology, version, and what a program adds.
//
// Settings come from internal/settings. A mistake is one line on standard error that says what to do; the exit code says
// of which kind it is (docs/exit-codes.md). Commands end when their context is cancelled; Main ties that to SIGTERM,
// SIGHUP and Ctrl-C.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/termtext"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// Program is what a command line is made around.
type Program struct {
	Name       string
	Topologies []*topology.Topology
	Hooks      []processors.Hook // of the instance that run starts
	// Examples says that the topologies are there to look at: they say nothing of those in the cluster that have the same names.
	Examples bool
}

// New is the command line of a program around its topologies.
func New(program string, topologies ...*topology.Topology) *cobra.Command {
	return Program{Name: program, Topologies: topologies}.Command()
}

// Command is the command line of a program.
func (p Program) Command() *cobra.Command {
	program, topologies := p.Name, p.Topologies
	root := &cobra.Command{
		Use:   program,
		Short: "Run and inspect the topologies of " + program,
		Long: "Runs and inspects the topologies of " + program + ": " + strings.Join(names(topologies), ", ") + ".\n\n" +
			"Every setting has a flag and a variable, such as --brokers and WEIR_BROKERS, or a line in the file that --config names; secrets,\n" +
			"such as WEIR_SASL_PASSWORD, have no flag. The help of a command lists its settings.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 topology refused, 4 stopped by a node,\n" +
			"5 offsets and state disagree, 6 something is not as a file says; 129, 130 and 143 after a second SIGHUP, Ctrl-C or SIGTERM.",
		Args:          cobra.ArbitraryArgs,
		RunE:          Group,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return withCode(exitRefused, listedOnce(topologies)) }
	root.SetHelpCommand(helpCommand())
	root.AddCommand(runCommand(p), statusCommand(program), topologyCommand(program, topologies), offsetsCommand(program, topologies),
		dlqCommand(p), replayCommand(program, topologies), stateCommand(program, topologies), versionCommand(program))
	root.SetFlagErrorFunc(flagError)
	return root
}

// flagError is what is said of a flag that is wrong. An attempt to ask for the version as in other programs is answered with the right way.
func flagError(cmd *cobra.Command, err error) error {
	var absent *pflag.NotExistError
	if errors.As(err, &absent) && !cmd.HasParent() && slices.Contains([]string{"version", "v", "V"}, absent.GetSpecifiedName()) {
		return fmt.Errorf("there is no flag for the version: did you mean %q?", cmd.Name()+" version")
	}
	return settings.FlagError(cmd.Flags(), err)
}

// listedOnce refuses two topologies of one name: it is the name of the consumer group and of the state folder, and commands
// could only mean one of them.
func listedOnce(topologies []*topology.Topology) error {
	var mistakes []error
	seen := map[string]*topology.Topology{}
	for _, t := range topologies {
		other, twice := seen[t.Name()]
		switch {
		case twice && other == t:
			mistakes = append(mistakes, fmt.Errorf("topology %q is given to weir.Main twice: remove one", t.Name()))
		case twice:
			mistakes = append(mistakes, fmt.Errorf("two topologies given to weir.Main have the name %q, which is that of the consumer group: rename one", t.Name()))
		}
		seen[t.Name()] = t
	}
	return errors.Join(mistakes...)
}

// Execute runs a command line until it is done or ctx is cancelled. ExitCode tells what its error means. A command that was asked for JSON prints
// one document on standard output, whatever happens: its result, or what has failed.
func Execute(ctx context.Context, root *cobra.Command, args []string) error {
	for _, cmd := range commands(root) {
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				err := run(cmd, args)
				var c *coded
				if err != nil && !errors.As(err, &c) {
					err = withCode(exitFailure, err)
				}
				return err
			}
		}
	}
	// Whatever the commands print, of records, names and errors, is cleaned.
	out := termtext.NewWriter(root.OutOrStdout())
	root.SetOut(out)
	root.SetErr(termtext.NewWriter(root.ErrOrStderr()))
	err := unknownCommand(root, args)
	cmd := root
	if err = withCode(exitUsage, err); err == nil {
		root.SetArgs(args)
		cmd, err = root.ExecuteContextC(ctx)
	}
	if err != nil && !out.Used() && asksForJSON(cmd, args) {
		_ = writeJSON(out, failure{err.Error(), ExitCode(err)}) // standard error has it too
	}
	return err
}

// failure is what a command prints as JSON that has nothing else to print.
type failure struct {
	Error    string `json:"error"`
	ExitCode int    `json:"exit_code"`
}

// asksForJSON says whether a command was asked for JSON, by flags which it may not have come to read.
func asksForJSON(cmd *cobra.Command, args []string) bool {
	if f := cmd.Flags().Lookup("output"); f != nil && f.Value.String() == OutputJSON {
		return true
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--output="+OutputJSON)
}

// Group is what a command does that only holds others.
func Group(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// unknownCommand is the answer to a command line that names a command which does not exist. cobra would look at the flags
// after it first and call them unknown, or answer with help and success.
func unknownCommand(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return nil
	}
	cmd, rest, err := root.Find(args)
	if err != nil || !cmd.HasSubCommands() {
		return nil
	}
	for n, word := range rest {
		if word == "--" {
			break
		}
		if value := n > 0 && strings.HasPrefix(rest[n-1], "-") && !strings.Contains(rest[n-1], "="); !strings.HasPrefix(word, "-") && !value {
			return notFound(cmd, word)
		}
	}
	return nil
}

// notFound names a command that does not exist, the nearest one that does, and all that there are.
func notFound(cmd *cobra.Command, word string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" { // cobra calls its help not available
			known = append(known, c.Name())
		}
	}
	near := ""
	if name := settings.Nearest(word, known); name != "" {
		near = fmt.Sprintf(" Did you mean %q?", cmd.CommandPath()+" "+name)
	}
	return fmt.Errorf("unknown command %q of %s.%s There are: %s", word, cmd.CommandPath(), near, strings.Join(known, ", "))
}

// NoArgs refuses arguments, in words that say so.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no arguments, and was given %q; %s --help lists its flags", cmd.CommandPath(), args[0], cmd.CommandPath())
}

// helpCommand is cobra's, except that it fails where there is no such command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(help *cobra.Command, args []string) error {
			cmd, rest, err := help.Root().Find(args)
			if err == nil && len(rest) > 0 && cmd.HasSubCommands() {
				err = notFound(cmd, rest[0])
			}
			if err != nil {
				return withCode(exitUsage, err)
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

func commands(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, c := range root.Commands() {
		list = append(list, commands(c)...)
	}
	return list
}

// Main runs a command line as a whole process, and returns its exit code. The first SIGTERM, SIGHUP or Ctrl-C cancels
// the command's context; a second one, more than 300 ms after it, ends the process at once. SIGHUP is what a closed terminal sends; under nohup, which
// has it ignored, it stays ignored.
func Main(root *cobra.Command) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	abort := &aborts{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), abortsKey{}, abort))
	defer cancel()
	go func() {
		second := secondSignal(signals, cancel)
		abort.run()
		os.Exit(exitSignal + int(second.(syscall.Signal)))
	}()
	err := Execute(ctx, root, os.Args[1:])
	report(termtext.Stderr(), root.Name(), err)
	return ExitCode(err)
}

// oneRequest is how long after the first signal another one belongs to it. coreutils' timeout signals its child and then the
// process group, supervisors and terminals do likewise: that is no impatience.
const oneRequest = 300 * time.Millisecond

// secondSignal waits for the first signal, which it answers with cancel, and then for one that is a request of its own.
func secondSignal(signals <-chan os.Signal, cancel func()) os.Signal {
	<-signals
	first := time.Now()
	cancel()
	for {
		if next := <-signals; time.Since(first) > oneRequest {
			return next
		}
	}
}

// aborts are what a second signal still does.
type aborts struct {
	mu   sync.Mutex
	list []func()
}

type abortsKey struct{}

// OnAbort has do called when a second signal ends the process at once. It must be quick and wait for nobody.
func OnAbort(ctx context.Context, do func()) {
	if a, ok := ctx.Value(abortsKey{}).(*aborts); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.list = append(a.list, do)
	}
}

func (a *aborts) run() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, do := range a.list {
		do()
	}
}

// report writes one line for each mistake; lines that belong to the one before are indented.
func report(w io.Writer, program string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		if !strings.HasPrefix(line, " ") {
			line = program + ": " + line
		}
		fmt.Fprintln(w, line)
	}
}

// example indents example command lines as help shows them.
func example(program string, lines ...string) string {
	for i, line := range lines {
		lines[i] = "  " + program + " " + line
	}
	return strings.Join(lines, "\n")
}

// OutputText and OutputJSON are the values of --output.
const (
	OutputText = "text"
	OutputJSON = "json"
)

// AddOutput adds --output, and --json, which is short for --output json and not listed.
func AddOutput(cmd *cobra.Command, output *string) {
	addChoice(cmd, output, "output", "form of what is printed", OutputText, OutputJSON)
	cmd.Flags().BoolFunc("json", "short for --output json", func(text string) error {
		asked, err := strconv.ParseBool(text)
		if *output = OutputText; asked {
			*output = OutputJSON
		}
		return err
	})
	cmd.Flags().Lookup("json").Hidden = true
}

// addChoice adds a flag with a few allowed values, the first one the default.
func addChoice(cmd *cobra.Command, value *string, name, help string, choices ...string) {
	*value = choices[0]
	cmd.Flags().Var(&choice{value, choices}, name, help)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
}

type choice struct {
	value   *string
	choices []string
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.choices, "|") }
func (c *choice) Set(text string) error {
	if !slices.Contains(c.choices, text) {
		return fmt.Errorf("give %s", strings.Join(c.choices, " or "))
	}
	*c.value = text
	return nil
}
