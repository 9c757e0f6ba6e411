package processors

import "sync"

// inbox carries work to a worker's goroutine. It never blocks its senders: what bounds the records in it is the
// fetcher's read-ahead.
type inbox struct {
	mu     sync.Mutex
	queue  []func()
	spare  []func()
	closed bool
	wake   chan struct{}
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put adds work. After close it does nothing and says so.
func (b *inbox) put(f func()) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.queue = append(b.queue, f)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// waiting says whether something may have been put since the last drain. It costs nothing.
func (b *inbox) waiting() bool { return len(b.wake) > 0 }

// drain runs what is there.
func (b *inbox) drain() {
	select {
	case <-b.wake:
	default:
	}
	b.mu.Lock()
	queue := b.queue
	b.queue, b.spare = b.spare[:0], nil
	b.mu.Unlock()
	for _, f := range queue {
		f()
	}
	clear(queue)
	b.mu.Lock()
	b.spare = queue
	b.mu.Unlock()
}

// close refuses further work and runs what is left.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.drain()
}
