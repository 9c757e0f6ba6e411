//go:build unix

// Command bench compares Weir with Kafka Streams, goka and loops without a framework, each on the same work, against one
// real Kafka. The figures of the docs come from it. `bench -help` says how it is used.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/weirstream/weir/bench/engine"
	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/measure"
	"github.com/weirstream/weir/bench/work"
)

type options struct {
	work.Settings
	brokers string
	works   []work.Work
	out     string
	engine  string // what a round does in a process of its own
	job     string
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.engine != "" {
		err = runEngine(ctx, o)
	} else {
		err = compare(ctx, o)
	}
	if err == nil || ctx.Err() != nil && o.engine != "" {
		return
	}
	if ctx.Err() != nil { // whatever was under way then says only that it was cut short
		err = errors.New("interrupted; everything that it started has been stopped")
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := f.Bool("quick", false, "small inputs, one round: a few minutes in all, for orientation")
	long := f.Bool("long", false, "the works with 10 M keys too: hours")
	names := f.String("work", "totals", "works, comma-separated, or all:\n"+list())
	engines := f.String("engines", "", "contestants, comma-separated (default: those of each work), with options after a colon, several with a semicolon\nbetween contestants: weir;streams:threads=1,caching=false. There are "+strings.Join(engine.Names(), ", "))
	f.StringVar(&o.brokers, "brokers", "", "addresses of a Kafka that runs already, HOST:PORT (default: one is started)")
	f.IntVar(&o.Rounds, "runs", 0, "rounds (default 5, with -quick 1)")
	f.IntVar(&o.Records, "records", 0, "input records (default: those of each work)")
	f.IntVar(&o.Keys, "keys", 0, "keys (default: those of each work)")
	f.IntVar(&o.Partitions, "partitions", 4, "partitions of every topic")
	f.IntVar(&o.Workers, "workers", 0, "workers or threads of engines that have them (default: what serves each best, threads of Kafka Streams as many as\nCPUs, workers of Weir and of the floor on its wire twice as many)")
	f.DurationVar(&o.Interval, "commit-interval", 100*time.Millisecond, "of engines that have one")
	f.StringVar(&o.Profile, "cpuprofile", "", "write a CPU profile of the engines in Go to this file, each over the last one's")
	f.StringVar(&o.Memory, "memprofile", "", "write a heap profile of the engines in Go at their most memory to this file, and where the memory was to FILE.txt, each over the last one's")
	f.StringVar(&o.out, "out", "", "folder for report.md, report.json and plots (default: none are written)")
	f.StringVar(&o.engine, "engine", "", "run this engine alone, until it is told to stop (what a round does in a process of its own)")
	f.StringVar(&o.job, "job", "", "with -engine: its job, as JSON")
	f.Usage = func() { usage(f) }
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", f.Arg(0))
	case *quick && *long:
		return o, errors.New("-quick and -long exclude each other")
	case o.Partitions < 1 || o.Workers < 0 || o.Interval < time.Millisecond || o.Rounds < 0 || o.Records < 0 || o.Keys < 0:
		return o, errors.New("-partitions is 1 or more, -runs, -records, -keys and -workers are not negative, -commit-interval is 1ms or more")
	}
	o.Form = map[[2]bool]string{{true, false}: "quick", {false, true}: "long", {false, false}: "full"}[[2]bool{*quick, *long}]
	if o.Rounds == 0 {
		o.Rounds = map[string]int{"quick": 1, "full": 5, "long": 5}[o.Form]
	}
	if o.works, err = chosen(strings.Split(*names, ",")); err != nil {
		return o, err
	}
	if *engines != "" {
		o.Engines = contestants(*engines)
	}
	return o, o.check()
}

// check finds what would otherwise fail only after a Kafka was started and fed.
func (o options) check() error {
	for _, name := range o.Engines {
		if _, err := engine.Find(name); err != nil {
			return fmt.Errorf("-engines: %w", err)
		}
	}
	for flag, path := range map[string]string{"-cpuprofile": o.Profile, "-memprofile": o.Memory} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("%s: its folder must be there: %w", flag, err)
		}
	}
	return nil
}

func chosen(names []string) (works []work.Work, err error) {
	if len(names) == 1 && names[0] == "all" {
		return work.All(), nil
	}
	for _, name := range names {
		w, err := work.Find(name)
		if err != nil {
			return nil, err
		}
		works = append(works, w)
	}
	return works, nil
}

// contestants splits at commas, or at semicolons where there is one: options have commas in them.
func contestants(list string) []string {
	if strings.ContainsAny(list, ";:") {
		return strings.Split(list, ";")
	}
	return strings.Split(list, ",")
}

func list() string {
	var b strings.Builder
	for _, w := range work.All() {
		fmt.Fprintf(&b, "  %-11s %s\n", w.Name, w.Title)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func usage(f *flag.FlagSet) {
	fmt.Fprint(f.Output(), `bench compares Weir with Kafka Streams, goka and loops without a framework on the same work, in turn, in one run.
A figure counts only when the engine's whole output is the computed truth.

  bench -quick -work all                         everything, small: a few minutes
  bench -work totals,copy -out results           two works in five rounds, with a report and plots
  bench -work totals -keys 3000000 -records 3000000 -engines weir,streams
  bench -work totals -engines "streams:threads=1,caching=false;streams:threads=2,caching=true"
  bench -work totals -engines "weir;weir:set.cache-bytes=256MiB,set.fetch.buffer.memory=32MiB"
  bench -brokers 127.0.0.1:9092 -engines weir -runs 3

Run it on a machine that does nothing else. It needs Java 17 and Maven. Ctrl-C stops everything that it started.

`)
	f.PrintDefaults()
}

func runEngine(ctx context.Context, o options) error {
	var j job.Job
	if err := json.Unmarshal([]byte(o.job), &j); err != nil {
		return fmt.Errorf("-job: %w", err)
	}
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if j.Memory != "" {
		go func() {
			if err := measure.WatchMemory(ctx, j.Memory); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
			}
		}()
	}
	return engine.Run(ctx, o.engine, j)
}
