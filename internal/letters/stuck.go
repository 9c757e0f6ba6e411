package letters

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// ParkedKey is a key of which records wait for another one, the head.
type ParkedKey struct {
	Topology    string    `json:"topology"`
	Input       string    `json:"input"`
	Partition   int32     `json:"partition"` // of the input
	Key         *string   `json:"key"`
	KeyBytes    []byte    `json:"key_base64,omitempty"`
	Waiting     int64     `json:"waiting"` // records
	Bytes       int64     `json:"bytes"`
	Since       time.Time `json:"since"`
	Node        string    `json:"node"` // where the head failed
	Fingerprint string    `json:"fingerprint"`
	Head        Spot      `json:"head"` // where it was read first
	State       State     `json:"state"`
	Letter      *Spot     `json:"letter,omitempty"` // the letter of the head, where it is open

	changelog kafka.TopicPartition
	key       []byte
	delayed   bool // its head went into a retry topic, and has not come back as a letter
}

// State is what a parked key waits for.
type State string

// The states.
const (
	StateLetter   State = "letter"   // its head is an open dead letter: redrive or discard it
	StateDelayed  State = "delayed"  // its head is tried again later, by itself
	StateUnderWay State = "underway" // its head was redriven, or discarded, and the topology is told of it
	StateReady    State = "ready"    // its head has passed: the queue is worked off
	StateGone     State = "gone"     // its head is nowhere any more, so nothing ends the wait: release it
)

// Parked lists the parked keys of a topology. Where its head stands follows from what the topics hold, so a key of which the head is moved
// meanwhile is never taken for one whose head is gone.
func (t *Tool) Parked(ctx context.Context, p *plan.Plan) ([]ParkedKey, error) {
	reader := t.reader()
	defer reader.Close()
	var all []ParkedKey
	for _, g := range p.Subgraphs {
		if g.Parked == nil {
			continue
		}
		log := p.Changelog(g.Parked)
		infos, err := t.Client.Topics(ctx, []string{log})
		if err != nil {
			return nil, err
		}
		for n := range infos[log].Partitions {
			tp := kafka.TopicPartition{Topic: log, Partition: n}
			keys, err := t.parkedKeys(ctx, reader, tp)
			if err != nil {
				return nil, err
			}
			for name, k := range keys {
				all = append(all, parkedKeyOf(p, tp, name, k))
			}
		}
	}
	slices.SortFunc(all, func(a, b ParkedKey) int {
		return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Partition, b.Partition), a.Since.Compare(b.Since), slices.Compare(a.key, b.key))
	})
	return all, t.heads(ctx, reader, p, all)
}

func parkedKeyOf(p *plan.Plan, tp kafka.TopicPartition, name string, k parkedKey) ParkedKey {
	input, key, _ := strings.Cut(name, "\x00")
	one := ParkedKey{
		Topology: p.Topology, Input: input, Partition: tp.Partition, Waiting: k.To - k.From, Bytes: k.Bytes, Since: time.UnixMilli(k.Since).UTC(),
		Node: k.Node, Fingerprint: k.Fingerprint, Head: Spot{k.Topic, k.Partition, k.Offset}, State: StateGone, changelog: tp, key: []byte(key), delayed: k.Delayed,
	}
	if k.Ready {
		one.State = StateReady
	}
	one.Key, one.KeyBytes = text(one.key)
	return one
}

