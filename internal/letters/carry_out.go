package letters

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/system"
)

// Result is what an order chose and did.
type Result struct {
	Job      string           `json:"job,omitempty"`
	Verb     Verb             `json:"verb"`
	Topic    string           `json:"topic"`
	Executed bool             `json:"executed"`
	Selected int64            `json:"selected"` // open letters that the order is for
	Done     int64            `json:"done"`     // of them: redriven, or discarded
	Refused  map[string]int64 `json:"refused"`  // open letters that it chose and leaves alone, by the reason
	Into     map[string]int64 `json:"into"`     // of those that were selected: where they go, by topic
	Open     int64            `json:"open"`     // letters of the topic that are open after it
	// Resolved is how many were redriven or discarded before.
	Resolved int64 `json:"resolved"`
	// NoLetters is how many records of the topic are no dead letters.
	NoLetters int64 `json:"no_letters"`
	// TakenOver says that the command has lost its place before it was done, mostly to another one, and Others what other commands have done since it began.
	TakenOver bool    `json:"taken_over,omitempty"`
	Others    []Share `json:"others,omitempty"`
	// Notes say what is not known.
	Notes []string `json:"notes,omitempty"`
}

var errEnough = errors.New("enough")

// A transaction holds at most so many records, so many bytes of them, and is open for so long while letters are looked for.
const (
	batchRecords = 2000
	batchBytes   = 4 << 20
	batchTime    = time.Second
)

// Plan says what an order would do. It changes nothing.
func (t *Tool) Plan(ctx context.Context, o Order) (*Result, error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	r, _, err := t.plan(ctx, reader, p, &o)
	return r, err
}

// plan also returns the topics that the order needs, as ready takes them.
func (t *Tool) plan(ctx context.Context, reader kafka.Reader, p *place, o *Order) (r *Result, needs map[string]string, err error) {
	r = &Result{Verb: o.Verb, Topic: t.Topic, Refused: map[string]int64{}, Into: map[string]int64{}}
	needs = map[string]string{}
	if y := t.nothingLeft(ctx, reader, p, o.Selection); y != nil {
		r.Open, r.Resolved = y.open, y.resolved
		return r, needs, nil
	}
	ways, spared := explorer{tool: t, order: o, known: map[Way]bool{}}, sparing{order: o}
	err = t.each(ctx, reader, p, func(l *Letter, open bool) error {
		if !open {
			r.Resolved++
			return nil
		}
		if l.stranger() {
			r.NoLetters++
		} else {
			r.Open++
		}
		if !o.Selection.has(l) {
			return nil
		}
		if err := p.refuseReplayed(o, l); err != nil {
			return err
		}
		if o.refuses(l) == "" {
			if err := ways.explore(ctx, l); err != nil {
				return err
			}
		}
		if o.comesTwice(l) && o.refuses(l) == "" {
			if by := p.passes.since(l, t.Topic); by != nil {
				if err := spared.processed(l, by); err != nil {
					return err
				}
			}
		}
		if why := o.refuses(l); why != "" {
			r.Refused[why]++
			return nil
		}
		spared.taken()
		if o.Limit > 0 && r.Selected == o.Limit {
			return nil
		}
		if err := ways.lacks(l); err != nil {
			return err
		}
		r.Selected++
		if o.releases(l) {
			if topic, input := redriveTopic(t.Names, l); needs[topic] == "" {
				needs[topic] = input
			}
		}
		if o.Verb == Redrive {
			to, input := t.target(o, l)
			r.Into[to.Topic]++
			if needs[to.Topic] == "" {
				needs[to.Topic] = input
			}
		}
		return nil
	})
	r.Notes = ways.notes
	return r, needs, err
}

