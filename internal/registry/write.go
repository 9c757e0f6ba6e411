package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// errNotWriter says that another server writes.
var errNotWriter = errors.New("another server writes")

// owner is who writes. mine says that it is this server, as far as it knows.
func (l *Log) owner() (w *writer, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w = l.state.writer
	return w, w != nil && l.as != (kafka.Producer{}) && w.producer() == l.as
}

// seize takes the right to write, if it can be had.
func (l *Log) seize(ctx context.Context) {
	_, err := l.write(ctx, true, func(*state) ([]kafka.Outgoing, error) { return nil, nil })
	if err != nil {
		l.log.Warn("the right to write cannot be taken", zap.Error(err))
	}
}

// halted says whether nothing can be decided, as far as it is known.
func (l *Log) halted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.whole() != nil
}

// mostOvertaken is how often a change is tried that meets what another registry wrote at the same time.
const mostOvertaken = 3

// write makes one change: decide decides on all that the log holds, what it returns is appended as one batch, and read back.
// seize says to take the right to write from whoever has it; otherwise errNotWriter says that another server has it. The offset
// is that after the change.
//
// A registry that does not ask for the claim, one of another maker perhaps, may write between the decision and the batch. Then two
// schemas may have one id, or one version. Nobody has been told of this server's yet: it is taken back, and decided on again.
//
// decide may be called again, when the right was lost before anything was written.
func (l *Log) write(ctx context.Context, seize bool, decide func(*state) ([]kafka.Outgoing, error)) (int64, error) {
	select {
	case l.writing <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("changes before it still wait for the brokers: %w", context.Cause(ctx))
	}
	defer func() { <-l.writing }()
	l.mu.Lock()
	err := l.whole()
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := l.own(ctx, seize); err != nil {
		return 0, err
	}
	for range mostOvertaken {
		var records []kafka.Outgoing
		var at int64
		err := l.read(func(s *state) (err error) {
			if err := l.whole(); err != nil {
				return err
			}
			records, err = decide(s)
			at = s.next
			return err
		})
		if err != nil || len(records) == 0 {
			return at, err
		}
		offset, end, err := l.append(ctx, records)
		if err != nil || offset == at {
			return end, err
		}
		l.log.Error("another registry, which does not ask this one, writes to the topic too: stop it, or this server",
			zap.Int64("expected", at), zap.Int64("written", offset))
		var back []kafka.Outgoing
		err = l.read(func(s *state) error {
			back = s.takeBack(at, records)
			l.seen.overtaken(offset)
			return nil
		})
		if err != nil || len(back) == 0 {
			return end, err
		}
		if _, _, err := l.append(ctx, back); err != nil {
			return 0, unsureError{err}
		}
	}
	return 0, storeError(errors.New("another registry writes to the topic at the same time: stop it"))
}

// whole refuses to decide on a state that lacks what stands where reading has halted. l.mu is held.
func (l *Log) whole() error {
	if l.failure != nil {
		return storeError(l.failure)
	}
	return nil
}

// append writes one batch and returns when it is read back: the offset of its first record, and that after its last. l.writing is
// held.
func (l *Log) append(ctx context.Context, records []kafka.Outgoing) (offset, end int64, err error) {
	offset, err = l.claim.Append(ctx, records...)
	if large, ok := errors.AsType[*kafka.TooLargeError](err); ok {
		return 0, 0, l.tooLarge(ctx, large)
	}
	switch {
	case errors.Is(err, kafka.ErrNotSent):
		return 0, 0, err
	case errors.Is(err, kafka.ErrClaimLost):
		l.claim = nil
		return 0, 0, errNotWriter
	case err != nil:
		l.claim = nil
		return 0, 0, unsureError{err}
	}
	end = offset + int64(len(records))
	if err := l.await(ctx, end); err != nil {
		l.claim = nil // the next change reads this one before it is decided on
		return offset, end, unsureError{err}
	}
	return offset, end, nil
}

// tooLarge is the refusal of a change that the topic does not take.
func (l *Log) tooLarge(ctx context.Context, large *kafka.TooLargeError) error {
	whose, most := "this server's", large.Most
	if most == 0 {
		whose = "the topic's"
		infos, _ := l.client.Topics(ctx, []string{l.topic.Topic}) // settings need a right of their own, and are looked at where it is there
		most, _ = strconv.ParseInt(infos[l.topic.Topic].Config[large.Limit], 10, 64)
	}
	bound := ""
	if most > 0 {
		bound = fmt.Sprintf(" of %d", most)
	}
	return invalidSchema("for the topic %s: as a record it has %d bytes, which is over %s %s%s: raise that, or split it into schemas that refer to each other. Nothing was changed",
		l.topic.Topic, large.Size, whose, large.Limit, bound)
}

// own makes sure that this server has the right to write, and has read all that was written before it got it. l.writing is held.
func (l *Log) own(ctx context.Context, seize bool) error {
	w, mine := l.owner()
	if l.claim != nil && mine {
		return nil
	}
	if l.claim = nil; !seize {
		return errNotWriter
	}
	if err := l.catchUp(ctx); err != nil {
		return err
	}
	// Whoever has claimed meanwhile is alive; the caller asks it first.
	if now, _ := l.owner(); now != nil && (w == nil || now.producer() != w.producer()) && now.producer() != l.as {
		return errNotWriter
	}
	l.mu.Lock()
	ids := l.state.maxIDs
	before := l.state.writer.producer()
	l.mu.Unlock()
	claim, offset, err := l.client.Claim(ctx, claimName(l.topic.Topic), l.topic, before, func(p kafka.Producer) kafka.Outgoing {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.as = p
		return record(recordKey{Keytype: "NOOP"}, mark{Writer: &writer{l.url, p.ID, p.Epoch, base64.StdEncoding.EncodeToString(l.key.PublicKey().Bytes())}, MaxIDs: ids})
	})
	if err != nil {
		if errors.Is(err, kafka.ErrClaimLost) {
			return errNotWriter
		}
		return err
	}
	if err := l.await(ctx, offset+1); err != nil {
		return err
	}
	l.claim = claim
	l.mu.Lock()
	l.seen.claims++
	var keep []kafka.Outgoing
	if !maps.Equal(l.state.kept, l.state.maxIDs) { // another registry may delete what has the highest one, and its NOOP take the place of this claim's
		keep = append(keep, l.state.remember())
	}
	l.mu.Unlock()
	if len(keep) > 0 {
		if _, _, err := l.append(ctx, keep); err != nil {
			return err
		}
	}
	l.log.Info("this server writes to the topic now", zap.String("topic", l.topic.Topic), zap.Int16("epoch", l.as.Epoch))
	return nil
}
