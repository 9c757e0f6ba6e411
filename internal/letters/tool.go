// Package letters is what operators do with the dead letters of a topic: look at them, send them back into their topology, or discard
// them.
//
// A letter is open until a job has resolved it, or its record is processed again by other means (Answered). Jobs and their progress are in the topic of jobs (system.Jobs): what a job has resolved
// in a partition are the letters between two offsets that it chose. The progress is written in the transaction that writes the
// redriven records, so a letter is redriven once, however often the command is killed and run again. Two commands at one topic of dead
// letters fence each other, by their transactional id.
package letters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// Tool works on the letters of one topic.
type Tool struct {
	Client *kafka.Client
	Names  plan.Names
	Topic  string // of dead letters, as it is called in the cluster
	Who    string
	Index  *Index // nil: all letters are read for each listing, and each order
	// Plans are topologies of the program, which say what these read where none of their instances does.
	Plans []*plan.Plan
	// Progress, if not nil, is called now and then with how many offsets of how many were read.
	Progress func(read, of int64)
}

// MaxRedrives is how often a letter is redriven unless it is forced: one that fails each time goes round in circles.
const MaxRedrives = 3

// Letter is a dead letter where it stands.
type Letter struct {
	deadletter.Letter
	Record    *kafka.Record
	Partition int32
}

// Place is where letters stand, and where their partitions began and ended when they were looked at.
type place struct {
	info         kafka.TopicInfo
	starts, ends map[kafka.TopicPartition]int64
	done         resolver
	replays      []replaying
	passes       passesOf
	seen         int64 // the offset of the newest record of the topic of jobs
}

// exists fails where there is no such topic.
func (t *Tool) exists(ctx context.Context) error {
	infos, err := t.Client.Topics(ctx, []string{t.Topic})
	if _, ok := infos[t.Topic]; err == nil && !ok {
		err = &NoTopicError{t.Topic}
	}
	return err
}

// look finds the topic's partitions, and the jobs that were done on them.
func (t *Tool) look(ctx context.Context, reader kafka.Reader) (*place, error) {
	infos, err := t.Client.Topics(ctx, []string{t.Topic})
	if err != nil {
		return nil, err
	}
	info, ok := infos[t.Topic]
	if !ok {
		return nil, &NoTopicError{t.Topic}
	}
	p := &place{info: info}
	tps := p.partitions()
	if p.starts, err = t.Client.Starts(ctx, tps); err != nil {
		return nil, err
	}
	if p.ends, err = t.Client.Ends(ctx, tps); err != nil {
		return nil, err
	}
	jobs, err := t.jobs(ctx, reader, p)
	p.done = newResolver(jobs)
	return p, err
}

func (p *place) partitions() (tps []kafka.TopicPartition) {
	for n := range p.info.Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: p.info.Name, Partition: n})
	}
	return tps
}

// NoTopicError says that there is no topic of that name.
type NoTopicError struct{ Topic string }

func (e *NoTopicError) Error() string {
	return fmt.Sprintf("topic %s does not exist: give the topic of dead letters as it is called in the cluster, with its topic.prefix; it is made with its topology's first start", e.Topic)
}

// Each calls do with the letters of the topic, partition by partition, each in order, and says of each whether it is open.
func (t *Tool) Each(ctx context.Context, do func(l *Letter, open bool) error) error {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return err
	}
	return t.each(ctx, reader, p, do)
}

// Open looks at which letters of the topic are open, and returns what says so of each.
func (t *Tool) Open(ctx context.Context) (func(partition int32, r *kafka.Record) bool, error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	return func(partition int32, r *kafka.Record) bool { return !p.done.resolved(letterOf(r, partition)) }, nil
}

