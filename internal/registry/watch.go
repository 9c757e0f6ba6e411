package registry

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// lookEvery is how often it is looked whether the topic keeps what was read.
const lookEvery = 30 * time.Second

// watch looks now and then whether the topic keeps what was read, until the log is closed: whoever reads on does not see that records before his place
// are deleted, and a server that begins after that has none of them.
func (l *Log) watch(every time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.look(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	l.watched = func() { stop(); done.Wait() }
}

func (l *Log) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	starts, err := l.client.Starts(ctx, []kafka.TopicPartition{l.topic})
	if err != nil {
		return // whoever reads says so
	}
	infos, _ := l.client.Topics(ctx, []string{l.topic.Topic}) // settings need a right of their own, and are looked at where it is there
	policy := infos[l.topic.Topic].Config["cleanup.policy"]
	if !strings.Contains(policy, "delete") {
		policy = ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	deleted := starts[l.topic]
	if !l.loaded || deleted <= l.seen.start {
		deleted = 0
	}
	if deleted > 0 && l.seen.deleted == 0 || policy != "" && l.seen.policy == "" {
		l.log.Error("schemas are deleted from the topic, or will be", zap.String("topic", l.topic.Topic), zap.Int64("start", starts[l.topic]), zap.String("cleanup.policy", policy))
	}
	l.seen.deleted, l.seen.policy = deleted, policy
}
