package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
)

const (
	partitions = 4
	// Bounds of the steps that wait for somebody.
	readyWithin   = 30 * time.Second
	drainedWithin = 30 * time.Second
	readWithin    = 30 * time.Second
)

// demo is what a run has going.
type demo struct {
	options
	began    time.Time
	broker   *embedded.Broker
	wire     processors.Wire
	instance *processors.Managed
	server   *httpserver.Server
	observer *observer
	feeder   *feeder
	looked   time.Time // when it last looked for redriven letters
	display  display
	log      *zap.Logger
}

func run(ctx context.Context, o options, out terminal) (err error) {
	d := &demo{options: o, began: time.Now(), display: newDisplay(o, out)}
	if d.log, err = cli.NewLog(d.display.log(), o.values); err != nil {
		return cli.UsageError(err)
	}
	dir := o.dataDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weir-demo-"); err != nil {
			return fmt.Errorf("make a data folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cli.OnAbort(ctx, func() {
			// The job and the broker still write: a file made between reading a folder and removing it is met the next time.
			for tries := 0; tries < 100 && os.RemoveAll(dir) != nil; tries++ {
			}
		})
	}
	if d.broker, err = embedded.Start(embedded.Options{DataDir: filepath.Join(dir, "broker"), Log: d.log.Named("broker")}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.broker.Close()) }()
	client, err := kafka.Dial(ctx, kafka.Config{Brokers: d.broker.Addrs()}, d.log)
	if err != nil {
		return stopped(ctx, err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	d.wire = processors.Kafka(client)
	return d.run(ctx, dir)
}

// stopped is nil when err only says that the demo was told to end before it had begun.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *demo) run(ctx context.Context, dir string) (err error) {
	from, err := d.committed(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	fetcher, err := d.wire.NewFetcher()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fetcher.Close()) }()
	d.observer = newObserver(fetcher, from)

	// The job outlives ctx: when the demo is told to end, the job first finishes what was fed.
	jobCtx, stopJob := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJob()
	metrics := cli.NewMetrics()
	if err := d.prepareJob(dir, metrics); err != nil {
		return err
	}
	if d.server, err = cli.Serve(d.values, metrics, d.instance, d.log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Close()) }()
	d.display.hello(d.snapshot(phaseStarting))

	var job sync.WaitGroup
	defer job.Wait()
	defer stopJob()
	ended := make(chan error, 1)
	job.Go(func() { ended <- d.instance.Run(jobCtx) })

	if err := d.await(ctx, "the job to be ready", readyWithin, ended, func() (bool, error) { return len(d.instance.Unready()) == 0, nil }); err != nil {
		return stopped(ctx, err)
	}
	if err := d.startObserver(ctx, ended); err != nil {
		return stopped(ctx, err)
	}
	if err := d.feed(ctx, ended); err != nil {
		return err
	}
	return d.finish(stopJob, ended)
}

// committed is where the job goes on in the input: what lies before was processed by an earlier run on the same data.
func (d *demo) committed(ctx context.Context) (map[kafka.TopicPartition]int64, error) {
	topics, err := d.wire.Topics(ctx, []string{inputTopic, redriveTopic})
	if err != nil {
		return nil, err
	}
	inputs := append(of(inputTopic, topics[inputTopic].Partitions), of(redriveTopic, topics[redriveTopic].Partitions)...)
	if len(inputs) == 0 {
		return nil, nil
	}
	committed, err := d.wire.Committed(ctx, orders.Totals.Name(), inputs)
	offsets := make(map[kafka.TopicPartition]int64, len(committed))
	for tp, o := range committed {
		offsets[tp] = o.Offset
	}
	return offsets, err
}

func of(topic string, partitions int32) []kafka.TopicPartition {
	var list []kafka.TopicPartition
	for p := range partitions {
		list = append(list, kafka.TopicPartition{Topic: topic, Partition: p})
	}
	return list
}

func (d *demo) prepareJob(dir string, metrics prometheus.Registerer) error {
	p, err := orders.Totals.Plan(plan.Names{})
	if err != nil {
		return err
	}
	d.instance, err = processors.NewManaged(p, processors.Options{
		Announce:       true, // as every instance does: operators' commands ask what the job reads
		Build:          cli.AnnouncedBuild(),
		Wire:           d.wire,
		CommitInterval: settings.CommitInterval.Of(d.values),
		Workers:        settings.Workers.Of(d.values),
		StateDir:       filepath.Join(dir, "state"),
		Create:         &processors.Creation{Partitions: partitions, ReplicationFactor: 1},
		Log:            quiet(d.log),
		Metrics:        metrics,
	})
	return err
}

// startObserver begins to read everything, and waits until it has read what was there before.
func (d *demo) startObserver(ctx context.Context, ended <-chan error) error {
	var all []kafka.TopicPartition
	topics, err := d.wire.Topics(ctx, []string{inputTopic, outputTopic, deadLetterTopic, redriveTopic})
	if err != nil {
		return err
	}
	for name, info := range topics {
		all = append(all, of(name, info.Partitions)...)
	}
	starts, err := d.wire.Starts(ctx, all)
	if err != nil {
		return err
	}
	d.observer.start(starts)
	ends, err := d.wire.Ends(ctx, of(inputTopic, topics[inputTopic].Partitions))
	if err != nil {
		return err
	}
	err = d.await(ctx, "the existing input to be read", readWithin, ended, func() (bool, error) { return d.observer.reached(ends) })
	if err != nil {
		return err
	}
	sink, err := d.wire.NewSink(ctx, "")
	if err != nil {
		return err
	}
	d.observer.mu.Lock()
	defer d.observer.mu.Unlock()
	d.observer.feeding = true
	d.feeder = &feeder{
		sink: sink, orders: newGenerator(d.seed, d.observer.model.highest), fed: newTally(),
		partitions: topics[inputTopic].Partitions, rate: d.rate,
	}
	return nil
}