// first calls do with the first letters that are meant, at most limit (0: all), and says with how many.
func (t *Tool) first(ctx context.Context, reader kafka.Reader, p *place, limit int64, meant func(l *Letter, open bool) bool, do func(l *Letter, open bool) error) (n int64, err error) {
	err = t.each(ctx, reader, p, func(l *Letter, open bool) error {
		if !meant(l, open) {
			return nil
		}
		if err := do(l, open); err != nil {
			return err
		}
		if n++; n == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}

// each calls do with the letters of the topic, partition by partition, each in order, and says of each whether it is open.
func (t *Tool) each(ctx context.Context, reader kafka.Reader, p *place, do func(l *Letter, open bool) error) error {
	read, all := int64(0), p.size()
	for _, tp := range p.partitions() {
		before := read
		err := kafka.Scan(ctx, reader, tp, p.starts[tp], p.ends[tp], func(r *kafka.Record) error {
			if r.Offset >= p.ends[tp] {
				return nil
			}
			t.progress(before+r.Offset-p.starts[tp], all)
			l := letterOf(r, tp.Partition)
			return do(l, !p.done.resolved(l))
		})
		if err != nil {
			return err
		}
		read = before + p.ends[tp] - p.starts[tp]
	}
	t.progress(all, all)
	return nil
}

// size is how many offsets the topic has.
func (p *place) size() (n int64) {
	for _, tp := range p.partitions() {
		n += p.ends[tp] - p.starts[tp]
	}
	return n
}

func (t *Tool) progress(read, of int64) {
	if t.Progress != nil {
		t.Progress(read, of)
	}
}

// letterOf reads a record as a dead letter, of whichever system. Of a damaged envelope as much is known as can be read. A record without one is no
// letter: see stranger.
func letterOf(r *kafka.Record, partition int32) *Letter {
	l, err := deadletter.ReadAny(r.Headers)
	if errors.Is(err, deadletter.ErrNoEnvelope) {
		l = deadletter.Letter{Headers: r.Headers, Fingerprint: deadletter.Fingerprint("", "", ""), Failures: 1}
	}
	return &Letter{Letter: l, Record: r, Partition: partition}
}

// noLetter is why nothing is done with a stranger.
const noLetter = "the record has no header that a dead letter of a known system has, so it is none"

// stranger says that the record is no dead letter, such as those of an ordinary topic: it is shown, and never changed.
func (l *Letter) stranger() bool { return l.System == "" }

// class is the kind of the failure in one word: other systems tell the class of an exception.
func (l *Letter) class() string {
	if l.Reason != "" || l.System == deadletter.Weir {
		return l.Reason
	}
	return l.Exception
}

// failed is when the letter's record failed last: as it says itself, or when the letter was written.
func (l *Letter) failed() time.Time {
	if l.At > 0 {
		return instant(l.At)
	}
	return instant(l.Record.Timestamp)
}

// firstFailed is when the letter's record failed first, nil where the letter does not say.
func (l *Letter) firstFailed() *time.Time {
	if l.FirstAt <= 0 {
		return nil
	}
	return new(instant(l.FirstAt))
}

// earliest is when the letter's record failed first, as far as the letter says.
func (l *Letter) earliest() time.Time {
	last := l.failed()
	if first := l.firstFailed(); first != nil && first.Before(last) {
		return *first
	}
	return last
}

// maxMilli is the end of the year 9999: JSON has no later time.
const maxMilli = 253402300799999

// instant is a time that somebody has written, as every form of output can hold it.
func instant(milli int64) time.Time { return time.UnixMilli(min(max(0, milli), maxMilli)).UTC() }

// reason is the kind of the failure and its message, on one line.
func (l *Letter) reason() string {
	if l.stranger() {
		return noLetter
	}
	return reasonOf(l.class(), l.Message)
}

// jobsTopic and auditTopic are what they are called in the cluster.
func (t *Tool) jobsTopic() string  { return t.Names.System(system.Jobs.Name) }
func (t *Tool) auditTopic() string { return t.Names.System(system.Audit.Name) }

// reader reads the cluster's partitions. It is to be closed.
func (t *Tool) reader() *kafka.Fetcher { return t.Client.NewFetcher(readAhead) }

// readAhead is how many bytes of a partition are read before they are looked at.
const readAhead = 4 << 20
