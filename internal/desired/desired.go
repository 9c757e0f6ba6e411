// Package desired is what operators want of topologies, in the topic _weir.desired: whether they are paused.
//
// A topology is paused for as long as anybody holds it. Each holder, an operator or a job, has a key of its own, so that none writes over
// what another one wants: a topology that an operator has paused is still paused when a replay that has paused it too is done.
package desired

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// Operator is the owner of what a person has paused.
const Operator = "operator"

// Hold says that somebody wants a topology to be paused, or wants it no more.
type Hold struct {
	Version  int       `json:"version"`
	Topology string    `json:"topology"`
	Owner    string    `json:"owner"`
	Paused   bool      `json:"paused"`
	Who      string    `json:"who"`
	Why      string    `json:"why"`
	At       time.Time `json:"at"`
}

// String says who holds the topology and why.
func (h Hold) String() string {
	text := h.Who
	if h.Owner != Operator {
		text = h.Owner + ", run by " + h.Who
	}
	return fmt.Sprintf("%s since %s: %s", text, h.At.Format(time.RFC3339), cmp.Or(h.Why, "no reason given"))
}

// Key is the key of a holder's wish.
func Key(topology, owner string) string { return topology + part + owner }

const part = "/pause/" // of what is wanted

// Holds are the wishes for one topology, as they are read.
type Holds struct {
	topology string
	by       map[string]entry
}

type entry struct {
	Hold
	fields map[string]json.RawMessage // of the record, those included that this version does not know
}

// Of are the wishes for a topology before anything was read.
func Of(topology string) *Holds { return &Holds{topology, map[string]entry{}} }

// Apply takes a record. One that cannot be understood leaves what was wanted before, and is an error.
func (h *Holds) Apply(r *kafka.Record) error {
	topology, owner, ok := strings.Cut(string(r.Key), part)
	if !ok || topology != h.topology {
		return nil
	}
	if r.Value == nil {
		delete(h.by, owner)
		return nil
	}
	var e entry
	err := errors.Join(json.Unmarshal(r.Value, &e.Hold), json.Unmarshal(bytes.Clone(r.Value), &e.fields))
	if err != nil {
		return fmt.Errorf("what %s wants of topology %s cannot be understood: %w", owner, topology, err)
	}
	e.Topology, e.Owner = topology, owner
	h.by[owner] = e
	return nil
}

// Paused lists the holds that are in force, by owner. The topology is paused where there are some.
func (h *Holds) Paused() (list []Hold) {
	for _, owner := range slices.Sorted(maps.Keys(h.by)) {
		if h.by[owner].Paused {
			list = append(list, h.by[owner].Hold)
		}
	}
	return list
}

