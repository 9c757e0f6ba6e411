package kafka

import (
	"time"

	"go.uber.org/zap"
)

// leaderless hands a cursor to lead. f.mu is held.
func (f *Fetcher) leaderless(c *cursor) {
	if c.reader != nil {
		delete(c.reader.cursors, c)
		c.reader = nil
	}
	f.leading[c] = true
	wake(f.wake)
}

// retry looks for a partition's leader anew, after a while. The errors that say that another broker leads are not told
// apart from others that pass: a broker that fails is often about to lose its partitions.
func (f *Fetcher) retry(c *cursor, err error) {
	c.failures++
	n := c.failures
	cfg := f.client.cfg
	wait := cfg.RetryBackoffMax
	// The first retry comes sooner: most often a leader has moved, and metadata says already where to.
	if n < 16 {
		wait = min(wait, cfg.RetryBackoff<<n/4)
	}
	c.retryAt = time.Now().Add(wait)
	if f.ctx.Err() != nil {
		return
	}
	if n&(n-1) == 0 { // the 1st, 2nd, 4th ... time
		level := zap.WarnLevel
		if n < 4 {
			level = zap.DebugLevel
		}
		f.log.Log(level, "cannot read, trying again", zap.Stringer("partition", c.TopicPartition),
			zap.Int64("position", c.position), zap.Int("tries", n), zap.Error(err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursors[c.TopicPartition] == c {
		f.leaderless(c)
	}
}

// lead gives cursors without a leader to the readers of their leaders.
func (f *Fetcher) lead() {
	for f.ctx.Err() == nil {
		due, wait := f.due(time.Now())
		if len(due) > 0 {
			f.assign(due)
			continue
		}
		f.sleep(f.wake, wait)
	}
}

// sleep waits for a wake-up, for the time given unless it is negative, or for the end.
func (f *Fetcher) sleep(wake chan struct{}, wait time.Duration) {
	var after <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-wake:
	case <-after:
	case <-f.ctx.Done():
	}
}

// due returns the cursors that it is time to find a leader for, or how long to wait for the first.
func (f *Fetcher) due(now time.Time) (due map[TopicPartition]bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	due, wait = map[TopicPartition]bool{}, -1
	for c := range f.leading {
		switch left := c.retryAt.Sub(now); {
		case left <= 0:
			due[c.TopicPartition] = true
		case wait < 0 || left < wait:
			wait = left
		}
	}
	return due, wait
}

func (f *Fetcher) assign(due map[TopicPartition]bool) {
	leaders, err := f.client.leaders(f.ctx, due)
	for id, tps := range leaders {
		addr, ok := f.client.admin.addr(id)
		if !ok {
			continue
		}
		f.mu.Lock()
		for _, tp := range tps {
			if c := f.cursors[tp]; c != nil && f.leading[c] {
				f.give(c, addr)
			}
			delete(due, tp)
		}
		f.mu.Unlock()
	}
	for tp := range due {
		f.mu.Lock()
		c := f.cursors[tp]
		still := c != nil && f.leading[c]
		f.mu.Unlock()
		if still {
			f.retry(c, err)
		}
	}
}

// give hands a cursor to the reader of a broker. f.mu is held.
func (f *Fetcher) give(c *cursor, addr string) {
	if f.closed {
		return
	}
	r := f.readers[addr]
	if r == nil {
		r = &reader{fetcher: f, addr: addr, cursors: map[*cursor]bool{}, wake: make(chan struct{}, 1)}
		f.readers[addr] = r
		f.tasks.Go(r.run)
	}
	delete(f.leading, c)
	c.reader = r
	r.cursors[c] = true
	r.arrived()
}
