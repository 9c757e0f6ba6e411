package processors

import (
	"context"

	"github.com/weirstream/weir/internal/kafka"
)

// readAhead is how many bytes of a partition are read before the first of them is committed.
const readAhead = 4 << 20

// Kafka is the wire to a real cluster. The client stays the caller's: close it after the instance has ended.
func Kafka(client *kafka.Client) Wire { return wire{client} }

// wire adapts a client's concrete types.
type wire struct{ *kafka.Client }

func (w wire) NewSink(ctx context.Context, transactionalID string) (Sink, error) {
	s, err := w.Client.NewSink(ctx, transactionalID)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (w wire) Join(group kafka.GroupConfig, handler kafka.GroupHandler) (Group, error) {
	g, err := w.Client.Join(group, handler)
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (w wire) NewFetcher() (Fetcher, error) { return w.Client.NewFetcher(readAhead), nil }
