package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// runWeir runs a job as a user's program does, with the defaults and the settings that the engine was given.
func runWeir(ctx context.Context, j job.Job, guarantee string) error {
	p, err := topology.Define(j.Group(), weirNodes(j)...).Plan(plan.Names{})
	if err != nil {
		return err
	}
	log, err := zap.NewProduction(zap.IncreaseLevel(zap.WarnLevel))
	if err != nil {
		return err
	}
	config, opts, err := weirSettings(j, guarantee)
	if err != nil {
		return err
	}
	client, err := kafka.Dial(ctx, config, log)
	if err != nil {
		return err
	}
	defer client.Close()
	opts.Wire, opts.Log = processors.Kafka(client), log
	inst, err := processors.New(p, opts)
	if err != nil {
		return err
	}
	if j.Copies > 0 {
		go sayWarm(ctx, inst, j)
	}
	return inst.Run(ctx)
}

// Warm is a file in the state folder of an instance, there while each task runs there or has a warm copy there.
const Warm = "warm"

func sayWarm(ctx context.Context, inst *processors.Instance, j job.Job) {
	file := filepath.Join(j.StateDir, Warm)
	_ = os.Remove(file)
	for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		ready := 0
		s := inst.Stats()
		for _, t := range s.Tasks {
			if t.State == "running" {
				ready++
			}
		}
		for _, c := range s.Copies {
			if c.Warm {
				ready++
			}
		}
		if ready < j.Partitions || len(s.Tasks) == j.Partitions { // alone it has no copies, and soon there are two
			_ = os.Remove(file)
		} else {
			_ = os.WriteFile(file, nil, 0o600)
		}
	}
}

func weirNodes(j job.Job) []topology.NodeSpec {
	letters := topology.DeadLetter(j.Input + ".dlq")
	switch j.Kind {
	case job.Copy:
		in := topology.Stream(j.Input, codecs.Bytes(), topology.Foreign())
		out := topology.Stream(j.Output(), codecs.Bytes(), topology.Foreign())
		return []topology.NodeSpec{topology.Node("copy", topology.On(in, func(ctx topology.Context, key string, v []byte) error {
			out.Emit(ctx, key, v)
			return nil
		}), topology.Emits(out), letters)}
	case job.Dedup:
		return []topology.NodeSpec{weirDedup(j, letters)}
	case job.Shuffle:
		return weirShuffle(j, letters)
	}
	return []topology.NodeSpec{weirTotals(j, letters)}
}

// weirTotals is the node of examples/totals.
func weirTotals(j job.Job, letters topology.Part) topology.NodeSpec {
	placed := topology.Stream(j.Input, codecs.JSON[job.Order](), topology.Foreign())
	totals := topology.Stream(j.Output(), codecs.JSON[job.Total](), topology.Foreign())
	store := topology.Store(j.Store(), codecs.JSON[job.Total]())
	return topology.Node("accumulate", topology.On(placed, func(ctx topology.Context, key string, o job.Order) error {
		t, err := store.Get(ctx, key)
		if err != nil {
			return err
		}
		if o.Seq <= t.LastSeq {
			return ctx.Drop(topology.Duplicate)
		}
		t.LastSeq, t.Count, t.Sum = o.Seq, t.Count+1, t.Sum+o.Amount
		store.Set(ctx, key, t)
		totals.Emit(ctx, key, t)
		return nil
	}), topology.Uses(store), topology.Emits(totals), letters)
}

func weirDedup(j job.Job, letters topology.Part) topology.NodeSpec {
	in := topology.Stream(j.Input, codecs.Bytes(), topology.Foreign())
	out := topology.Stream(j.Output(), codecs.Bytes(), topology.Foreign())
	return topology.Node(j.Store(), topology.On(in, func(ctx topology.Context, key string, v []byte) error {
		out.Emit(ctx, key, v)
		return nil
	}), topology.Dedup(func(_ topology.Context, key string, _ []byte) (string, error) { return key, nil }, 24*time.Hour), topology.Emits(out), letters)
}

func weirShuffle(j job.Job, letters topology.Part) []topology.NodeSpec {
	in := topology.Stream(j.Input, codecs.Bytes(), topology.Foreign())
	mid := topology.Stream(j.Middle(), codecs.Bytes(), topology.Foreign())
	out := topology.Stream(j.Output(), codecs.Bytes(), topology.Foreign())
	store := topology.Store(j.Store(), codecs.Bytes())
	return []topology.NodeSpec{
		topology.Node("match", topology.On(in, func(ctx topology.Context, _ string, v []byte) error {
			consumer, ok := job.Match(v, j.Keys)
			if !ok {
				return ctx.Drop(topology.Filtered)
			}
			mid.Emit(ctx, fmt.Sprintf("consumer-%d", consumer), v)
			return nil
		}), topology.Emits(mid), letters),
		topology.Node("count", topology.On(mid, func(ctx topology.Context, key string, v []byte) error {
			old, err := store.Get(ctx, key)
			if err != nil {
				return err
			}
			var c job.Counted
			copy(c[:], old)
			tell := c.Add(v)
			store.Set(ctx, key, c[:])
			if tell {
				out.Emit(ctx, key, c[:])
			}
			return nil
		}), topology.Uses(store), topology.Emits(out), letters),
	}
}