// merged is the value of a wish, with what the one before it says that this version does not know.
func (h *Holds) merged(next Hold) ([]byte, error) {
	known, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	fields := maps.Clone(h.by[next.Owner].fields)
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	if err := json.Unmarshal(known, &fields); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// Record is what is written of a job's wish, in its own transaction; a tombstone where it wants nothing any more.
func Record(names plan.Names, h Hold) (*kafka.Outgoing, error) {
	out := &kafka.Outgoing{TopicPartition: system.Of(names.System(system.Desired.Name)), Timestamp: h.At.UnixMilli(), Key: []byte(Key(h.Topology, h.Owner))}
	if !h.Paused {
		return out, nil
	}
	var err error
	out.Value, err = json.Marshal(h)
	return out, err
}

// Tool pauses and resumes one topology.
type Tool struct {
	Client   *kafka.Client
	Names    plan.Names
	Topology string
	Who      string
}

// Read is what is wanted of the topology now.
func (t *Tool) Read(ctx context.Context) (*Holds, error) {
	reader := t.Client.NewFetcher(system.FollowWindow)
	defer reader.Close()
	h := Of(t.Topology)
	return h, system.Desired.Read(ctx, t.Client, reader, t.Names.System(system.Desired.Name), h.Apply)
}

// Set writes that an owner wants the topology paused, or does not any more, and tells the audit of it, both or neither. It returns the
// holds that are in force then.
func (t *Tool) Set(ctx context.Context, owner string, paused bool, why string) ([]Hold, error) {
	for _, topic := range []system.Topic{system.Desired, system.Audit} {
		if err := topic.Ensure(ctx, t.Client, t.Names.System(topic.Name)); err != nil {
			return nil, err
		}
	}
	sink, err := t.Client.NewSink(ctx, t.Names.Prefix+"weir-desired-"+t.Topology)
	if err != nil {
		return nil, err
	}
	defer sink.Leave()
	// Whoever wrote in its name before is fenced now: what is read is what it is changed from.
	before, err := t.Read(ctx)
	if err != nil {
		return nil, err
	}
	h := Hold{Version: 1, Topology: t.Topology, Owner: owner, Paused: paused, Who: t.Who, Why: why, At: time.Now().UTC()}
	value, err := before.merged(h)
	if err != nil {
		return nil, err
	}
	out := &kafka.Outgoing{TopicPartition: system.Of(t.Names.System(system.Desired.Name)), Timestamp: h.At.UnixMilli(), Key: []byte(Key(t.Topology, owner)), Value: value}
	if err := sink.Append(out); err != nil {
		return nil, err
	}
	audit, err := t.audit(h, before)
	if err == nil {
		err = sink.Append(audit)
	}
	if err == nil {
		err = sink.Commit(ctx)
	}
	if err != nil {
		return nil, err
	}
	err = before.Apply(&kafka.Record{Key: out.Key, Value: value})
	return before.Paused(), err
}

func (t *Tool) audit(h Hold, before *Holds) (*kafka.Outgoing, error) {
	what := "topology resume"
	if h.Paused {
		what = "topology pause"
	}
	value, err := json.Marshal(map[string]any{
		"version": 1, "what": what, "topology": h.Topology, "owner": h.Owner, "before": before.Paused(), "who": h.Who, "why": h.Why, "at": h.At,
	})
	return &kafka.Outgoing{TopicPartition: system.Of(t.Names.System(system.Audit.Name)), Timestamp: h.At.UnixMilli(), Key: []byte(what + "/" + h.Topology), Value: value}, err
}

// BusyError says which members a group still has.
type BusyError struct {
	Group   string
	Members []kafka.GroupMember
	Waited  time.Duration
}

func (e *BusyError) Error() string {
	var all []string
	for _, m := range e.Members {
		all = append(all, m.String())
	}
	return fmt.Sprintf("group %s still has %d members %s after it was paused: %s; an instance of an older build does not follow, nor does one that may not read %s: "+
		"stop these, and run the command again", e.Group, len(e.Members), e.Waited.Round(time.Second), strings.Join(all, "; "), system.Desired.Name)
}

// Empty waits until the group of the topology has no members. After within it is a *BusyError.
func (t *Tool) Empty(ctx context.Context, within time.Duration) error {
	group, began := t.Names.Group(t.Topology), time.Now()
	for {
		members, err := t.Client.MembersOf(ctx, group)
		if err != nil || len(members) == 0 {
			return err
		}
		if waited := time.Since(began); waited >= within {
			return &BusyError{group, members, waited}
		}
		select {
		case <-time.After(emptyLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// emptyLook is how often the group is asked for its members.
const emptyLook = 200 * time.Millisecond

// All lists the topologies that are paused, with the holds that are in force.
func All(ctx context.Context, client *kafka.Client, names plan.Names) (map[string][]Hold, error) {
	reader := client.NewFetcher(system.FollowWindow)
	defer reader.Close()
	all := map[string]*Holds{}
	err := system.Desired.Read(ctx, client, reader, names.System(system.Desired.Name), func(r *kafka.Record) error {
		topology, _, ok := strings.Cut(string(r.Key), part)
		if ok && all[topology] == nil {
			all[topology] = Of(topology)
		}
		if ok {
			_ = all[topology].Apply(r) // instances leave it out too
		}
		return nil
	})
	paused := map[string][]Hold{}
	for topology, h := range all {
		if list := h.Paused(); len(list) > 0 {
			paused[topology] = list
		}
	}
	return paused, err
}
