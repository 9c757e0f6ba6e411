package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/provenance"
	"github.com/weirstream/weir/processors"
)

// A transaction of a job into a topic holds at most so many records, so many bytes of them, and is open for so long.
const (
	batchRecords = 5000
	batchBytes   = 4 << 20
	batchTime    = time.Second
)

// copying is a job into a topic.
type copying struct {
	*running
	takes       Predicate
	rewriter    *rewriter
	partitions  int32
	same        bool // records keep their partition
	partitioner partitioner.Partitioner
	began       time.Time
	written     int64 // since it began

	at      processors.Progress
	records int
	bytes   int
	opened  time.Time
	places  map[int32]int64
	from    string // the id of the topic that is read
}

// intoTopic writes the records into a topic, partition by partition, in order. What is written and how far that is are one transaction.
func (r *running) intoTopic(ctx context.Context) error {
	c := &copying{running: r, began: time.Now(), places: map[int32]int64{}}
	var err error
	if c.takes, err = r.File.predicate(); err != nil {
		return err
	}
	if c.takes, err = r.tool.open(ctx, r.File, c.takes); err != nil {
		return err
	}
	if c.rewriter, err = r.File.rewriter(); err != nil {
		return err
	}
	if c.partitioner, err = partitioner.Parse(r.tool.Options.Partitioner); err != nil {
		return err
	}
	infos, err := r.tool.Client.Topics(ctx, []string{r.File.Topic, r.File.From.Topic})
	if err != nil {
		return err
	}
	info, ok := infos[r.File.Topic]
	if !ok {
		return fmt.Errorf("topic: %s does not exist: create it first", r.File.Topic)
	}
	c.partitions, c.from = info.Partitions, infos[r.File.From.Topic].ID
	c.same = info.Partitions == infos[r.File.From.Topic].Partitions && r.File.Rewrite.Key == nil
	r.sink.Expect(info.Name, info.ID)
	before, _, err := r.tool.resumed(ctx, r.standing)
	if err != nil {
		return err
	}
	reader := r.tool.Client.NewFetcher(readAhead)
	defer reader.Close()
	for _, one := range r.Ranges {
		tp := kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition}
		var begun bool
		if c.at, begun = before[tp]; !begun {
			c.at = processors.Progress{TopicPartition: tp, Position: one.Start}
		}
		c.places[one.Partition] = c.at.Position
		if c.at.Position >= one.End {
			continue
		}
		err := kafka.Scan(ctx, reader, tp, c.at.Position, one.End, func(rec *kafka.Record) error {
			if rec.Offset < c.at.Position || rec.Offset >= one.End {
				return nil
			}
			if err := c.take(tp, rec); err != nil {
				return fmt.Errorf("%s offset %d: %w", tp, rec.Offset, err)
			}
			c.at.Position = rec.Next()
			if c.full() {
				return c.commit(ctx)
			}
			return nil
		})
		if err != nil {
			return err
		}
		c.at.Position = one.End
		if err := c.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open has a choice leave out letters that are not open, unless the job means these too: a record has as many letters as it has failed.
func (t *Tool) open(ctx context.Context, j *Job, takes Predicate) (Predicate, error) {
	if j.From.DLQ == nil || j.From.DLQ.Resolved {
		return takes, nil
	}
	dlq := t.dlq()
	dlq.Topic = j.From.Topic
	open, err := dlq.Open(ctx)
	return func(tp kafka.TopicPartition, r *kafka.Record) bool { return takes(tp, r) && open(tp.Partition, r) }, err
}

// chosen says of a plan how many letters it is for.
func (t *Tool) chosen(ctx context.Context, j *Job, p *Plan) error {
	if j.From.DLQ == nil {
		return nil
	}
	takes, err := j.predicate()
	if err != nil {
		return err
	}
	dlq := t.dlq()
	dlq.Topic = j.From.Topic
	resolved := int64(0)
	err = dlq.Each(ctx, func(l *letters.Letter, open bool) error {
		switch tp := (kafka.TopicPartition{Topic: j.From.Topic, Partition: l.Partition}); {
		case !has(p.ranges, l.Partition, l.Record.Offset) || !takes(tp, l.Record):
		case open:
			p.Letters++
		default:
			resolved++
		}
		return nil
	})
	what := fmt.Sprintf("of the letters that are chosen %d are open and are copied; %d were redriven, discarded or answered, and are left out (from.dlq.resolved: true copies them too)", p.Letters, resolved)
	if j.From.DLQ.Resolved {
		what = fmt.Sprintf("of the letters that are copied %d are open, and %d were redriven, discarded or answered: a record that failed several times has several of them", p.Letters, resolved)
	}
	p.Notes = append(p.Notes, what)
	return err
}

func (c *copying) take(tp kafka.TopicPartition, r *kafka.Record) error {
	if c.opened.IsZero() {
		c.opened = time.Now()
	}
	if r.Excess != nil {
		return fmt.Errorf("the record is over the limit %s: raise it to have it copied", r.Excess.Limit)
	}
	if c.takes != nil && !c.takes(tp, r) {
		c.at.Read++
		c.at.Left++
		return nil
	}
	key, headers, err := c.rewriter.apply(r)
	if err != nil {
		return err
	}
	out := &kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: c.File.Topic, Partition: tp.Partition}, Timestamp: max(r.Timestamp, 0), Key: slices.Clone(key), Value: slices.Clone(r.Value)}
	if key == nil {
		out.Key = nil
	}
	for _, h := range headers { // the reader's memory is given back
		if provenance.Replays(h.Key) {
			continue
		}
		out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: slices.Clone(h.Value)})
	}
	out.Headers = append(out.Headers, provenance.Replayed(c.origin(tp, r))...)
	switch {
	case c.same:
	case key == nil:
		out.Partition %= c.partitions
	default:
		out.Partition = c.partitioner.Partition(key, c.partitions)
	}
	if err := c.sink.Append(out); err != nil {
		return err
	}
	c.at.Take(r)
	c.at.Processed++
	c.at.Effects++
	c.records++
	c.bytes += len(out.Key) + len(out.Value)
	return nil
}

// origin is where the record was read first that the job copies, or that it copies from its dead letter.
func (c *copying) origin(tp kafka.TopicPartition, r *kafka.Record) provenance.Place {
	if c.rewriter.letters {
		if l, err := deadletter.Read(r.Headers); err == nil {
			return provenance.Place{TopicPartition: l.First.TopicPartition, TopicID: l.FirstTopicID, Offset: l.First.Offset}
		}
	}
	return provenance.Place{TopicPartition: tp, TopicID: c.from, Offset: r.Offset}
}

func (c *copying) full() bool {
	most := batchRecords
	if c.File.Rate > 0 {
		most = min(most, max(1, int(c.File.Rate)/10))
	}
	return c.records >= most || c.bytes >= batchBytes || !c.opened.IsZero() && time.Since(c.opened) > batchTime
}

// commit ends a transaction.
func (c *copying) commit(ctx context.Context) error {
	out, err := c.tool.progressOf(c.standing, c.at, nil)
	if err != nil {
		return err
	}
	if err := c.sink.Append(out); err != nil {
		return err
	}
	if err := c.sink.Commit(ctx); err != nil {
		return err
	}
	c.written += int64(c.records)
	c.records, c.bytes, c.opened = 0, 0, time.Time{}
	c.places[c.at.Partition] = c.at.Position
	c.report(c.places)
	if c.File.Rate <= 0 {
		return ctx.Err()
	}
	due := c.began.Add(time.Duration(float64(c.written) / float64(c.File.Rate) * float64(time.Second)))
	select {
	case <-time.After(time.Until(due)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
