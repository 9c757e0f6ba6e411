package simkafka_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/internal/wiretest"
	"github.com/weirstream/weir/processors"
)

// TestTheModelAnswersAsTheRealKafkaDid puts the questions to the model that were put to the real one.
//
// Mutations tried: decide bumps no epoch when a transaction times out; commit is not refused while a rebalance completes;
// initProducer does not end what is open.
func TestTheModelAnswersAsTheRealKafkaDid(t *testing.T) {
	for seed := range uint64(10) { // latencies and the sizes of what is read depend on it, the answers must not
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { wiretest.Run(t, play(seed), 1) })
	}
}

func play(seed uint64) wiretest.Play {
	return func(t *testing.T, s wiretest.Settings, ask func(*testing.T, wiretest.Cluster)) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{small: map[string]bool{}, compacted: map[string]bool{}}
			m.Cluster = simkafka.New(simkafka.Config{
				Seed: seed, TransactionTimeout: s.TransactionTimeout, SessionTimeout: s.SessionTimeout, Heartbeat: s.HeartbeatInterval,
				CallTimeout: s.CallTimeout, Faults: m.fault, Refuse: m.refuse,
			})
			ask(t, m)
			for _, v := range m.Violations() {
				t.Errorf("the wire was misused: %s", v)
			}
		})
	}
}

// model is the simulated cluster as one that can be asked.
type model struct {
	*simkafka.Cluster
	processes int

	mu               sync.Mutex
	op               map[simkafka.Op]wiretest.Loss
	small, compacted map[string]bool // topics
}

// ops are the model's names of requests.
var ops = map[wiretest.Request][]simkafka.Op{
	wiretest.Produce:            {simkafka.OpProduce},
	wiretest.ListOffsets:        {simkafka.OpList},
	wiretest.OffsetCommit:       {simkafka.OpOffsets},
	wiretest.OffsetFetch:        {simkafka.OpCommitted},
	wiretest.Heartbeat:          {simkafka.OpHeartbeat},
	wiretest.SyncGroup:          {simkafka.OpSync},
	wiretest.InitProducerID:     {simkafka.OpInit},
	wiretest.AddPartitionsToTxn: {simkafka.OpAddPartitions},
	wiretest.AddOffsetsToTxn:    {simkafka.OpAddOffsets},
	wiretest.EndTxn:             {simkafka.OpCommit, simkafka.OpAbort},
	wiretest.TxnOffsetCommit:    {simkafka.OpOffsets},
}

func (m *model) Disturb(r wiretest.Request, loss wiretest.Loss) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.op = map[simkafka.Op]wiretest.Loss{}
	for _, op := range ops[r] {
		m.op[op] = loss
	}
}

func (m *model) Calm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.op = nil
}

func (m *model) fault(c simkafka.Call, _ *rand.Rand) simkafka.Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.op[c.Op] {
	case wiretest.RequestLost:
		return simkafka.Fault{Mode: simkafka.Torn}
	case wiretest.AnswerLost:
		return simkafka.Fault{Mode: simkafka.After}
	}
	return simkafka.Fault{}
}

// refuse is what brokers do because of a topic's settings.
func (m *model) refuse(r *kafka.Outgoing) simkafka.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.small[r.Topic] && len(r.Value) > 1000:
		return simkafka.TooLargeAtOnce
	case m.compacted[r.Topic] && r.Key == nil:
		return simkafka.Invalid
	}
	return simkafka.Taken
}

func (m *model) Wire(t *testing.T) (processors.Wire, func()) {
	m.processes++
	p := m.Process(strings.Repeat("p", m.processes))
	return &process{Process: p, m: m}, p.Crash
}

func (m *model) DeleteRecords(_ *testing.T, tp kafka.TopicPartition, before int64) {
	m.Cluster.DeleteRecords(tp, before)
}

func (m *model) AddPartitions(_ *testing.T, topic string, total int32) {
	m.Cluster.AddPartitions(topic, total)
}

// process is a process of the model as a wire.
type process struct {
	*simkafka.Process
	m *model
}

func (p *process) NewSink(ctx context.Context, id string) (processors.Sink, error) {
	s, err := p.Process.NewSink(ctx, id)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (p *process) Join(g kafka.GroupConfig, h kafka.GroupHandler) (processors.Group, error) {
	return p.Process.Join(g, h)
}

func (p *process) NewFetcher() (processors.Fetcher, error) { return p.Process.NewFetcher() }

func (p *process) CreateTopics(ctx context.Context, specs []kafka.TopicSpec) error {
	p.m.mu.Lock()
	for _, s := range specs {
		p.m.small[s.Name] = s.Config["max.message.bytes"] != ""
		p.m.compacted[s.Name] = s.Config["cleanup.policy"] == "compact"
	}
	p.m.mu.Unlock()
	return p.Process.CreateTopics(ctx, specs)
}
