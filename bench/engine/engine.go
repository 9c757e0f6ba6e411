// Package engine runs a job on Weir and on each of its peers. An engine runs as a process of its own, so that its processor
// time and memory are its own. It works until it is told to stop.
package engine

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/bench/job"
)

// Guarantees.
const (
	ExactlyOnce = "exactly_once"
	AtLeastOnce = "at_least_once"
)

// Engine is a contestant.
type Engine struct {
	Name      string // with its options, as it was asked for
	Title     string // in tables
	Guarantee string
	Floor     bool // a loop without a framework: it writes what FloorValue says
	options   map[string]string
	kind      kind
}

// kind is an engine without its options.
type kind struct {
	title     string
	guarantee string
	jobs      []string
	floor     bool
	run       func(ctx context.Context, j job.Job, guarantee string) error // nil: a process in Java
}

var (
	all      = []string{job.Totals, job.Copy, job.Dedup, job.Shuffle}
	byFloors = []string{job.Totals, job.Copy}
)

var kinds = map[string]kind{
	"weir":              {"Weir, exactly-once", ExactlyOnce, all, false, runWeir},
	"weir-alo":          {"Weir, at-least-once", AtLeastOnce, all, false, runWeir},
	"streams":           {"Kafka Streams, exactly-once", ExactlyOnce, all, false, nil},
	"streams-alo":       {"Kafka Streams, at-least-once", AtLeastOnce, all, false, nil},
	"goka":              {"goka, at-least-once", AtLeastOnce, []string{job.Totals, job.Copy, job.Dedup}, false, runGoka},
	"floor-weir":        {"floor on Weir's wire, exactly-once", ExactlyOnce, byFloors, true, runFloorWeir},
	"floor-weir-alo":    {"floor on Weir's wire, at-least-once", AtLeastOnce, byFloors, true, runFloorWeir},
	"floor-franz":       {"floor on franz-go, exactly-once", ExactlyOnce, byFloors, true, runFloorFranz},
	"floor-franz-alo":   {"floor on franz-go, at-least-once", AtLeastOnce, byFloors, true, runFloorFranz},
	"floor-sarama":      {"floor on sarama, exactly-once", ExactlyOnce, byFloors, true, runFloorSarama},
	"floor-sarama-alo":  {"floor on sarama, at-least-once", AtLeastOnce, byFloors, true, runFloorSarama},
	"floor-weir-output": {"floor on Weir's wire, exactly-once, outputs only", ExactlyOnce, byFloors, true, runFloorWeirOutput},
}

// Names are the engines, without options.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// Find returns an engine by its name, which may carry options: "streams:threads=1,caching=false".
func Find(name string) (Engine, error) {
	base, rest, _ := strings.Cut(name, ":")
	k, ok := kinds[base]
	if !ok {
		return Engine{}, fmt.Errorf("unknown engine %q: want one of %s", base, strings.Join(Names(), ", "))
	}
	e := Engine{Name: name, Title: k.title, Guarantee: k.guarantee, Floor: k.floor, options: map[string]string{}, kind: k}
	if rest == "" {
		return e, nil
	}
	for option := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(option, "=")
		if !ok || key != "threads" && key != "caching" && key != "workers" && key != "json" && !strings.HasPrefix(key, "set.") && !strings.HasPrefix(key, "jvm.") {
			return Engine{}, fmt.Errorf("engine %s: %q is no option: want threads=N, workers=N, caching=BOOL, json=databind, set.SETTING=VALUE or jvm.N=ARGUMENT", base, option)
		}
		e.options[key] = value
	}
	e.Title += " (" + rest + ")"
	return e, nil
}

// Does says whether the engine can do jobs of that kind.
func (e Engine) Does(kind string) bool { return slices.Contains(e.kind.jobs, kind) }

// adapt puts the engine's options into a job.
func (e Engine) adapt(j job.Job) (job.Job, error) {
	j.Set = map[string]string{}
	for key, value := range e.options {
		var err error
		switch key {
		case "threads", "workers":
			j.Workers, err = strconv.Atoi(value)
		case "caching":
			j.Caching, err = strconv.ParseBool(value)
		default:
			j.Set[key] = value
		}
		if err != nil {
			return j, fmt.Errorf("engine %s: %s: %w", e.Name, key, err)
		}
	}
	if j.Workers == 0 {
		j.Workers = e.kind.workers()
	}
	return j, nil
}

// workers is how many serve an engine best on a machine that it shares with the broker: Kafka Streams does less with more
// threads than CPUs, the others do more.
func (k kind) workers() int {
	if k.run == nil {
		return runtime.NumCPU()
	}
	return 2 * runtime.NumCPU()
}

// Run does a job in this process, until ctx ends.
func Run(ctx context.Context, name string, j job.Job) error {
	e, err := Find(name)
	if err != nil {
		return err
	}
	if e.kind.run == nil {
		return fmt.Errorf("engine %s has a process in Java", name)
	}
	return e.kind.run(ctx, j, e.Guarantee)
}
