// Command bench runs the reference job on several engines against one Kafka, in turn, and prints how many input records
// each processed in a second: the figures of the README come from it.
//
//	go -C bench run . -brokers 127.0.0.1:9092 -engines weir,goka -runs 5
//
// Each run is a process of its own, on fresh topics that hold the same records. It is timed from the first output that
// a broker has until the last: joining a group is not part of the figure. Run it on a machine that does nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

type config struct {
	brokers    []string
	records    int
	keys       int
	partitions int
	interval   time.Duration
	workers    int
	profile    string
}

// result is one run of one engine.
type result struct {
	rate float64 // records/s
	rss  int64   // peak resident memory, bytes
	cpu  float64 // microseconds of processor time for a record, the engine's process alone
}

func main() {
	var cfg config
	brokers := flag.String("brokers", "127.0.0.1:9092", "addresses of the brokers, comma-separated")
	engines := flag.String("engines", "weir,goka", "engines to compare, in the order of each round")
	runs := flag.Int("runs", 5, "rounds")
	engine := flag.String("engine", "", "run this engine alone, until it is killed (what a round does in a process of its own)")
	suffix := flag.String("suffix", "", "of the topics, with -engine")
	state := flag.String("state-dir", "", "with -engine")
	flag.StringVar(&cfg.profile, "cpuprofile", "", "write a CPU profile of the engine to this file")
	flag.IntVar(&cfg.records, "records", 1_000_000, "input records")
	flag.IntVar(&cfg.keys, "keys", 100_000, "keys")
	flag.IntVar(&cfg.partitions, "partitions", 4, "partitions of every topic")
	flag.DurationVar(&cfg.interval, "commit-interval", 100*time.Millisecond, "of engines that have one")
	flag.IntVar(&cfg.workers, "workers", 4, "of engines that have them")
	flag.Parse()
	cfg.brokers = strings.Split(*brokers, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *engine != "" {
		err = runEngine(ctx, *engine, cfg, *suffix, *state)
	} else {
		err = compare(ctx, cfg, strings.Split(*engines, ","), *runs)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func runEngine(ctx context.Context, name string, cfg config, suffix, state string) error {
	if cfg.profile != "" {
		f, err := os.Create(cfg.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch name {
	case "weir":
		return runWeir(ctx, cfg, "exactly_once", suffix, state)
	case "weir-alo":
		return runWeir(ctx, cfg, "at_least_once", suffix, state)
	case "goka":
		return runGoka(ctx, cfg, suffix, state)
	}
	return fmt.Errorf("unknown engine %q: weir, weir-alo or goka", name)
}

// compare runs the engines in turn and prints a row for each.
func compare(ctx context.Context, cfg config, engines []string, runs int) error {
	results := map[string][]result{}
	for round := range runs {
		for _, name := range engines {
			r, err := measure(ctx, cfg, name, fmt.Sprintf("-%d-%d-%s", time.Now().Unix(), round, name))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Printf("round %d  %-10s %8.0f records/s  %4d MB  %5.2f us CPU a record\n", round+1, name, r.rate, r.rss>>20, r.cpu)
			results[name] = append(results[name], r)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\nengine\tmin\tmedian\tmax records/s\tpeak MB\tratio to %s, round by round\n", engines[len(engines)-1])
	for _, name := range engines {
		var rates, ratios []float64
		var rss int64
		for i, r := range results[name] {
			rates = append(rates, r.rate)
			ratios = append(ratios, r.rate/results[engines[len(engines)-1]][i].rate)
			rss = max(rss, r.rss)
		}
		slices.Sort(rates)
		slices.Sort(ratios)
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%d\t%.2f to %.2f, median %.2f\n", name, rates[0], rates[len(rates)/2], rates[len(rates)-1],
			rss>>20, ratios[0], ratios[len(ratios)-1], ratios[len(ratios)/2])
	}
	return w.Flush()
}

// measure feeds fresh topics and lets one engine work them off.
func measure(ctx context.Context, cfg config, name, suffix string) (r result, err error) {
	k, err := connect(cfg)
	if err != nil {
		return r, err
	}
	defer k.close()
	if err := k.feed(ctx, cfg, suffix); err != nil {
		return r, err
	}
	state, err := os.MkdirTemp("", "weir-bench")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(state)
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "-engine", name, "-suffix", suffix, "-state-dir", state,
		"-brokers", strings.Join(cfg.brokers, ","), "-partitions", fmt.Sprint(cfg.partitions),
		"-commit-interval", cfg.interval.String(), "-workers", fmt.Sprint(cfg.workers), "-cpuprofile", cfg.profile)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return r, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	took, err := k.watch(ctx, cfg, suffix, exited)
	if cmd.Process.Signal(syscall.SIGTERM) != nil { // Windows has none
		_ = cmd.Process.Kill()
	}
	if err == nil {
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		r.rss = peakMemory(cmd.ProcessState)
		r.cpu = float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / float64(cfg.records)
	}
	r.rate = float64(cfg.records) / took.Seconds()
	return r, err
}
