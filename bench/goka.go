package main

import (
	"context"
	"encoding/json"
	"log"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/weirstream/weir/codecs"
)

type order struct {
	EventID  string `json:"event_id"`
	Seq      int64  `json:"seq"`
	Customer string `json:"customer"`
	Amount   int64  `json:"amount_cents"`
}

type total struct {
	LastSeq int64 `json:"last_seq"`
	Count   int64 `json:"count"`
	Sum     int64 `json:"sum_cents"`
}

// totalCodec is what a user of goka writes.
type totalCodec struct{}

func (totalCodec) Encode(v any) ([]byte, error) { return json.Marshal(v) }
func (totalCodec) Decode(data []byte) (any, error) {
	t := new(total)
	return t, json.Unmarshal(data, t)
}

// runGoka runs the reference job on goka, with its defaults: sarama's producer with snappy, LevelDB.
func runGoka(ctx context.Context, cfg config, suffix, state string) error {
	out := goka.Stream(outputTopic(suffix))
	graph := goka.DefineGroup(goka.Group(groupName(suffix)),
		goka.Input(goka.Stream(inputTopic(suffix)), codecs.JSON[order](), func(ctx goka.Context, msg any) {
			o := msg.(order)
			t := &total{}
			if v := ctx.Value(); v != nil {
				t = v.(*total)
			}
			if o.Seq <= t.LastSeq {
				return
			}
			t.LastSeq, t.Count, t.Sum = o.Seq, t.Count+1, t.Sum+o.Amount
			ctx.SetValue(t)
			ctx.Emit(out, ctx.Key(), t)
		}),
		goka.Output(out, totalCodec{}),
		goka.Persist(totalCodec{}),
	)
	config := goka.DefaultConfig()
	config.Consumer.Offsets.Initial = -2 // the oldest: its default skips what is there already
	goka.ReplaceGlobalConfig(config)
	tmc := goka.NewTopicManagerConfig()
	tmc.Table.Replication, tmc.Stream.Replication = 1, 1
	p, err := goka.NewProcessor(cfg.brokers, graph,
		goka.WithStorageBuilder(storage.DefaultBuilder(state)),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithTopicManagerConfig(tmc)),
		goka.WithLogger(silent{}))
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

type silent struct{}

func (silent) Print(...any)              {}
func (silent) Println(...any)            {}
func (silent) Printf(string, ...any)     {}
func (silent) Panicf(f string, a ...any) { log.Panicf(f, a...) }
