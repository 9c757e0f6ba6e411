package engine

import (
	"context"
	"encoding/json"
	"log"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/codecs"
)

// totalCodec is what a user of goka writes.
type totalCodec struct{}

func (totalCodec) Encode(v any) ([]byte, error) { return json.Marshal(v) }
func (totalCodec) Decode(data []byte) (any, error) {
	t := new(job.Total)
	return t, json.Unmarshal(data, t)
}

// runGoka runs a job on goka, with its defaults: sarama's producer with snappy, LevelDB.
func runGoka(ctx context.Context, j job.Job, _ string) error {
	config := goka.DefaultConfig()
	config.Consumer.Offsets.Initial = -2 // the oldest: its default skips what is there already
	goka.ReplaceGlobalConfig(config)
	tmc := goka.NewTopicManagerConfig()
	tmc.Table.Replication, tmc.Stream.Replication = 1, 1
	p, err := goka.NewProcessor(j.Brokers, goka.DefineGroup(goka.Group(j.Group()), gokaEdges(j)...),
		goka.WithStorageBuilder(storage.DefaultBuilder(j.StateDir)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithTopicManagerConfig(tmc)),
		goka.WithLogger(silent{}))
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

func gokaEdges(j job.Job) []goka.Edge {
	in, out := goka.Stream(j.Input), goka.Stream(j.Output())
	bytes := codecs.Bytes()
	switch j.Kind {
	case job.Copy:
		return []goka.Edge{goka.Output(out, bytes), goka.Input(in, bytes, func(ctx goka.Context, msg any) {
			ctx.Emit(out, ctx.Key(), msg)
		})}
	case job.Dedup:
		return []goka.Edge{goka.Output(out, bytes), goka.Persist(codecs.Int64()), goka.Input(in, bytes, func(ctx goka.Context, msg any) {
			if ctx.Value() == nil {
				ctx.SetValue(int64(1))
				ctx.Emit(out, ctx.Key(), msg)
			}
		})}
	}
	return []goka.Edge{goka.Output(out, totalCodec{}), goka.Persist(totalCodec{}), goka.Input(in, codecs.JSON[job.Order](), func(ctx goka.Context, msg any) {
		o := msg.(job.Order)
		t := &job.Total{}
		if v := ctx.Value(); v != nil {
			t = v.(*job.Total)
		}
		if o.Seq <= t.LastSeq {
			return
		}
		t.LastSeq, t.Count, t.Sum = o.Seq, t.Count+1, t.Sum+o.Amount
		ctx.SetValue(t)
		ctx.Emit(out, ctx.Key(), t)
	})}
}

type silent struct{}

func (silent) Print(...any)              {}
func (silent) Println(...any)            {}
func (silent) Printf(string, ...any)     {}
func (silent) Panicf(f string, a ...any) { log.Panicf(f, a...) }