// Execute carries an order out. Letters that come while it runs are not among those it is for. rate bounds how many letters a second
// are written, 0 for no bound. When it ends early, by an error or by ctx, what is done is done, and the same order goes on from there.
func (t *Tool) Execute(ctx context.Context, o Order, rate int) (*Result, error) {
	if err := t.exists(ctx); err != nil {
		return nil, err
	}
	// The transactional id comes first: what a command that was killed has left open is ended by that, and everything that is read here would wait for it. Whoever
	// held the id is fenced then, so what the topic of jobs says stays true until somebody takes over again.
	sink, err := t.Client.NewSink(ctx, t.TransactionalID(t.Topic))
	if err != nil {
		return nil, fmt.Errorf("take over what another command has begun on %s: %w", t.Topic, err)
	}
	defer sink.Leave()
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	result, needs, err := t.plan(ctx, reader, p, &o)
	if err != nil {
		return nil, err
	}
	result.Executed = true
	if result.Selected == 0 {
		return result, nil
	}
	counts, err := t.ready(ctx, needs)
	if err != nil {
		return nil, err
	}
	m := &move{tool: t, order: o, place: p, sink: sink, counts: counts, result: result, rate: rate, began: time.Now(), partitioner: partitioner.Murmur2}
	result.Job = rand.Text()
	err = m.run(ctx, reader)
	result.Open -= result.Done
	switch {
	case err == nil:
		return result, nil
	case kafka.ClassOf(err) == kafka.Fenced:
		m.reckon(ctx, reader)
		return result, &TakenOverError{t.Topic, result.Done, result.Selected, err}
	case ctx.Err() != nil: // what the sink says of that is of no use to anybody
		err = context.Cause(ctx)
	}
	return result, fmt.Errorf("%d of %d letters are done; run the command again for the others: %w", result.Done, result.Selected, err)
}

// move carries an order out.
type move struct {
	tool        *Tool
	order       Order
	place       *place
	sink        *kafka.Sink
	counts      map[string]int32
	result      *Result
	rate        int
	began       time.Time
	partitioner partitioner.Partitioner

	// Of the transaction that is open.
	job     job
	letters int64
	records int
	bytes   int
	opened  time.Time
	audited bool // that the job has begun
}

func (m *move) run(ctx context.Context, reader kafka.Reader) error {
	read, all := int64(0), m.place.size()
	narrow := m.order.Selection.blind() // listings read these ranges again, so they are from the first letter to the last one
	for _, tp := range m.place.partitions() {
		from, until := m.place.starts[tp], m.place.ends[tp]
		m.job = job{
			Version: versionOf(&m.order), ID: m.result.Job, Topic: m.tool.Topic, TopicID: m.place.info.ID, Partition: tp.Partition, Order: m.order.in(tp.Partition),
			From: from, Position: from, Until: until, Who: m.tool.Who, At: m.began.UTC(),
		}
		err := kafka.Scan(ctx, reader, tp, from, until, func(r *kafka.Record) error {
			if r.Offset >= until {
				return nil
			}
			m.tool.progress(read+r.Offset-from, all)
			l := letterOf(r, tp.Partition)
			if m.order.takes(l) && !m.place.done.resolved(l) {
				if err := m.place.refuseReplayed(&m.order, l); err != nil {
					return err
				}
				if m.job.Done+m.letters == 0 && narrow {
					m.job.From = r.Offset
				}
				if err := m.take(l); err != nil {
					return fmt.Errorf("%s offset %d: %w", tp, r.Offset, err)
				}
				m.job.Position = r.Offset + 1
			}
			if !narrow {
				m.job.Position = r.Offset + 1
			}
			switch {
			case m.order.Limit > 0 && m.result.Done+m.letters == m.order.Limit:
				return errEnough
			case m.full():
				return m.commit(ctx)
			}
			return nil
		})
		enough := errors.Is(err, errEnough)
		if err != nil && !enough {
			return err
		}
		if !enough && !narrow {
			m.job.Position = until
		}
		if m.job.Done > 0 || m.letters > 0 { // a partition without such letters needs no record
			if err := m.commit(ctx); err != nil {
				return err
			}
		}
		if enough {
			break
		}
		read += until - from
	}
	m.tool.progress(all, all)
	return m.audit(ctx)
}

// full says whether the transaction is to be ended. Letters that nothing is written for do not make it larger.
func (m *move) full() bool {
	return m.records >= batchRecords || m.bytes >= batchBytes || m.letters > 0 && time.Since(m.opened) > batchTime ||
		m.rate > 0 && m.letters >= max(1, int64(m.rate/10))
}

