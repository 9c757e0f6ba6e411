// Package engine runs a job on Weir and on each of its peers. An engine runs as a process of its own, so that its processor
// time and memory are its own. It works until it is told to stop.
package engine

import (
	"context"
	"errors"
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
	options   []string
	run       func(ctx context.Context, j job.Job, guarantee string) error // nil: a process in Java
}

var (
	all      = []string{job.Totals, job.Copy, job.Dedup, job.Shuffle}
	byFloors = []string{job.Totals, job.Copy}

	ofJava    = []string{"threads=N", "caching=BOOL", "json=databind", "set.SETTING=VALUE", "jvm.N=ARGUMENT"}
	ofWorkers = []string{"workers=N"}
	ofWeir    = []string{"workers=N", "set.SETTING=VALUE"}
)

var kinds = map[string]kind{
	"weir":              {"Weir, exactly-once", ExactlyOnce, all, false, ofWeir, runWeir},
	"weir-alo":          {"Weir, at-least-once", AtLeastOnce, all, false, ofWeir, runWeir},
	"streams":           {"Kafka Streams, exactly-once", ExactlyOnce, all, false, ofJava, nil},
	"streams-alo":       {"Kafka Streams, at-least-once", AtLeastOnce, all, false, ofJava, nil},
	"goka":              {"goka, at-least-once", AtLeastOnce, []string{job.Totals, job.Copy, job.Dedup}, false, nil, runGoka},
	"floor-weir":        {"floor on Weir's wire, exactly-once", ExactlyOnce, byFloors, true, ofWorkers, runFloorWeir},
	"floor-weir-alo":    {"floor on Weir's wire, at-least-once", AtLeastOnce, byFloors, true, ofWorkers, runFloorWeir},
	"floor-franz":       {"floor on franz-go, exactly-once", ExactlyOnce, byFloors, true, nil, runFloorFranz},
	"floor-franz-alo":   {"floor on franz-go, at-least-once", AtLeastOnce, byFloors, true, nil, runFloorFranz},
	"floor-sarama":      {"floor on sarama, exactly-once", ExactlyOnce, byFloors, true, nil, runFloorSarama},
	"floor-sarama-alo":  {"floor on sarama, at-least-once", AtLeastOnce, byFloors, true, nil, runFloorSarama},
	"floor-weir-output": {"floor on Weir's wire, exactly-once, outputs only", ExactlyOnce, byFloors, true, ofWorkers, runFloorWeirOutput},
}

// Names are the engines, without options.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// Find returns an engine by its name, which may carry options: "streams:threads=1,caching=false".
func Find(name string) (Engine, error) {
	base, rest, some := strings.Cut(name, ":")
	k, ok := kinds[base]
	if !ok {
		return Engine{}, fmt.Errorf("unknown engine %q: want one of %s", base, strings.Join(Names(), ", "))
	}
	e := Engine{Name: name, Title: k.title, Guarantee: k.guarantee, Floor: k.floor, options: map[string]string{}, kind: k}
	if !some {
		return e, nil
	}
	for option := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(option, "=")
		if err := k.check(key, value); err != nil {
			return Engine{}, fmt.Errorf("engine %s: option %q: %w", base, option, err)
		}
		e.options[key] = value
	}
	e.Title += " (" + rest + ")"
	return e, nil
}

// check refuses an option that the engine does not have, since its row would name what had no effect.
func (k kind) check(key, value string) error {
	if !slices.ContainsFunc(k.options, func(o string) bool {
		name, _, _ := strings.Cut(o, "=")
		prefix, _, many := strings.Cut(name, ".")
		return key == name || many && strings.HasPrefix(key, prefix+".")
	}) {
		if k.options == nil {
			return errors.New("this engine has no options")
		}
		return fmt.Errorf("this engine has %s", strings.Join(k.options, ", "))
	}
	switch key {
	case "threads", "workers":
		if n, err := strconv.Atoi(value); err != nil || n < 1 {
			return errors.New("want a number from 1 on")
		}
	case "caching":
		if _, err := strconv.ParseBool(value); err != nil {
			return errors.New("want true or false")
		}
	default:
		if value == "" || key == "json" && value != "databind" {
			return errors.New("want a value, of json databind")
		}
		if name, ok := strings.CutPrefix(key, "set."); ok && k.run != nil {
			return checkSetting(name, value)
		}
	}
	return nil
}

// Does says whether the engine can do jobs of that kind.
func (e Engine) Does(kind string) bool { return slices.Contains(e.kind.jobs, kind) }

// adapt puts the engine's options, which Find has checked, into a job.
func (e Engine) adapt(j job.Job) job.Job {
	j.Set = map[string]string{}
	for key, value := range e.options {
		switch key {
		case "threads", "workers":
			j.Workers, _ = strconv.Atoi(value)
		case "caching":
			j.Caching, _ = strconv.ParseBool(value)
		default:
			j.Set[key] = value
		}
	}
	if j.Workers == 0 {
		j.Workers = e.kind.workers()
	}
	return j
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
