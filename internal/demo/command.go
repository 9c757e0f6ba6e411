// Package demo is `weir demo`: the reference job on live input, in one process and without Kafka.
//
// It starts the embedded broker, feeds orders into it (some delivered twice, some that nobody can read, some that make no
// sense), runs customer-totals exactly-once, and shows what happens. An observer beside the job reads input, output and
// dead letters as a read-committed consumer does, and folds a model of its own over the input. At the end the counts must
// add up, and what the job has written must be what the model says; the exit code tells.
package demo

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/settings"
)

// The topics of the reference job.
const (
	inputTopic      = "order.placed.v1"
	outputTopic     = "customer.total.v1"
	deadLetterTopic = "order.placed.v1.dlq"
	redriveTopic    = "customer-totals-order.placed.v1-redrive" // there when somebody has redriven letters
)

// options of a demo.
type options struct {
	dataDir string
	length  time.Duration // 0: until it is told to end
	rate    int
	seed    uint64
	json    bool
	values  *settings.Values
}

// shared are the settings of run that make sense here too, and the defaults that differ.
var (
	shared = []*settings.Setting{
		settings.CommitInterval.Setting, settings.Workers.Setting, settings.HTTP.Setting, settings.HTTPTokenFile.Setting,
		settings.LogLevel.Setting, settings.LogFormat.Setting,
	}
	defaults = map[string]string{
		settings.HTTP.Name:     "127.0.0.1:0",
		settings.LogLevel.Name: "warn",
	}
)

// Command is `weir demo`.
func Command() *cobra.Command {
	var o options
	var output string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the reference job on live input, without a Kafka cluster",
		Long: "Starts an embedded broker, feeds orders into order.placed.v1 (some delivered twice, some unreadable, some negative),\n" +
			"runs customer-totals on them exactly-once, and shows the counts and the latency from an order to its visible total. Whoever\n" +
			"looks at the dead letters meanwhile, and sends some back (dlq list, try and redrive at the broker that is shown), is counted in.\n\n" +
			"At the end, after --for or at Ctrl-C, it lets the job finish, reads all topics back and compares them with a model of\n" +
			"the input. Exits 0 when the four counts add up to the records in and every total and dead letter is right, else 1.",
		Example: "  weir demo\n  weir demo --for 10s --rate 5000\n  weir demo --data-dir demo-data",
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), defaults))
			if err == nil && (o.rate < 1 || o.rate > 1_000_000) {
				err = errors.New("--rate: give a number of records a second from 1 to 1000000")
			}
			if err == nil && o.length < 0 {
				err = errors.New("--for: give a duration such as 10s")
			}
			if err != nil {
				return cli.UsageError(err)
			}
			o.values, o.json = v, output == cli.OutputJSON
			return run(cmd.Context(), o, terminal{cmd.OutOrStdout(), cmd.ErrOrStderr()})
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.length, "for", 0, "end after this time, and check (default: at Ctrl-C)")
	flags.IntVar(&o.rate, "rate", 1000, "records to feed each second")
	flags.Uint64Var(&o.seed, "seed", 1, "the same seed makes the same orders")
	flags.StringVar(&o.dataDir, "data-dir", "", "keep the broker's data and the state here, and go on with them the next time; kill -9 can tear them (default: a temporary folder)")
	cli.AddOutput(cmd, &output)
	settings.AddFlags(flags, shared, defaults)
	settings.Complete(cmd)
	_ = cmd.MarkFlagDirname("data-dir")
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// terminal is where the demo writes.
type terminal struct{ out, err io.Writer }
