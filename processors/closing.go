package processors

import (
	"context"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/keyed"
)

// closing are the stores of tasks that are being closed. What a store has gathered is written to the disk when it is closed, which takes
// seconds where that is much or the disk is slow, and neither the group, which waits for tasks that are given up, nor other tasks of their worker
// are to wait for it: what counts of a task was committed before. Whoever opens a task's stores, or copies of them, waits until they are closed.
//
// The stores of a copy whose task comes here are not closed: they are handed over, open, to the restorer of the task. Closing and opening
// them costs as long as LevelDB's merges under way and its journal take, and the filter of their keys would have to be read again.
type closing struct {
	mu     sync.Mutex
	of     map[taskID]chan struct{} // closed when the stores are
	handed map[taskID]handed        // for a restorer that has not begun
}

func newClosing() *closing {
	return &closing{of: map[taskID]chan struct{}{}, handed: map[taskID]handed{}}
}

// handed are open stores without an owner but who has the list.
type handed []*taskStore

// take is the open store of a changelog, nil where there is none. One of a topic that was deleted since is closed.
func (h *handed) take(log changelog) keyed.Any {
	for i, st := range *h {
		if st.changelog != log.TopicPartition {
			continue
		}
		*h = append((*h)[:i:i], (*h)[i+1:]...)
		if st.topicID == log.info.ID {
			return st.Any
		}
		_ = st.Close() // opening it says what is wrong
	}
	return nil
}

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

// hand leaves stores open for the restorer of their task.
func (c *closing) hand(id taskID, stores handed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handed[id] = stores
}

// take waits until the stores of a task are closed, but for those that were handed over to it, which are the caller's now.
func (c *closing) take(ctx context.Context, id taskID) (handed, error) {
	if err := c.await(ctx, id); err != nil {
		return nil, err
	}
	return c.left(id), nil
}

func (c *closing) left(id taskID) handed {
	c.mu.Lock()
	defer c.mu.Unlock()
	stores := c.handed[id]
	delete(c.handed, id)
	return stores
}

// drop has stores closed that were handed over and are not needed.
func (c *closing) drop(id taskID, log *zap.Logger, stores handed) {
	if len(stores) > 0 {
		c.begin(id, log, func() error { return closeStores(stores) })
	}
}

// end closes what was handed over to tasks that never began.
func (c *closing) end(log *zap.Logger) {
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(c.handed))
	c.mu.Unlock()
	for _, id := range ids {
		if err := closeStores(c.left(id)); err != nil {
			log.Warn("a store did not close cleanly", zap.Stringer("task", id), zap.Error(err))
		}
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
