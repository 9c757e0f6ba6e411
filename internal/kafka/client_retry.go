package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// retry repeats try until it succeeds, fails for good, or time is up: ctx ends, or APITimeout has passed when ctx has
// no deadline. Its error has a class and says what was being done, op, and why the last try failed. What the cluster denies is
// a *BlockedError.
func (c *Client) retry(ctx context.Context, op string, try func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.APITimeout)
		defer cancel()
	}
	began := time.Now()
	var reported time.Time
	var last error
	for n := 0; ; n++ {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // what the cluster said is worth more than that time is up
		}
		if ctx.Err() == nil && !transient(err) {
			return final(op, err)
		}
		if ctx.Err() == nil {
			if since := time.Since(began); since > 5*time.Second && time.Since(reported) > 10*time.Second {
				reported = time.Now()
				c.log.Warn("still trying", zap.String("op", op), zap.Duration("since", since), zap.Error(err))
			}
			c.pause(ctx, n)
		}
		if cause := context.Cause(ctx); cause != nil {
			return &Error{Retriable, op, gaveUp(cause, time.Since(began).Round(time.Millisecond), last)}
		}
	}
}

func gaveUp(cause error, after time.Duration, last error) error {
	if errors.Is(last, cause) { // the first try was still under way
		return fmt.Errorf("%w after %v: %w", cause, after, errNoAnswer)
	}
	return fmt.Errorf("%w after %v: %w", cause, after, last)
}

var errNoAnswer = errors.New("no answer")

// pause waits before repetition n, the first is 0. Waits are spread, so that instances that failed together do not
// come back together.
func (c *Client) pause(ctx context.Context, n int) {
	timer := time.NewTimer(c.cfg.backoff().Spread(n))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// transient says whether trying again may help. Errors of several brokers or topics joined are transient when all are.
func transient(err error) bool {
	if errors.As(err, new(unsettled)) {
		return true
	}
	for _, e := range flatten(err) {
		var code sarama.KError
		var connect *ConnectError
		var encoding sarama.PacketEncodingError
		switch {
		case errors.Is(e, errClosed), errors.As(e, &encoding):
			return false
		case errors.As(e, &connect):
			if connect.permanent() {
				return false
			}
		case errors.As(e, &code):
			if !transientCodes[code] {
				return false
			}
		}
		// The rest is lost connections and brokers that are gone: others take over.
	}
	return true
}

var transientCodes = map[sarama.KError]bool{
	sarama.ErrLeaderNotAvailable:              true,
	sarama.ErrNotLeaderForPartition:           true,
	sarama.ErrRequestTimedOut:                 true,
	sarama.ErrBrokerNotAvailable:              true,
	sarama.ErrReplicaNotAvailable:             true,
	sarama.ErrNetworkException:                true,
	sarama.ErrOffsetsLoadInProgress:           true,
	sarama.ErrConsumerCoordinatorNotAvailable: true,
	sarama.ErrNotCoordinatorForConsumer:       true,
	sarama.ErrNotController:                   true,
	sarama.ErrKafkaStorageError:               true,
	sarama.ErrFencedLeaderEpoch:               true,
	sarama.ErrUnknownLeaderEpoch:              true,
	sarama.ErrOffsetNotAvailable:              true,
	sarama.ErrUnstableOffsetCommit:            true,
	sarama.ErrThrottlingQuotaExceeded:         true,
	sarama.ErrConcurrentTransactions:          true,
	sarama.ErrUnknown:                         true, // UNKNOWN_SERVER_ERROR: a broker that is going down answers so
}
