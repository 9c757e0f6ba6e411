package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/internal/publish"
)

// waitForRoom tries again while as much waits for Kafka as may.
func waitForRoom(ctx context.Context, within time.Duration, try func() error) error {
	for deadline := time.Now().Add(within); ; {
		err := try()
		if !errors.Is(err, publish.ErrFull) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// quotaPause is the shortest pause between two looks at a quota, which other streams of the client use too.
const quotaPause = 5 * time.Millisecond

// waitForQuota takes again what was over a quota, each time when there may be as much. It returns the problem of the last time when it would take
// longer than it may.
func waitForQuota(ctx context.Context, within time.Duration, p *Problem, take func() *Problem) *Problem {
	for deadline := time.Now().Add(within); p != nil; p = take() {
		pause := max(p.retryAfter, quotaPause)
		if time.Now().Add(pause).After(deadline) {
			return p
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return p
		}
	}
	return nil
}
