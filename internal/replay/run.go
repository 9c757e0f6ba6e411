package replay

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// running is a job that is carried out.
type running struct {
	*standing
	tool     *Tool
	sink     *kafka.Sink
	stops    int64 // the offset of the stop that was asked for before it began
	stopSeen bool
	saved    int64                                 // the offset of the record by which it has begun, or one before it
	resumed  bool                                  // another process had begun it
	shadow   func(context.Context, *Receipt) error // what a shadow adds to the receipt
}

func (r *running) run(ctx context.Context) error {
	infos, err := r.tool.Client.Topics(ctx, []string{r.File.From.Topic})
	if err != nil {
		return err
	}
	if info, ok := infos[r.File.From.Topic]; !ok || info.ID != r.TopicID {
		return goneTopic(r.File.From.Topic)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(ctx, cancel)
	}()
	defer func() {
		cancel(nil)
		<-watched
	}()
	switch r.File.Into {
	case IntoTopic:
		err = r.intoTopic(ctx)
	case IntoTopology:
		err = r.intoTopology(ctx)
	case IntoShadow:
		err = r.intoShadow(ctx)
	}
	for _, why := range []error{ErrStopped, ErrTakenOver} {
		if err != nil && errors.Is(context.Cause(ctx), why) {
			err = why
		}
	}
	return err
}

// watchEvery is how often the topic of jobs is asked for a stop.
const watchEvery = time.Second

// watch ends a run that replay stop has asked to end, or that another command has taken over: what a shadow or a topology writes goes
// through sinks of their own, which a takeover does not fence.
func (r *running) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	tp := system.Of(r.tool.Names.System(system.Jobs.Name))
	reader := r.tool.Client.NewFetcher(64 << 10)
	defer reader.Close()
	from := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ends, err := r.tool.Client.Ends(ctx, []kafka.TopicPartition{tp})
		if err != nil {
			continue
		}
		if from < 0 {
			from = r.stops
		}
		if ends[tp] <= from {
			continue
		}
		_ = kafka.Scan(ctx, reader, tp, from, ends[tp], func(one *kafka.Record) error {
			if one.Offset < from {
				return nil
			}
			switch {
			case one.Value == nil:
			case string(one.Key) == stopKeyOf(r.Job) && (!r.stopSeen || one.Offset > r.stops):
				stop(ErrStopped)
			case string(one.Key) == keyOf(r.Job) && one.Offset >= r.saved:
				var s standing
				if err := json.Unmarshal(one.Value, &s); err != nil || s.Holder != r.Holder {
					stop(ErrTakenOver)
				}
			}
			from = one.Offset + 1
			return nil
		})
	}
}

// report says how many offsets the job is for, and how many of them lie before the positions.
func (r *running) report(at map[int32]int64) {
	if r.tool.Progress == nil {
		return
	}
	var done, of int64
	for _, one := range r.Ranges {
		of += one.End - one.Start
		done += max(0, min(at[one.Partition], one.End)-one.Start)
	}
	r.tool.Progress(done, of)
}
