// Command wire measures the way to and from Kafka alone, with no engine: Weir's sink and fetcher, franz-go and sarama, on
// one broker, in turn.
//
//	go -C bench run ./wire -brokers 127.0.0.1:9092 -work produce -size 100 -rounds 5
//
// Works:
//
//	produce  writes -records values of -size bytes to -partitions partitions, idempotently with acks=all, and ends with the
//	         last acknowledgement
//	consume  reads as many, read committed, which were written before
//	latency  writes -rate records a second for -duration, each at its time whatever became of the one before, and says how
//	         long after its time each was acknowledged
//
// Each run is a process of its own. Its first records warm it up and are not measured. A row of -json has all figures.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/measure"
)

// config is what a run is told.
type config struct {
	Brokers     []string
	Topic       string
	Work        string
	Engine      string
	Size        int
	Records     int
	Partitions  int
	Batch       int
	Fetch       int
	Compression string
	Rate        int
	Duration    time.Duration
}

// figures are what a run has measured.
type figures struct {
	Work    string  `json:"work"`
	Engine  string  `json:"engine"`
	Round   int     `json:"round"`
	Size    int     `json:"size"`
	Records int     `json:"records"`
	Rate    float64 `json:"records_per_second"`
	CPU     float64 `json:"cpu_us_per_record"` // of the process, the broker's not counted
	Allocs  float64 `json:"allocs_per_record"`
	Bytes   float64 `json:"alloc_bytes_per_record"`
	// Of latency, in milliseconds.
	P50  float64 `json:"p50_ms,omitempty"`
	P99  float64 `json:"p99_ms,omitempty"`
	P999 float64 `json:"p999_ms,omitempty"`
	Max  float64 `json:"max_ms,omitempty"`
}

