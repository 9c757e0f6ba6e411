package main

import (
	"context"

	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// runWeir runs the reference job as examples/totals does, on the topics of a run.
func runWeir(ctx context.Context, cfg config, guarantee, suffix, state string) error {
	placed := topology.Stream(inputTopic(suffix), codecs.JSON[order](), topology.Foreign())
	totals := topology.Stream(outputTopic(suffix), codecs.JSON[total](), topology.Foreign())
	store := topology.Store("totals", codecs.JSON[total]())
	job := topology.Define(groupName(suffix), topology.Node("accumulate",
		topology.On(placed, func(ctx topology.Context, key string, o order) error {
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
		}),
		topology.Uses(store), topology.Emits(totals), topology.DeadLetter(inputTopic(suffix)+".dlq")))
	p, err := job.Plan(plan.Names{})
	if err != nil {
		return err
	}
	log, err := zap.NewProduction(zap.IncreaseLevel(zap.WarnLevel))
	if err != nil {
		return err
	}
	client, err := kafka.Dial(ctx, kafka.Config{Brokers: cfg.brokers}, log)
	if err != nil {
		return err
	}
	defer client.Close()
	inst, err := processors.New(p, processors.Options{
		Wire: processors.Kafka(client), Guarantee: processors.Guarantee(guarantee), CommitInterval: cfg.interval,
		Workers: cfg.workers, StateDir: state, Log: log,
	})
	if err != nil {
		return err
	}
	return inst.Run(ctx)
}
