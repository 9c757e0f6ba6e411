//go:build weirfault

package demo

import (
	"context"
	"sync/atomic"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// damaged is the wire as the job gets it. With WEIR_FAULT_BREAK=every-output it loses one output, and with every-letter
// one dead letter, so that a test sees the demo find it.
func damaged(w processors.Wire) processors.Wire {
	switch {
	case fault.Broken(fault.EveryOutput):
		return losing{w, outputTopic}
	case fault.Broken(fault.EveryLetter):
		return losing{w, deadLetterTopic}
	}
	return w
}

type losing struct {
	processors.Wire
	topic string
}

func (l losing) NewSink(ctx context.Context, id string) (processors.Sink, error) {
	sink, err := l.Wire.NewSink(ctx, id)
	return &losingSink{Sink: sink, topic: l.topic}, err
}

var lost atomic.Int64

type losingSink struct {
	processors.Sink
	topic string
}

func (l *losingSink) Append(r *kafka.Outgoing) error {
	if r.Topic == l.topic && lost.Add(1) == 3 {
		return nil
	}
	return l.Sink.Append(r)
}
