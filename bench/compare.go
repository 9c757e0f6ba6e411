//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/bench/cluster"
	"github.com/weirstream/weir/bench/measure"
	"github.com/weirstream/weir/bench/report"
	"github.com/weirstream/weir/bench/streams"
	"github.com/weirstream/weir/bench/work"
)

// compare does the works and writes what they found. What was found before a Ctrl-C is written too.
func compare(ctx context.Context, o options) error {
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kafka, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer kafka.Close()
	r := &report.Report{
		Schema: report.Schema, Begun: time.Now(), Command: command(), Form: o.Form, Machine: measure.ThisMachine(),
		Versions: versions(kafka.Version), Settings: settings(o),
	}
	b := &work.Bench{Cluster: kafka, Settings: o.Settings, Report: r, Dir: dir, Progress: &report.Progress{W: os.Stderr, Terminal: terminal()}}
	b.Progress.Runs = b.Plan(o.works)
	err = b.Warm(ctx)
	for _, w := range o.works {
		if err == nil {
			err = b.Do(ctx, w)
		}
	}
	r.Seconds = time.Since(r.Begun).Seconds()
	return errors.Join(err, write(r, o.out), b.Failed())
}

func open(ctx context.Context, o options) (*cluster.Cluster, error) {
	if o.brokers != "" {
		return cluster.Connect(ctx, strings.Split(o.brokers, ","))
	}
	return cluster.Start(ctx)
}

// command is how the bench was called, without the folder that it lies in.
func command() string {
	return strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " ")
}

func terminal() bool {
	info, err := os.Stderr.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func versions(kafka string) map[string]string {
	v := map[string]string{"Kafka": kafka, "Kafka Streams": streams.Version, "Go": runtime.Version(), "Java": measure.Java()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			switch m.Path {
			case "github.com/IBM/sarama", "github.com/lovoo/goka", "github.com/twmb/franz-go", "github.com/syndtr/goleveldb":
				v[m.Path[strings.LastIndexByte(m.Path, '/')+1:]] = m.Version
			}
		}
	}
	return v
}

func settings(o options) map[string]string {
	workers := "threads of Kafka Streams as many as CPUs, workers of others twice as many"
	if o.Workers > 0 {
		workers = strconv.Itoa(o.Workers)
	}
	return map[string]string{
		"rounds": fmt.Sprint(o.Rounds), "partitions": fmt.Sprint(o.Partitions), "workers, threads": workers,
		"commit interval": o.Interval.String(), "broker": "one, on the same machine, replication 1, acks=all",
	}
}

func write(r *report.Report, out string) error {
	if err := r.WriteText(os.Stdout); err != nil || out == "" {
		return err
	}
	plots, err := r.Plot(out)
	return errors.Join(err,
		file(filepath.Join(out, "report.md"), func(w io.Writer) error { return r.WriteMarkdown(w, plots) }),
		file(filepath.Join(out, "report.json"), r.WriteJSON))
}

func file(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
