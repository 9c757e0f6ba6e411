package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// removal is what retention has removed of what a job asks for.
type removal struct {
	earliest time.Time // of what is there
	places   string    // where it begins in all partitions, as from.start takes them; "" where times were asked for
}

// refusal is what a job is told for it.
func (r *removal) refusal() string {
	start := r.places // a time would leave out what other partitions still have
	if start == "" {
		start = r.earliest.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("retention has removed records that are asked for: the earliest possible start is %s; give from.start: %s, or --from-earliest to begin with what is there", start, start)
}

// meant are the partitions that a job is for.
func (f *From) meant(info kafka.TopicInfo) (tps []kafka.TopicPartition, err error) {
	partitions := []int32(f.Partitions)
	if partitions == nil {
		for n := range info.Partitions {
			partitions = append(partitions, n)
		}
	}
	for _, n := range partitions {
		if n >= info.Partitions {
			return nil, fmt.Errorf("from.partitions: %s has %d partitions, and partition %d is asked for", f.Topic, info.Partitions, n)
		}
		_, start := f.Start.in(n, "earliest")
		_, end := f.End.in(n, "latest")
		if f.Partitions == nil && (!start || !end) {
			continue // places by partition name the partitions that are meant
		}
		tps = append(tps, kafka.TopicPartition{Topic: f.Topic, Partition: n})
	}
	if len(tps) == 0 {
		return nil, errors.New("from: no partition has both a start and an end: give both by the same partitions, or one of them for all")
	}
	return tps, nil
}

// bounds finds in each partition what a job means now, of that what retention has removed, and where times are out of order.
func (t *Tool) bounds(ctx context.Context, j *Job, p *Plan, tps []kafka.TopicPartition) error {
	starts, err := t.Client.Starts(ctx, tps)
	if err != nil {
		return err
	}
	ends, err := t.Client.Ends(ctx, tps)
	if err != nil {
		return err
	}
	var gone removal
	var places []string // where it can begin
	byTime := true      // where records are gone
	for _, tp := range tps {
		from, _ := j.From.Start.in(tp.Partition, "earliest")
		to, _ := j.From.End.in(tp.Partition, "latest")
		start, err := from.resolve(ctx, t.Client, tp, starts[tp], ends[tp])
		if err != nil {
			return fmt.Errorf("from.start: %w", err)
		}
		end, err := to.resolve(ctx, t.Client, tp, starts[tp], ends[tp])
		if err != nil {
			return fmt.Errorf("from.end: %w", err)
		}
		if end < start {
			return reversed(tp, from, to, start, end)
		}
		one := PlannedPartition{Range: Range{Partition: tp.Partition, Start: start, End: end}, Earliest: starts[tp], Latest: ends[tp]}
		removed, at, err := t.removed(ctx, tp, from, start, starts[tp], ends[tp])
		if err != nil {
			return err
		}
		if removed > 0 {
			one.Removed = removed
			p.Removed += removed
			if at.After(gone.earliest) {
				gone.earliest = at
			}
			byTime = byTime && !from.at.IsZero()
			from = Place{offset: starts[tp]}
		}
		places = append(places, fmt.Sprintf("%d: %s", tp.Partition, from))
		one.Start = max(one.Start, starts[tp])
		one.End = max(one.End, one.Start)
		p.Partitions = append(p.Partitions, one)
		for _, bound := range []struct {
			name string
			at   time.Time
			from int64
			what string
		}{{"from.start", from.at, one.Start, "they are meant all the same"}, {"from.end", to.at, one.End, "they are not meant"}} {
			note, err := t.disorder(ctx, tp, bound.at, bound.from, ends[tp])
			if err != nil {
				return err
			}
			if note != "" {
				p.disorder = append(p.disorder, fmt.Sprintf("%s: %s: %s; offsets say exactly what is meant", bound.name, note, bound.what))
			}
		}
	}
	p.Notes = append(p.Notes, p.disorder...)
	if p.Removed > 0 {
		if !byTime {
			gone.places = "{" + strings.Join(places, ", ") + "}"
		}
		p.gone = &gone
	}
	return nil
}

// reversed refuses a range whose end is before its start in a partition, which a file does not show that has an offset for the one and a time, or
// earliest, for the other.
func reversed(tp kafka.TopicPartition, from, to Place, start, end int64) error {
	if from.word == "earliest" {
		return fmt.Errorf("from.end: %s of %s is before the first record that retention has left, at offset %d, so nothing is meant: give a later end", to, tp, start)
	}
	return fmt.Errorf("from.end: %s of %s is at offset %d, before from.start, %s, at offset %d: an end is the first offset that is not meant; give places by the numbers of partitions where they differ", to, tp, end, from, start)
}

// removed says how many offsets from a place on are gone, as far as that is known, and from when on records are there. What a time
// means among records that are gone cannot be asked any more: where the first record that is there is later, all before it may be meant.
func (t *Tool) removed(ctx context.Context, tp kafka.TopicPartition, from Place, start, first, end int64) (offsets int64, at time.Time, err error) {
	switch {
	case from.word != "" || first == 0:
		return 0, at, nil
	case from.at.IsZero() && start >= first:
		return 0, at, nil
	case !from.at.IsZero() && start > first:
		return 0, at, nil
	}
	if at, err = t.timeOf(ctx, tp, first, end); err != nil {
		return 0, at, err
	}
	if from.at.IsZero() {
		return first - start, at, nil
	}
	if !from.at.Before(at) {
		return 0, at, nil
	}
	return first, at, nil
}

// ahead is how many records after a bound by time are looked at for such that are earlier, and aheadWithin for how long.
const (
	ahead       = 1000
	aheadWithin = 3 * time.Second
)

// disorder says where a bound by time is not where times pass it for good: it is the first record of that time or a later one, which a producer's wrong clock may have written.
// Earlier records that follow soon tell that. "" where there is none, or no bound by time.
func (t *Tool) disorder(ctx context.Context, tp kafka.TopicPartition, at time.Time, from, end int64) (string, error) {
	if at.IsZero() || from >= end {
		return "", nil
	}
	reader := t.Client.NewFetcher(1 << 20)
	defer reader.Close()
	short, cancel := context.WithTimeout(ctx, aheadWithin) // a transaction may be open behind the range
	defer cancel()
	enough := errors.New("enough")
	n, earlier, first, last := 0, 0, int64(0), int64(0)
	err := kafka.Scan(short, reader, tp, from, end, func(r *kafka.Record) error {
		if r.Offset < from || r.Offset >= end {
			return nil
		}
		if n++; r.Time().Before(at) {
			if last = r.Offset; earlier == 0 {
				first = r.Offset
			}
			earlier++
		}
		if n == ahead {
			return enough
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) && (short.Err() == nil || ctx.Err() != nil) {
		return "", fmt.Errorf("read %s: %w", tp, err)
	}
	if earlier == 0 {
		return "", nil
	}
	return fmt.Sprintf("offset %d of %s is the first of %s or later, and among the next %d records there are %d of earlier times (from offset %d to %d)", from, tp, at.Format(time.RFC3339Nano), n-1, earlier, first, last), nil
}

// timeOf is the timestamp of the first record from an offset on; now, where there is none.
func (t *Tool) timeOf(ctx context.Context, tp kafka.TopicPartition, from, end int64) (time.Time, error) {
	reader := t.Client.NewFetcher(64 << 10)
	defer reader.Close()
	at := time.Now().UTC()
	enough := errors.New("enough")
	err := kafka.Scan(ctx, reader, tp, from, end, func(r *kafka.Record) error {
		at = r.Time().UTC()
		return enough
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return at, err
}
