//go:build unix

// Command stores compares the databases that stores could be kept in, without Kafka: LevelDB as package state sets it up, and Pebble in its
// place, as its experts would set it up. The store above them, its cache and what it gathers for a write are the same.
//
//	go -C bench run ./stores -keys 3000000
//	go -C bench run ./stores -keys 10000000 -engines leveldb,pebble-filter -rounds 2
//
// Engines:
//
//	leveldb        package state: goleveldb, and the filter that says which keys are not there
//	pebble         Pebble, whose own filters say that
//	pebble-filter  Pebble behind such a filter
//
// The work is that of the reference job on many keys: each for the first time, then existing keys at random, some of them again right after a
// start, and a restore into empty databases. Commits come every 30,000 records. A part ends when its databases are closed. A figure
// counts only when every key is there in the end, and all together have counted each record once.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/weirstream/weir/bench/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		stop()
		os.Exit(1)
	}
}

func start(ctx context.Context) error {
	cfg := config{Commit: 30_000}
	names := flag.String("engines", strings.Join(engines, ","), "what to compare, in the order of each round")
	rounds := flag.Int("rounds", 1, "rounds")
	cacheMB := flag.Int64("cache", 128, "MiB of cache for all stores together; Pebble has an eighth of it more, for blocks")
	asJSON := flag.Bool("json", false, "print a JSON object for each part of each run instead of a table")
	one := flag.String("engine", "", "run this one alone, in -dir, and print its figures as JSON (what a round does in a process of its own)")
	what := flag.String("part", "totals", "with -engine: totals or restore")
	flag.IntVar(&cfg.Keys, "keys", 1_000_000, "keys")
	flag.IntVar(&cfg.Updates, "updates", 0, "records over existing keys (default: as many as keys)")
	flag.IntVar(&cfg.Stores, "stores", 8, "stores, as a topology has partitions")
	flag.StringVar(&cfg.Dir, "dir", "", "folder for the databases of -engine, or in which a temporary one is made for each run (default: the system's)")
	flag.Parse()
	if cfg.Updates == 0 {
		cfg.Updates = cfg.Keys
	}
	cfg.CacheBytes = *cacheMB << 20
	if cfg.Keys < cfg.Stores || cfg.Stores < 1 || cfg.Updates < 1 || *cacheMB < 1 || *rounds < 1 {
		return errors.New("-stores, -updates, -cache and -rounds are 1 or more, and there is a key for each store")
	}
	if *one != "" {
		return runOne(cfg, *one, *what)
	}
	all, err := compare(ctx, cfg, strings.Split(*names, ","), *rounds)
	if *asJSON {
		return errors.Join(err, printJSON(os.Stdout, all))
	}
	return errors.Join(err, table(os.Stdout, all))
}

// runOne does a part of the work and prints its figures.
func runOne(cfg config, engine, part string) error {
	r := &run{config: cfg, engine: engine}
	work := map[string]func() error{"totals": r.totals, "restore": r.restore}[part]
	if work == nil {
		return fmt.Errorf("no part %q: want totals or restore", part)
	}
	if err := work(); err != nil {
		return err
	}
	return printJSON(os.Stdout, r.found)
}

func printJSON(w io.Writer, all []figures) error {
	out := json.NewEncoder(w)
	for _, f := range all {
		if err := out.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// compare runs the engines in turn.
func compare(ctx context.Context, cfg config, names []string, rounds int) (all []figures, err error) {
	for round := range rounds {
		for _, i := range measure.Order(len(names), round) {
			for _, part := range []string{"totals", "restore"} {
				fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s\n", round+1, rounds, names[i], part)
				found, err := child(ctx, cfg, names[i], part)
				if err != nil {
					return all, fmt.Errorf("%s: %w", names[i], err)
				}
				for _, f := range found {
					f.Round = round + 1
					all = append(all, f)
				}
			}
		}
	}
	return all, nil
}

// child does one run in a process and a folder of its own.
func child(ctx context.Context, cfg config, engine, part string) (found []figures, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "weir-stores-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.CommandContext(ctx, self, "-engine", engine, "-part", part, "-dir", dir, "-keys", fmt.Sprint(cfg.Keys), "-updates", fmt.Sprint(cfg.Updates),
		"-stores", fmt.Sprint(cfg.Stores), "-cache", fmt.Sprint(cfg.CacheBytes>>20))
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(strings.NewReader(string(answer))); ; {
		var f figures
		switch err := lines.Decode(&f); err {
		case nil:
			found = append(found, f)
		case io.EOF:
			return found, nil
		default:
			return nil, err
		}
	}
}

// table has the parts one after the other, with the engines' medians.
func table(out io.Writer, all []figures) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "part\tengine\trecords/s\tCPU us\tB written, a record\tlongest commit ms\tpeak memory MB\tdisk MB\topened in s\tclosed in s")
	type row struct{ part, engine string }
	rows := map[row][]figures{}
	var order []row
	for _, f := range all {
		r := row{f.Part, f.Engine}
		if rows[r] == nil {
			order = append(order, r)
		}
		rows[r] = append(rows[r], f)
	}
	slices.SortStableFunc(order, func(a, b row) int { return slices.Index(parts, a.part) - slices.Index(parts, b.part) })
	for _, r := range order {
		median := func(of func(figures) float64) float64 {
			var values []float64
			for _, f := range rows[r] {
				values = append(values, of(f))
			}
			return measure.SpreadOf(values).Median
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\n", r.part, r.engine,
			median(func(f figures) float64 { return f.Rate }), median(func(f figures) float64 { return f.CPU }), median(func(f figures) float64 { return f.Written }),
			median(func(f figures) float64 { return f.Longest }), median(func(f figures) float64 { return float64(f.Peak) / 1e6 }),
			median(func(f figures) float64 { return float64(f.Disk) / 1e6 }), median(func(f figures) float64 { return f.Open }), median(func(f figures) float64 { return f.Close }))
	}
	return w.Flush()
}
