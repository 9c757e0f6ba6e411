package processors

import (
	"context"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
)

// simWire is a process of a simulated cluster as a Wire.
type simWire struct{ *simkafka.Process }

func (w simWire) NewSink(ctx context.Context, transactionalID string) (Sink, error) {
	s, err := w.Process.NewSink(ctx, transactionalID)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (w simWire) Join(group kafka.GroupConfig, handler kafka.GroupHandler) (Group, error) {
	g, err := w.Process.Join(group, handler)
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (w simWire) NewFetcher() (Fetcher, error) { return w.Process.NewFetcher() }
