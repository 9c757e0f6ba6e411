package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// end writes down how a run has ended, and returns the receipt.
func (r *running) end(ctx context.Context, failure error) (*Receipt, error) {
	t := r.tool
	if failure != nil && !r.broken(failure) {
		// What is in the open transaction has no record of the progress with it: it would be written again.
		if err := r.sink.Abort(ctx); err != nil {
			return nil, errors.Join(failure, err)
		}
	}
	k, err := t.read(ctx)
	if err != nil {
		return nil, errors.Join(failure, err)
	}
	if s := k.jobs[r.Job]; s != nil && s.Run == r.Run {
		r.Reset, r.Emptying, r.Answered, r.Reopened = s.Reset, s.Emptying, s.Answered, s.Reopened // whatever became of the transaction that was to say so
	}
	if !r.broken(failure) {
		n, claim, err := r.reopen(ctx, k.progress[r.Run])
		if claim != nil {
			defer claim.Close()
		}
		if err != nil {
			return nil, errors.Join(failure, err)
		}
		r.Answered, r.Reopened = r.Answered-n, r.Reopened+n
	}
	switch {
	case errors.Is(failure, ErrStopped) || errors.Is(failure, context.Canceled):
		r.State = Stopped
	case failure != nil:
		r.State, r.Problem = Failed, failure.Error()
	}
	switch {
	case failure != nil && r.leavesOut():
		failure = fmt.Errorf("%w; instances would process records that the replay leaves out (see its notes), so topology %s stays paused until the replay is resumed", failure, r.File.Topology)
	case failure != nil && r.Emptying:
		failure = fmt.Errorf("%w; the stores are half emptied, so topology %s stays paused until the replay is resumed", failure, r.File.Topology)
	}
	receipt := r.receipt(k.progress[r.Run])
	if failure == nil {
		if failure = r.conclude(ctx, receipt); failure != nil {
			r.State, r.Problem = Failed, failure.Error()
			receipt = r.receipt(k.progress[r.Run])
		}
	}
	if r.broken(failure) {
		return receipt, failure
	}
	if failure != nil {
		t.leave(ctx, r.standing)
	}
	return receipt, errors.Join(failure, t.save(ctx, r.sink, r.standing))
}

// conclude completes the receipt of a job that is done.
func (r *running) conclude(ctx context.Context, receipt *Receipt) error {
	if left := receipt.Offsets - receipt.Done; left > 0 {
		if passed, err := r.passed(ctx); err != nil || !passed {
			return errors.Join(err, fmt.Errorf("job %s has ended before its end: %d of %d offsets are done", r.Job, receipt.Done, receipt.Offsets))
		}
		receipt.Notes = append(receipt.Notes, fmt.Sprintf("%d offsets are not in these counts: instances of topology %s went on with the rebuilt state after the replay was stopped, and the group has passed the end", left, r.File.Topology))
		if err := r.unwatched(ctx, receipt); err != nil {
			return err
		}
	}
	removed, err := r.removed(ctx)
	if err != nil {
		return err
	}
	receipt.Notes = append(receipt.Notes, removed...)
	receipt.Notes = append(receipt.Notes, r.setAside(receipt)...)
	if r.File.Into != IntoTopic {
		p, err := r.tool.Topology(r.File.Topology, r.tool.Names)
		if err != nil {
			return err
		}
		receipt.Notes = append(receipt.Notes, outside(r.File, p, inputOf(p, r.File.From.Topic))...)
	}
	var all []Downstream
	for _, before := range r.Before {
		d, err := r.tool.compare(ctx, before)
		if err != nil {
			return err
		}
		all = append(all, *d)
	}
	if r.shadow != nil {
		if err := r.shadow(ctx, receipt); err != nil {
			return err
		}
	} else {
		receipt.judge(all)
		receipt.Notes = append(receipt.Notes, r.byOthers(all)...)
	}
	now := time.Now().UTC()
	receipt.State, receipt.At, receipt.Ended = Done, now, &now
	r.State, r.Receipt = Done, receipt
	return nil
}

// setAside says what of the records has not ended.
func (r *running) setAside(receipt *Receipt) []string {
	switch {
	case receipt.Delayed+receipt.Parked == 0:
		return nil
	case r.File.Into == IntoShadow:
		return []string{fmt.Sprintf("%d records wait in the shadow behind dead letters of their keys, as they would with instances: their outputs are missing in it", receipt.Parked)}
	}
	return []string{fmt.Sprintf("when the replay ended, %d of its records had been delayed and %d parked behind others of their keys, as the topology declares: instances go on with them, and downstream was compared without what comes of them",
		receipt.Delayed, receipt.Parked)}
}

// removed says where retention has removed records of the ranges since the job began: it may have been before they were read.
func (r *running) removed(ctx context.Context) (notes []string, err error) {
	var tps []kafka.TopicPartition
	for _, one := range r.Ranges {
		tps = append(tps, kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition})
	}
	starts, err := r.tool.Client.Starts(ctx, tps)
	for i, one := range r.Ranges {
		if gone := min(starts[tps[i]], one.End); err == nil && gone > one.Start {
			notes = append(notes, fmt.Sprintf("offsets %d to %d of %s were removed since the job began, by retention or by hand: what it had not read of them by then "+
				"is not replayed (read, of the partition, says how much it was)", one.Start, gone-1, tps[i]))
		}
	}
	return notes, err
}

// unwatched says of how many letters nobody knows whether instances have read their records before these were removed.
func (r *running) unwatched(ctx context.Context, receipt *Receipt) error {
	p, err := r.tool.Topology(r.File.Topology, r.tool.Names)
	if err != nil {
		return err
	}
	_, starts, _, err := r.tool.partitions(ctx, r.File.From.Topic)
	if err != nil {
		return err
	}
	at := map[int32]int64{}
	for _, part := range receipt.Partitions {
		at[part.Partition] = part.Position
	}
	lost, err := r.lostLetters(ctx, p, func(partition int32, offset int64) bool {
		return offset >= at[partition] && offset < starts[kafka.TopicPartition{Topic: r.File.From.Topic, Partition: partition}]
	})
	if err == nil && len(lost) > 0 {
		receipt.Notes = append(receipt.Notes, fmt.Sprintf("%d dead letters that the replay had answered are of records that were removed while instances went on: whether these had read them is not known (dlq show says of each that replay %s has answered it)", len(lost), r.Job))
	}
	return err
}

// passed says whether the group of a topology is past the end of a rebuild: instances that ran while the job was stopped have gone on with it.
func (r *running) passed(ctx context.Context) (bool, error) {
	if !r.Reset {
		return false, nil
	}
	p, err := r.tool.Topology(r.File.Topology, r.tool.Names)
	if err != nil {
		return false, err
	}
	ends := map[kafka.TopicPartition]int64{}
	for _, one := range r.Ranges {
		ends[kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition}] = one.End
	}
	committed, err := r.tool.Client.Committed(ctx, p.Group(), slices.Collect(maps.Keys(ends)))
	for tp, end := range ends {
		if at, ok := committed[tp]; !ok || at.Offset < end {
			return false, err
		}
	}
	return err == nil, err
}

// broken says whether the sink may not be used any more: another command has taken the job over.
func (r *running) broken(failure error) bool {
	return kafka.ClassOf(failure) == kafka.Fenced || errors.Is(failure, ErrTakenOver)
}
