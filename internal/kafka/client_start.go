package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
)

// start repeats bootstrap until a broker answers or StartupTimeout is over. Programs and clusters are often started
// together, and a program that gave up at once would only be started again, by something that backs off for minutes.
//
// A listener that closes the connection in a handshake mostly wants another security.protocol, and the log says so at once.
// But a proxy or load balancer in front of brokers that are away does the same, so that is waited for too. Only what cannot
// pass ends the start early: refused credentials, and certificates that do not fit.
func (c *Client) start(ctx context.Context) error {
	began := time.Now()
	var reported time.Time
	var last error
	for n := 0; ; n++ {
		err := c.admin.bootstrap(ctx)
		waited := time.Since(began)
		switch {
		case err == nil:
			if n > 0 {
				c.log.Info("a broker answers now", zap.Duration("after", waited.Round(time.Millisecond)))
			}
			return nil
		case ctx.Err() != nil && last != nil:
			return last // what the addresses answered is worth more than that time is up
		case ctx.Err() != nil:
			return err
		case connectClass(err) == Fatal:
			return err
		}
		last = err
		left := c.cfg.StartupTimeout - waited
		if left <= 0 {
			return fmt.Errorf("no broker answered within %v (startup-timeout); the last try: %w", c.cfg.StartupTimeout, err)
		}
		if reported.IsZero() || time.Since(reported) >= startReport {
			reported = time.Now()
			c.log.Warn("no broker answers yet, trying again", zap.Strings("brokers", c.cfg.Brokers),
				zap.Duration("waited", waited.Round(time.Second)), zap.Duration("left", left.Round(time.Second)), zap.Error(err))
		}
		wait, cancel := context.WithTimeout(ctx, left)
		c.pause(wait, n)
		cancel()
	}
}

const startReport = 5 * time.Second

// bootstrap asks the given addresses, all at once, for the cluster's brokers; the first answer is enough. The result of the
// other addresses is reported when it is known: one that is dead goes unnoticed until those that answer are away.
func (l *links) bootstrap(ctx context.Context) error {
	asked, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	context.AfterFunc(l.ctx, cancel)
	type outcome struct {
		n   int
		err error
	}
	outcomes := make(chan outcome, len(l.seeds))
	for n, addr := range l.seeds {
		if !l.spawn(func() { outcomes <- outcome{n, l.refreshBrokersFrom(asked, addr)} }) {
			outcomes <- outcome{n, errClosed}
		}
	}
	errs := make([]error, len(l.seeds))
	silent := map[string]bool{}
	for _, addr := range l.seeds {
		silent[addr] = true
	}
	for left := len(l.seeds) - 1; left >= 0; left-- {
		o := <-outcomes
		delete(silent, l.seeds[o.n])
		if errs[o.n] = o.err; o.err != nil {
			continue
		}
		stop()
		for addr := range silent {
			l.markUnreachable(addr)
		}
		if !l.spawn(func() {
			defer cancel()
			for range left {
				o := <-outcomes
				errs[o.n] = o.err
			}
			l.reportDead(errs)
		}) {
			cancel()
		}
		return nil
	}
	cancel()
	return errors.Join(errs...)
}

// reportDead names the addresses that did not answer while others did.
func (l *links) reportDead(errs []error) {
	var dead []string
	for n, err := range errs {
		if err != nil && !errors.Is(err, errClosed) {
			dead = append(dead, l.seeds[n]+": "+strings.TrimPrefix(err.Error(), l.seeds[n]+": "))
		}
	}
	if len(dead) > 0 && l.ctx.Err() == nil {
		l.client.log.Warn("some of the given addresses do not answer, others do: correct brokers, or bring them back", zap.Strings("dead", dead))
	}
}
