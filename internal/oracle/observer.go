package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Progress of a run at one moment.
type Progress struct {
	Committed  int64  // committed input records of all partitions
	Left       int64  // input records above the committed offsets
	Untouched  int    // input partitions that hold records, of which none is committed
	Assignment string // who has which input partitions; empty between generations
	Members    int
}

// Observer watches a run from outside: the group's assignment and offsets, and its transactions.
type Observer struct {
	client *kgo.Client
	adm    *kadm.Client
	names  Names
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	last   Progress
	known  bool
	moves  int // changes of the assignment while there was work left
	stable string
}

// Observe starts an Observer that looks every interval. A cluster that does not answer is looked at again. Stop ends it.
func Observe(brokers []string, names Names, interval time.Duration) (*Observer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RetryTimeout(10*time.Second), kgo.MetadataMinAge(time.Second))
	if err != nil {
		return nil, fmt.Errorf("observe group %s: %w", names.Group, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &Observer{client: client, adm: kadm.NewClient(client), names: names, cancel: cancel, done: make(chan struct{})}
	go o.run(ctx, interval)
	return o, nil
}

func (o *Observer) run(ctx context.Context, interval time.Duration) {
	defer close(o.done)
	for {
		if p, err := o.Look(ctx); err == nil {
			o.note(p)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

func (o *Observer) note(p Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.Assignment != "" {
		if o.stable != "" && o.stable != p.Assignment && p.Left > 0 {
			o.moves++
		}
		o.stable = p.Assignment
	}
	o.last, o.known = p, true
}

// Last is what was seen last; ok is false before the first answer.
func (o *Observer) Last() (p Progress, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last, o.known
}

// Moves counts the changes of the assignment while there was work left.
func (o *Observer) Moves() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.moves
}

// Look asks the cluster now.
func (o *Observer) Look(ctx context.Context) (Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var p Progress
	fail := func(err error) (Progress, error) { return p, fmt.Errorf("observe group %s: %w", o.names.Group, err) }

	ends, err := o.adm.ListEndOffsets(ctx, o.names.Input)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fail(err)
	}
	offsets, err := o.adm.FetchOffsets(ctx, o.names.Group)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return fail(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		var at int64
		if c, ok := offsets.Lookup(end.Topic, end.Partition); ok && c.At > 0 {
			at = c.At
		}
		p.Committed += at
		p.Left += end.Offset - at
		if at == 0 && end.Offset > 0 {
			p.Untouched++
		}
	})
	groups, err := o.adm.DescribeGroups(ctx, o.names.Group)
	if err != nil {
		return fail(err)
	}
	group := groups[o.names.Group]
	p.Members = len(group.Members)
	if group.State == "Stable" {
		p.Assignment = assignment(group)
	}
	return p, nil
}

func assignment(group kadm.DescribedGroup) string {
	var parts []string
	for _, m := range group.Members {
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range c.Topics {
				slices.Sort(t.Partitions)
				parts = append(parts, fmt.Sprintf("%s %s%v", m.MemberID, t.Topic, t.Partitions))
			}
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// Await looks until what is asked for holds. The error tells the last look.
func (o *Observer) Await(ctx context.Context, what string, holds func(Progress) bool) (Progress, error) {
	for {
		p, err := o.Look(ctx)
		if err == nil {
			o.note(p)
			if holds(p) {
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("await %s: %w; %d committed, %d left, %d members (%v)",
				what, ctx.Err(), p.Committed, p.Left, p.Members, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// OpenTransactions lists the transactional ids that contain a word and have a transaction open.
func (o *Observer) OpenTransactions(ctx context.Context, word string) ([]string, error) {
	listed, err := o.adm.ListTransactions(ctx, nil, []string{"Ongoing"})
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	var ids []string
	for id := range listed {
		if strings.Contains(id, word) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Stop ends the watching.
func (o *Observer) Stop() {
	o.cancel()
	<-o.done
	o.client.Close()
}