// take writes what becomes of a letter.
func (m *move) take(l *Letter) error {
	if m.letters == 0 {
		m.opened = time.Now()
	}
	if m.order.Verb == Redrive {
		to, input := m.tool.target(&m.order, l)
		if err := m.settle(l, &to, input); err != nil {
			return err
		}
		out := m.order.outgoing(l, to, time.Now().UnixMilli())
		if err := m.sink.Append(out); err != nil {
			return err
		}
		m.records++
		m.bytes += len(out.Key) + len(out.Value)
	}
	if m.order.releases(l) {
		topic, input := redriveTopic(m.tool.Names, l)
		to := kafka.TopicPartition{Topic: topic, Partition: l.Position.Partition}
		if err := m.settle(l, &to, input); err != nil {
			return err
		}
		if err := m.sink.Append(release(l, to, time.Now().UnixMilli())); err != nil {
			return err
		}
		m.records++
	}
	m.letters++
	return nil
}

// settle decides the partition of what is written for a letter, to a redrive topic of input or, with "", to another topic. A partition that is not there is not
// believed, since whoever wrote the letter may have said anything: the key decides.
func (m *move) settle(l *Letter, to *kafka.TopicPartition, input string) error {
	n := m.counts[to.Topic]
	believed := max(n, m.counts[input])
	switch {
	case to.Partition >= n && to.Partition < believed:
		return fmt.Errorf("topic %s has %d partitions, and the letter's record stood in partition %d: add partitions to it", to.Topic, n, to.Partition)
	case to.Partition >= 0 && to.Partition < n:
	case l.Record.Key == nil:
		to.Partition = l.Partition % n
	default:
		to.Partition = m.partitioner.Partition(l.Record.Key, n)
	}
	return nil
}

// commit ends a transaction: the records and how far the job is become visible together.
func (m *move) commit(ctx context.Context) error {
	m.job.Done += m.letters
	value, err := json.Marshal(&m.job)
	if err != nil {
		return err
	}
	err = m.sink.Append(&kafka.Outgoing{TopicPartition: system.Of(m.tool.jobsTopic()), Timestamp: time.Now().UnixMilli(), Key: []byte(m.job.key()), Value: value})
	if err != nil {
		return err
	}
	if !m.audited {
		if err := m.entry("begun"); err != nil {
			return err
		}
	}
	if err := m.sink.Commit(ctx); err != nil {
		return err
	}
	m.audited = true
	m.result.Done += m.letters
	m.letters, m.records, m.bytes = 0, 0, 0
	return m.pause(ctx)
}

// pause keeps to the rate.
func (m *move) pause(ctx context.Context) error {
	if m.rate <= 0 {
		return nil
	}
	due := m.began.Add(time.Duration(float64(m.result.Done) / float64(m.rate) * float64(time.Second)))
	select {
	case <-time.After(time.Until(due)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// audit tells the end of the job.
func (m *move) audit(ctx context.Context) error {
	if err := m.entry("done"); err != nil {
		return err
	}
	return m.sink.Commit(ctx)
}

// entry writes to the audit what the job has come to.
func (m *move) entry(state string) error {
	now := time.Now()
	value, err := json.Marshal(map[string]any{
		"version": 1, "what": "dlq " + string(m.order.Verb), "state": state, "job": m.result.Job, "topic": m.tool.Topic, "order": m.order,
		"before": map[string]int64{"open": m.result.Open}, "after": map[string]int64{"open": m.result.Open - m.result.Done},
		"selected": m.result.Selected, "done": m.result.Done, "refused": m.result.Refused, "into": m.result.Into,
		"who": m.tool.Who, "why": m.order.Why, "at": now.UTC(),
	})
	if err != nil {
		return err
	}
	return m.sink.Append(&kafka.Outgoing{TopicPartition: system.Of(m.tool.auditTopic()), Timestamp: now.UnixMilli(), Key: []byte(keyOf(m.tool.Topic) + m.result.Job), Value: value})
}