// heads finds where the heads of keys are: in the retry topics first and in those of letters last, which is the way that they go. It is
// enough that a topic still holds a head, read or not.
func (t *Tool) heads(ctx context.Context, reader kafka.Reader, p *plan.Plan, all []ParkedKey) error {
	sought := map[Spot]*ParkedKey{}
	for i := range all {
		if all[i].State == StateGone {
			sought[all[i].Head] = &all[i]
		}
	}
	if len(sought) == 0 {
		return nil
	}
	names, err := t.Client.TopicNames(ctx)
	if err != nil {
		return err
	}
	topics := p.WithFormer(names)
	for _, role := range []plan.Role{plan.RetryTopic, plan.RedriveTopic, plan.DeadLetterTopic} {
		for _, topic := range topics {
			if topic.Role != role {
				continue
			}
			if err := t.headsIn(ctx, reader, topic.Name, role, sought); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Tool) headsIn(ctx context.Context, reader kafka.Reader, topic string, role plan.Role, sought map[Spot]*ParkedKey) error {
	tool := *t
	tool.Topic = topic
	place, err := tool.look(ctx, reader)
	if _, none := errors.AsType[*NoTopicError](err); none {
		return nil
	}
	if err != nil {
		return err
	}
	return tool.each(ctx, reader, place, func(l *Letter, open bool) error {
		k := sought[Spot{l.First.Topic, l.First.Partition, l.First.Offset}]
		switch {
		case k == nil:
		case role == plan.RetryTopic:
			if k.delayed { // else it has been a letter since: what the topic holds is its past
				k.State = StateDelayed
			}
		case role == plan.RedriveTopic:
			k.State = StateUnderWay
		case open:
			k.State, k.Letter = StateLetter, &Spot{topic, l.Partition, l.Record.Offset}
		}
		return nil
	})
}

// Released is what a release chose and did.
type Released struct {
	Topology string           `json:"topology"`
	Executed bool             `json:"executed"`
	Selected int64            `json:"selected"` // keys that are released
	Done     int64            `json:"done"`
	Waiting  int64            `json:"waiting"` // records that waited for them
	Refused  map[string]int64 `json:"refused"` // keys that were chosen and are left alone, by the reason
}

// Release has the queues of keys worked off whose heads are gone: with no letter to redrive or discard nothing else would. The topology is told through its
// redrive topic, in one transaction with the audit. key is nil for all such keys. Without execute nothing is changed.
func (t *Tool) Release(ctx context.Context, p *plan.Plan, key []byte, why string, execute bool) (*Released, error) {
	all, err := t.Parked(ctx, p)
	if err != nil {
		return nil, err
	}
	r := &Released{Topology: p.Topology, Refused: map[string]int64{}}
	var gone []ParkedKey
	needs := map[string]string{}
	for _, k := range all {
		switch {
		case key != nil && string(key) != string(k.key):
		case k.State != StateGone:
			r.Refused[k.State.refusal()]++
		default:
			gone = append(gone, k)
			needs[t.redriveOf(p, &k)] = k.Input
			r.Selected++
			r.Waiting += k.Waiting
		}
	}
	if r.Executed = execute; !execute || len(gone) == 0 {
		return r, nil
	}
	counts, err := t.ready(ctx, needs)
	if err != nil {
		return r, err
	}
	sink, err := t.Client.NewSink(ctx, t.Names.Prefix+"weir-parked-"+p.Topology)
	if err != nil {
		return r, err
	}
	defer sink.Leave()
	for part := range slices.Chunk(gone, batchRecords) {
		for i := range part {
			to := kafka.TopicPartition{Topic: t.redriveOf(p, &part[i]), Partition: part[i].Partition}
			if n := counts[to.Topic]; to.Partition >= n {
				return r, fmt.Errorf("topic %s has %d partitions, and the key is parked in partition %d: add partitions to it", to.Topic, n, to.Partition)
			}
			if err := sink.Append(part[i].release(to)); err != nil {
				return r, err
			}
		}
		after := *r
		after.Done += int64(len(part))
		value, err := json.Marshal(map[string]any{"version": 1, "what": "dlq parked release", "job": rand.Text(), "result": after, "who": t.Who, "why": why, "at": time.Now().UTC()})
		if err != nil {
			return r, err
		}
		err = sink.Append(&kafka.Outgoing{TopicPartition: system.Of(t.auditTopic()), Timestamp: time.Now().UnixMilli(), Key: []byte("parked/" + p.Topology), Value: value})
		if err != nil {
			return r, err
		}
		if err := sink.Commit(ctx); err != nil {
			return r, fmt.Errorf("%d of %d keys are released; run the command again for the others: %w", r.Done, r.Selected, err)
		}
		*r = after
	}
	return r, nil
}

// refusal is why a key in a state is not released.
func (s State) refusal() string {
	switch s {
	case StateLetter:
		return "the letter that it waits for is open: redrive or discard that one"
	case StateDelayed:
		return "the record that it waits for is tried again later, by itself"
	case StateUnderWay:
		return "the letter that it waits for was redriven or discarded: the instances of the topology go on with it"
	}
	return "its records are being processed"
}

func (t *Tool) redriveOf(p *plan.Plan, k *ParkedKey) string {
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			if p.Topic(in) == k.Input {
				return p.Redrive(in)
			}
		}
	}
	return t.Names.Redrive(p.Topology, &plan.Stream{Name: strings.TrimPrefix(k.Input, t.Names.Prefix)})
}

// release tells the topology that the key waits for nothing any more.
func (k *ParkedKey) release(to kafka.TopicPartition) *kafka.Outgoing {
	out := &kafka.Outgoing{TopicPartition: to, Timestamp: time.Now().UnixMilli(), Key: k.key}
	for _, h := range deadletter.ReleasedAt(deadletter.Position{TopicPartition: kafka.TopicPartition{Topic: k.Head.Topic, Partition: k.Head.Partition}, Offset: k.Head.Offset}) {
		out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return out
}
