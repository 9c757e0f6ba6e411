package processors

import (
	"context"
	"sync"

	"go.uber.org/zap"
)

// closing are the stores of tasks that are being closed. What a store has gathered is written to the disk when it is closed, which takes
// seconds where that is much or the disk is slow, and neither the group, which waits for tasks that are given up, nor other tasks of their worker
// are to wait for it: what counts of a task was committed before. Whoever opens a task's stores, or copies of them, waits until they are closed.
type closing struct {
	mu sync.Mutex
	of map[taskID]chan struct{} // closed when the stores are
}

func newClosing() *closing { return &closing{of: map[taskID]chan struct{}{}} }

// begin has a task's stores closed. Nobody else has them any more.
func (c *closing) begin(id taskID, log *zap.Logger, closeAll func() error) {
	done := make(chan struct{})
	c.mu.Lock()
	before := c.of[id]
	c.of[id] = done
	c.mu.Unlock()
	go func() {
		if before != nil {
			<-before
		}
		if err := closeAll(); err != nil {
			log.Warn("a store did not close cleanly", zap.Stringer("task", id), zap.Error(err))
		}
		c.mu.Lock()
		if c.of[id] == done {
			delete(c.of, id)
		}
		c.mu.Unlock()
		close(done)
	}()
}

// await waits until the stores of a task are closed.
func (c *closing) await(ctx context.Context, id taskID) error {
	c.mu.Lock()
	done := c.of[id]
	c.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// under are the tasks whose stores are not closed yet.
func (c *closing) under() (ids []taskID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.of {
		ids = append(ids, id)
	}
	return ids
}
