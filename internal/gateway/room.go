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
