package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
)

// recorder writes down which calls an instance makes, in their order, and lets a test step in before a call.
type recorder struct {
	mu    sync.Mutex
	lines []string
	// before is asked before each call, by its first words; an error is the call's outcome.
	before func(call string) error

	open      map[kafka.TopicPartition]kafka.OpenTransaction
	namesakes []kafka.Namesake
}

// step sets what is asked before each call.
func (r *recorder) step(before func(call string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
}

func (r *recorder) ask(call string) error {
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(call)
}

func (r *recorder) add(call string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		call += ": " + describe(err)
	}
	r.lines = append(r.lines, call)
}

// take returns what was recorded since the last take.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	if len(lines) == 0 {
		return "nothing\n"
	}
	return strings.Join(lines, "\n") + "\n"
}

// describe names an error by what its receiver goes by.
func describe(err error) string {
	var refused *kafka.RefusedError
	var e *kafka.Error
	switch {
	case errors.As(err, &refused):
		return "refused"
	case errors.Is(err, kafka.ErrStaleGeneration):
		return "stale generation"
	case errors.As(err, &e):
		return e.Class.String()
	}
	return err.Error()
}

// recordedWire records the sinks and the group of a wire.
type recordedWire struct {
	Wire
	r *recorder
}

func (w recordedWire) NewSink(ctx context.Context, id string) (Sink, error) {
	err := w.r.ask("new sink")
	var s Sink
	if err == nil {
		s, err = w.Wire.NewSink(ctx, id)
	}
	w.r.add(strings.TrimSpace("new sink "+id), err)
	if err != nil {
		return nil, err
	}
	return &recordedSink{s, w.r}, nil
}

func (w recordedWire) Join(cfg kafka.GroupConfig, h kafka.GroupHandler) (Group, error) {
	g, err := w.Wire.Join(cfg, recordedHandler{h, w.r})
	return recordedGroup{g, w.r}, err
}

// Topics is asked by the patrol, among others.
func (w recordedWire) Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error) {
	if err := w.r.ask("topics"); err != nil {
		return nil, err
	}
	return w.Wire.Topics(ctx, names)
}

// OpenTransactions answers what a test has put down.
func (w recordedWire) OpenTransactions(_ context.Context, tps []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.OpenTransaction, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	found := map[kafka.TopicPartition]kafka.OpenTransaction{}
	for _, tp := range tps {
		if t, ok := w.r.open[tp]; ok {
			found[tp] = t
		}
	}
	return found, nil
}

type recordedGroup struct {
	Group
	r *recorder
}

// Namesakes answers what a test has put down.
func (g recordedGroup) Namesakes(context.Context) ([]kafka.Namesake, error) {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	return g.r.namesakes, nil
}

type recordedHandler struct {
	kafka.GroupHandler
	r *recorder
}

func (h recordedHandler) Assigned(tps []kafka.TopicPartition) {
	h.r.add(fmt.Sprint("assigned ", tps), nil)
	h.GroupHandler.Assigned(tps)
}

func (h recordedHandler) Revoked(tps []kafka.TopicPartition) {
	h.r.add(fmt.Sprint("revoked ", tps), nil)
	h.GroupHandler.Revoked(tps)
	h.r.add(fmt.Sprint("given back ", tps), nil)
}

func (h recordedHandler) Lost(tps []kafka.TopicPartition) {
	h.r.add(fmt.Sprint("lost ", tps), nil)
	h.GroupHandler.Lost(tps)
	h.r.add(fmt.Sprint("given up ", tps), nil)
}

type recordedSink struct {
	Sink
	r *recorder
}

func (s *recordedSink) do(name, detail string, call func() error) error {
	err := s.r.ask(name)
	if err == nil {
		err = call()
	}
	s.r.add(strings.TrimSpace(name+" "+detail), err)
	return err
}

func (s *recordedSink) Append(o *kafka.Outgoing) error {
	return s.do("append", fmt.Sprintf("%s %s", o.TopicPartition, o.Key), func() error { return s.Sink.Append(o) })
}

func (s *recordedSink) Flush(ctx context.Context) error {
	return s.do("flush", "", func() error { return s.Sink.Flush(ctx) })
}

func (s *recordedSink) Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	var parts []string
	for tp, o := range maps.All(offsets) {
		parts = append(parts, fmt.Sprintf("%s=%d", tp, o.Offset))
	}
	slices.Sort(parts)
	return s.do("offsets", fmt.Sprintf("%s in generation %d", strings.Join(parts, " "), m.Generation), func() error { return s.Sink.Offsets(ctx, m, offsets) })
}

func (s *recordedSink) Commit(ctx context.Context) error {
	return s.do("end transaction: commit", "", func() error { return s.Sink.Commit(ctx) })
}

func (s *recordedSink) Abort(ctx context.Context) error {
	return s.do("end transaction: abort", "", func() error { return s.Sink.Abort(ctx) })
}

func (s *recordedSink) Close() error {
	return s.do("close sink", "", func() error { return s.Sink.Close() })
}

// recordedStore records what makes a difference to the database.
type recordedStore struct {
	keyed.Any
	name string
	r    *recorder
	err  error // of a write that a test made fail: the store is of no more use
}

func recordStores(plan *plan.Plan, r *recorder) {
	for _, g := range plan.Subgraphs {
		for _, d := range g.Stores {
			over := d.Over
			d.Over = func(db keyed.Database) keyed.Any {
				t := over(db)
				at, ok := t.Checkpoint()
				checkpoint := "new"
				if ok {
					checkpoint = fmt.Sprint("at ", at)
				}
				r.add(fmt.Sprintf("open store %s: %s", d.Name, checkpoint), nil)
				return &recordedStore{Any: t, name: d.Name, r: r}
			}
		}
	}
}

func (t *recordedStore) Unwrap() keyed.Any { return t.Any }

func (t *recordedStore) write(what string, checkpoint int64, call func() error) error {
	err := t.r.ask(what)
	if err == nil {
		err = call()
	} else {
		t.err = err
	}
	t.r.add(fmt.Sprintf("%s %s, checkpoint %d", what, t.name, checkpoint), err)
	return err
}

func (t *recordedStore) Commit(checkpoint int64) error {
	return t.write("write store", checkpoint, func() error { return t.Any.Commit(checkpoint) })
}

func (t *recordedStore) Restore(entries []keyed.Entry, checkpoint int64) error {
	return t.write(fmt.Sprintf("restore %d entries into store", len(entries)), checkpoint, func() error { return t.Any.Restore(entries, checkpoint) })
}

func (t *recordedStore) Err() error {
	if t.err != nil {
		return t.err
	}
	if err := t.r.ask("look at store"); err != nil {
		return err
	}
	return t.Any.Err()
}

// Close takes a while, as on a slow disk: nobody but who opens the stores again waits for it.
func (t *recordedStore) Close() error {
	time.Sleep(time.Millisecond)
	err := t.Any.Close()
	t.r.add("close store "+t.name, err)
	return err
}
