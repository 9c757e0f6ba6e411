package processors

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// abandoned ends the transactions that instances left open which are not in the group any more, so that nobody waits for their timeouts: this
// instance, which takes their tasks over, and readers of the outputs. It looks whenever the group assigns tasks: that is
// when somebody has gone. Why it is safe, and what is spared, is said in internal/kafka/abandoned.go.
type abandoned struct {
	inst *Instance
	wake chan struct{}
	said atomic.Bool // that it is not possible here
}

// Bounds of a look. It is repeated while the group rebalances, or a broker does not answer.
const (
	abandonedTries = 100
	abandonedRetry = 100 * time.Millisecond
	abandonedLimit = 5 * time.Second // of one try
)

// abandonments is what a membership may be able to do about others' transactions. The real one is.
type abandonments interface {
	EndAbandoned(ctx context.Context, of kafka.Ownership) ([]kafka.OpenTransaction, error)
}

func newAbandoned(i *Instance) *abandoned {
	return &abandoned{inst: i, wake: make(chan struct{}, 1)}
}

// look asks for a look. It does not wait for it.
func (a *abandoned) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run looks when it is asked to, until ctx ends.
func (a *abandoned) run(ctx context.Context) {
	group, ok := a.inst.group.(abandonments)
	if !ok || a.inst.opts.Guarantee != ExactlyOnce {
		return
	}
	of := a.inst.ownership()
	for {
		select {
		case <-a.wake:
			a.end(ctx, group, of)
		case <-ctx.Done():
			return
		}
	}
}

// end ends what is there to be ended.
func (a *abandoned) end(ctx context.Context, group abandonments, of kafka.Ownership) {
	log := a.inst.log
	var err error
	for range abandonedTries {
		var ended []kafka.OpenTransaction
		ended, err = a.try(ctx, group, of)
		for _, t := range ended {
			log.Info("ended the transaction of an instance that left the group without ending it: others waited for it",
				zap.String("transactional_id", t.TransactionalID), zap.Time("began", t.Began), zap.Duration("timeout", t.Timeout))
		}
		if kafka.ClassOf(err) != kafka.Retriable {
			break
		}
		select {
		case <-time.After(abandonedRetry):
		case <-ctx.Done():
			return
		}
	}
	switch {
	case err == nil || ctx.Err() != nil:
	case kafka.ClassOf(err) == kafka.Retriable:
		log.Debug("could not find out whether instances left transactions open: they end by their timeouts", zap.Error(err))
	case !a.said.Swap(true):
		log.Warn("what instances that were killed leave open cannot be ended here: others wait until transaction.timeout.ms are over, and up to 10 s more",
			zap.Error(err), zap.String("remedy", "allow this principal to DESCRIBE and WRITE transactional ids that begin with "+a.inst.graph.plan.Group()+
				"-, and to DESCRIBE the group; brokers need Kafka 3.0"))
	}
}

func (a *abandoned) try(ctx context.Context, group abandonments, of kafka.Ownership) ([]kafka.OpenTransaction, error) {
	ctx, cancel := context.WithTimeout(ctx, abandonedLimit)
	defer cancel()
	return group.EndAbandoned(ctx, of)
}

// ownership says which transactions instances of the topology have: see transactionalID.
func (e *engine) ownership() kafka.Ownership {
	written := map[string]bool{}
	for _, t := range e.graph.plan.Topics {
		if t.Written || t.Role == plan.RedriveTopic {
			written[t.Name] = true
		}
	}
	group := e.graph.plan.Group()
	return kafka.Ownership{
		Instance: func(id string) (string, bool) { return instanceOf(group, id) },
		Writes:   func(topic string) bool { return written[topic] },
	}
}
