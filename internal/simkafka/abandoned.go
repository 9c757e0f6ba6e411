package simkafka

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/weirstream/weir/internal/kafka"
)

// EndAbandoned is that of package kafka: the open transactions are listed, then the members of the group, and then each transaction of
// an instance that is not a member is aborted. In between everything may happen.
func (g *Group) EndAbandoned(ctx context.Context, of kafka.Ownership) (ended []kafka.OpenTransaction, err error) {
	const actor = "abandoned"
	c, open := g.p.c, map[string]string{}
	_, err = g.p.request(ctx, actor, OpList, "transactions", func() error {
		for id, p := range c.producers {
			if name, ok := of.Instance(id); ok && p.state == txnOngoing {
				open[id] = name
			}
		}
		return nil
	})
	if err != nil || len(open) == 0 {
		return nil, unanswered(err)
	}
	_, err = g.p.request(ctx, actor, OpList, "members", func() error {
		grp := c.group(g.cfg.Group)
		if grp.state != groupStable {
			return errors.New("the group rebalances")
		}
		for id, name := range open {
			if name == g.cfg.Instance || slices.ContainsFunc(grp.members, func(m *member) bool { return m.process == name }) {
				delete(open, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, unanswered(err)
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		_, err := g.p.request(ctx, actor, OpInit, id, func() error {
			_, _, _, err := c.initProducer(id, -1, -1)
			return err
		})
		if err != nil && !errors.Is(err, errConcurrent) {
			return ended, unanswered(err)
		}
		ended = append(ended, kafka.OpenTransaction{TransactionalID: id})
	}
	return ended, nil
}

// unanswered is the error of a question that may be asked again.
func unanswered(err error) error {
	if err == nil {
		return nil
	}
	return &kafka.Error{Class: kafka.Retriable, Op: "end the transactions of instances that left the group", Err: err}
}