func main() {
	var cfg config
	brokers := flag.String("brokers", "127.0.0.1:9092", "addresses of the brokers, comma-separated")
	engines := flag.String("engines", "weir,franz-go,sarama", "what to compare, in the order of each round")
	rounds := flag.Int("rounds", 5, "rounds")
	asJSON := flag.String("json", "", "append a JSON object for each run to this file")
	one := flag.String("engine", "", "run this one alone, on -topic, and print its figures as JSON (what a round does in a process of its own)")
	profile := flag.String("cpuprofile", "", "with -engine: write a CPU profile of the measured part to this file")
	flag.StringVar(&cfg.Topic, "topic", "", "with -engine")
	flag.StringVar(&cfg.Work, "work", "produce", "produce, consume or latency")
	flag.IntVar(&cfg.Size, "size", 100, "bytes of a value")
	flag.IntVar(&cfg.Records, "records", 5_000_000, "records of a run, of produce and consume")
	flag.IntVar(&cfg.Partitions, "partitions", 4, "partitions of the topic")
	flag.IntVar(&cfg.Batch, "batch", 512<<10, "largest batch in bytes, of all engines")
	flag.IntVar(&cfg.Fetch, "fetch", 4<<20, "what a fetch may take of a partition in bytes, of all engines")
	flag.StringVar(&cfg.Compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	flag.IntVar(&cfg.Rate, "rate", 50_000, "records a second, of latency")
	flag.DurationVar(&cfg.Duration, "duration", 10*time.Second, "of latency")
	flag.Parse()
	cfg.Brokers = strings.Split(*brokers, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *one != "" {
		cfg.Engine = *one
		err = runOne(ctx, cfg, *profile)
	} else {
		err = compare(ctx, cfg, strings.Split(*engines, ","), *rounds, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
}

// runOne does the work of one engine and prints its figures.
func runOne(ctx context.Context, cfg config, profile string) error {
	work := works[cfg.Work][cfg.Engine]
	if work == nil {
		return fmt.Errorf("no engine %q for work %q", cfg.Engine, cfg.Work)
	}
	m := &meter{profile: profile}
	f := figures{Work: cfg.Work, Engine: cfg.Engine, Size: cfg.Size}
	if err := work(ctx, cfg, m); err != nil {
		return err
	}
	m.figures(&f)
	return json.NewEncoder(os.Stdout).Encode(f)
}

// works are the engines of each work. A work calls meter.start when it is warm, and meter.stop at its end.
var works = map[string]map[string]func(context.Context, config, *meter) error{
	"produce": {"weir": produceWeir, "franz-go": produceFranz, "sarama": produceSarama},
	"consume": {"weir": consumeWeir, "franz-go": consumeFranz, "sarama": consumeSarama},
	"latency": {"weir": latencyWeir, "franz-go": latencyFranz, "sarama": latencySarama},
}

// meter measures the part of a run between start and stop.
type meter struct {
	profile string
	file    *os.File
	began   time.Time
	took    time.Duration
	cpu     time.Duration
	memory  runtime.MemStats
	allocs  uint64
	bytes   uint64
	records int
	times   []time.Duration // of latency, of each record
}

func (m *meter) start() {
	if m.times == nil { // a collection would be a latency
		runtime.GC()
	}
	runtime.ReadMemStats(&m.memory)
	if m.profile != "" {
		if f, err := os.Create(m.profile); err == nil && pprof.StartCPUProfile(f) == nil {
			m.file = f
		}
	}
	m.cpu = processorTime()
	m.began = time.Now()
}

func (m *meter) stop(records int) {
	m.took, m.records = time.Since(m.began), records
	m.cpu = processorTime() - m.cpu
	if m.file != nil {
		pprof.StopCPUProfile()
		m.file.Close()
	}
	before := m.memory
	runtime.ReadMemStats(&m.memory)
	m.allocs, m.bytes = m.memory.Mallocs-before.Mallocs, m.memory.TotalAlloc-before.TotalAlloc
}

func (m *meter) figures(f *figures) {
	n := float64(m.records)
	f.Records, f.Rate = m.records, n/m.took.Seconds()
	f.CPU = float64(m.cpu.Nanoseconds()) / 1e3 / n
	f.Allocs, f.Bytes = float64(m.allocs)/n, float64(m.bytes)/n
	if len(m.times) > 0 {
		slices.Sort(m.times)
		at := func(q float64) float64 {
			return float64(m.times[min(len(m.times)-1, int(q*float64(len(m.times))))].Microseconds()) / 1e3
		}
		f.P50, f.P99, f.P999, f.Max = at(.5), at(.99), at(.999), at(1)
	}
}

// compare runs the engines in turn and prints a row for each.
func compare(ctx context.Context, cfg config, engines []string, rounds int, file string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var out *os.File
	if file != "" {
		if out, err = os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return err
		}
		defer out.Close()
	}
	topic := func(name string) (string, error) {
		t := fmt.Sprintf("wire-%d-%s", time.Now().UnixNano(), name)
		_, err := admin.CreateTopic(ctx, int32(cfg.Partitions), -1, nil, t)
		return t, err
	}
	var shared string
	if cfg.Work == "consume" {
		if shared, err = topic("consume"); err != nil {
			return err
		}
		fill := cfg
		fill.Work, fill.Topic = "produce", shared
		if _, err := child(ctx, fill, "weir"); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		defer admin.DeleteTopics(context.WithoutCancel(ctx), shared)
	}
	results := map[string][]figures{}
	for round := range rounds {
		for _, i := range measure.Order(len(engines), round) {
			name := engines[i]
			run := cfg
			run.Topic = shared
			if shared == "" {
				if run.Topic, err = topic(name); err != nil {
					return err
				}
			}
			f, err := child(ctx, run, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if shared == "" {
				if _, err := admin.DeleteTopics(ctx, run.Topic); err != nil {
					return err
				}
			}
			f.Round = round + 1
			results[name] = append(results[name], f)
			if out != nil {
				if err := json.NewEncoder(out).Encode(f); err != nil {
					return err
				}
			}
		}
	}
	return table(cfg, engines, results)
}

// child does one run in a process of its own.
func child(ctx context.Context, cfg config, engine string) (f figures, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	cmd := exec.CommandContext(ctx, self, "-engine", engine, "-topic", cfg.Topic, "-brokers", strings.Join(cfg.Brokers, ","),
		"-work", cfg.Work, "-size", fmt.Sprint(cfg.Size), "-records", fmt.Sprint(cfg.Records), "-partitions", fmt.Sprint(cfg.Partitions),
		"-batch", fmt.Sprint(cfg.Batch), "-fetch", fmt.Sprint(cfg.Fetch), "-compression", cfg.Compression, "-rate", fmt.Sprint(cfg.Rate), "-duration", cfg.Duration.String())
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(answer, &f)
}

func table(cfg config, engines []string, results map[string][]figures) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d B, %d partitions, compression %s\n", cfg.Work, cfg.Size, cfg.Partitions, cfg.Compression)
	fmt.Fprintln(w, "engine\tmin\tmedian\tmax records/s\tCPU us\tallocs\tB allocated, a record\tp50\tp99\tp99.9\tmax ms, medians")
	for _, name := range engines {
		spread := func(of func(figures) float64) measure.Spread {
			var values []float64
			for _, f := range results[name] {
				values = append(values, of(f))
			}
			return measure.SpreadOf(values)
		}
		median := func(of func(figures) float64) float64 { return spread(of).Median }
		rate := spread(func(f figures) float64 { return f.Rate })
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.3f\t%.3f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\n", name, rate.Min, rate.Median, rate.Max,
			median(func(f figures) float64 { return f.CPU }), median(func(f figures) float64 { return f.Allocs }),
			median(func(f figures) float64 { return f.Bytes }), median(func(f figures) float64 { return f.P50 }),
			median(func(f figures) float64 { return f.P99 }), median(func(f figures) float64 { return f.P999 }),
			median(func(f figures) float64 { return f.Max }))
	}
	return w.Flush()
}