// feed feeds and shows until it is time to end.
func (d *demo) feed(ctx context.Context, ended <-chan error) (err error) {
	defer func() { err = errors.Join(err, d.feeder.sink.Close()) }()
	feedCtx, stop := context.WithCancel(ctx)
	defer stop()
	if d.length > 0 {
		feedCtx, stop = context.WithTimeout(ctx, d.length)
		defer stop()
	}
	fed := make(chan error, 1)
	go func() { fed <- d.feeder.run(feedCtx) }()
	tick := time.NewTicker(d.display.every())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := d.watchRedrives(ctx); err != nil && ctx.Err() == nil {
				stop()
				return errors.Join(err, <-fed)
			}
			d.display.show(d.snapshot(phaseRunning))
		case err := <-fed:
			return err
		case err := <-ended:
			stop()
			return errors.Join(fmt.Errorf("the job ended: %w", orNothing(err)), <-fed)
		}
	}
}

// redrivesLook is how often the demo looks whether somebody has redriven letters.
const redrivesLook = time.Second

// watchRedrives begins to read the topic through which letters come back, as soon as there is one.
func (d *demo) watchRedrives(ctx context.Context) error {
	if time.Since(d.looked) < redrivesLook || d.observer.follows(redriveTopic) {
		return nil
	}
	d.looked = time.Now()
	topics, err := d.wire.Topics(ctx, []string{redriveTopic})
	if err != nil || topics[redriveTopic].Partitions == 0 {
		return err
	}
	starts, err := d.wire.Starts(ctx, of(redriveTopic, topics[redriveTopic].Partitions))
	if err == nil {
		d.observer.start(starts)
	}
	return err
}

// finish lets the job process what was fed, stops it, and compares what it has written with the model.
func (d *demo) finish(stopJob func(), ended <-chan error) error {
	ctx := context.Background()
	lastShown := time.Now()
	within := drainedWithin + 2*settings.CommitInterval.Of(d.values)
	err := d.await(ctx, "the job to process what was fed", within, ended, func() (bool, error) {
		if err := d.watchRedrives(ctx); err != nil {
			return false, err
		}
		if time.Since(lastShown) > d.display.every() {
			lastShown = time.Now()
			d.display.show(d.snapshot(phaseFinishing))
		}
		d.observer.mu.Lock()
		missing, _, _ := d.observer.arrived.against(&d.feeder.fed)
		in := d.observer.model.counts.In
		d.observer.mu.Unlock()
		stats := d.instance.Stats()
		return missing == 0 && stats.Lag == 0 && stats.Consumed >= in, nil
	})
	took := time.Since(d.began)
	d.display.show(d.snapshot(phaseFinished))
	stopJob()
	if err == nil {
		err = <-ended
	}
	if readErr := d.readAll(ctx); err == nil {
		err = readErr
	}
	result := d.observer.summarise(jobCounts(d.instance.Stats()), &d.feeder.fed, took)
	if err != nil {
		result.Correct = false
		result.Differences = append(result.Differences, err.Error())
	}
	if err := d.display.end(result); err != nil {
		return err
	}
	if !result.Correct {
		return errors.New("the result is not what the input makes: " + result.Differences[0])
	}
	return nil
}

// readAll waits until the observer has read everything that the job has written.
func (d *demo) readAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	var all []kafka.TopicPartition
	d.observer.mu.Lock()
	for tp := range d.observer.positions {
		all = append(all, tp)
	}
	d.observer.mu.Unlock()
	ends, err := d.wire.Ends(ctx, all)
	if err != nil {
		return err
	}
	return d.await(ctx, "everything written to be readable", readWithin, nil, func() (bool, error) { return d.observer.reached(ends) })
}

// await polls until done, the job's end, or the bound.
func (d *demo) await(ctx context.Context, what string, within time.Duration, ended <-chan error, done func() (bool, error)) error {
	limit := time.NewTimer(within)
	defer limit.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case err := <-ended:
			return fmt.Errorf("the job ended: %w", orNothing(err))
		case <-limit.C:
			return fmt.Errorf("waited %s for %s", within, what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("it was not told to")
	}
	return err
}

func jobCounts(s processors.Stats) counts {
	return counts{Processed: s.Processed, Filtered: s.Filtered, Deduplicated: s.Deduplicated, DeadLettered: s.DeadLettered}
}

func (d *demo) snapshot(phase string) snapshot {
	stats := d.instance.Stats()
	s := snapshot{
		Phase: phase, Elapsed: time.Since(d.began), Broker: d.broker.Addrs()[0], HTTP: d.server.Address(),
		Guarantee: string(processors.ExactlyOnce), Counts: jobCounts(stats), Lag: stats.Lag,
	}
	for _, p := range d.instance.Health() {
		s.Problems = append(s.Problems, p.String())
	}
	d.observer.mu.Lock()
	defer d.observer.mu.Unlock()
	// The job may be ahead of the observer.
	s.Counts.In = max(d.observer.model.counts.In, s.Counts.sum())
	s.Last = append(s.Last, d.observer.last...)
	times := d.observer.latency.lately(0.5, 0.99)
	s.P50, s.P99 = times[0], times[1]
	return s
}
