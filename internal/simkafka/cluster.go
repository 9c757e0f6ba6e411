package simkafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Config is how a cluster behaves. The zero value of a field means its default.
type Config struct {
	ID                 string // of the cluster; default "simulated"
	Seed               uint64
	TransactionTimeout time.Duration // default 10s
	SessionTimeout     time.Duration // default 10s
	RebalanceTimeout   time.Duration // default 30s
	Heartbeat          time.Duration // default 1s
	Latency            time.Duration // of one way of a request, half to one and a half of it; default 1ms
	Markers            time.Duration // until a marker is written after its transaction was decided, at most; default 20ms
	CallTimeout        time.Duration // how long a call waits for a cluster that does not answer; default 20s
	FetchRecords       int           // at most in one delivery; default 500
	ReadAhead          int           // bytes of a partition that may be unreleased; default 4 MiB
	Brokers            int16         // bound of a topic's replication factor; default 3
	// Faults says what goes wrong with a call. Default: nothing. It runs under the cluster's lock.
	Faults func(Call, *rand.Rand) Fault
	// Refuse says whether the cluster takes a record. Default: every one.
	Refuse func(r *kafka.Outgoing) Refusal
	// Trace is called with every call and its result. It runs under the cluster's lock.
	Trace func(line string)
}

// Refusal is whether a record is refused, for what, and whether the sink knows that already when it is appended.
type Refusal int8

const (
	Taken Refusal = iota
	TooLarge
	TooLargeAtOnce
	Invalid
	InvalidAtOnce
)

// of is the refusal of a record as the sink reports it.
func (f Refusal) of(tp kafka.TopicPartition, origin int64) *kafka.RefusedError {
	if f == TooLarge || f == TooLargeAtOnce {
		return &kafka.RefusedError{TopicPartition: tp, Origin: origin, Err: errors.New("too large"), Limits: []string{"max.message.bytes"}}
	}
	return &kafka.RefusedError{TopicPartition: tp, Origin: origin, Err: errInvalidRecord}
}

// Cluster is the brokers' side.
type Cluster struct {
	cfg   Config
	mu    sync.Mutex
	rng   *rand.Rand // for what no process asks for: markers
	epoch time.Time

	topics     map[string]*topic
	producers  map[string]*producer // by transactional id
	nextID     int64                // of producers
	groups     map[string]*group
	violations []string
	troubles   map[string]Trouble
	blocked    int // answers that told of one
	indefinite int // commits that took effect and were not answered
}

type topic struct {
	info       kafka.TopicInfo
	partitions []*partition
}

// New makes a cluster without topics.
func New(cfg Config) *Cluster {
	cfg.ID = cmp.Or(cfg.ID, "simulated")
	cfg.TransactionTimeout = cmp.Or(cfg.TransactionTimeout, 10*time.Second)
	cfg.SessionTimeout = cmp.Or(cfg.SessionTimeout, 10*time.Second)
	cfg.RebalanceTimeout = cmp.Or(cfg.RebalanceTimeout, 30*time.Second)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, time.Second)
	cfg.Latency = cmp.Or(cfg.Latency, time.Millisecond)
	cfg.Markers = cmp.Or(cfg.Markers, 20*time.Millisecond)
	cfg.CallTimeout = cmp.Or(cfg.CallTimeout, 20*time.Second)
	cfg.FetchRecords = cmp.Or(cfg.FetchRecords, 500)
	cfg.ReadAhead = cmp.Or(cfg.ReadAhead, 4<<20)
	cfg.Brokers = cmp.Or(cfg.Brokers, 3)
	return &Cluster{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), epoch: time.Now(),
		topics: map[string]*topic{}, producers: map[string]*producer{}, groups: map[string]*group{},
	}
}

// seeded is a source of random numbers that depends on the seed and on names only, not on who asks first.
func (c *Cluster) seeded(names ...any) *rand.Rand {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, c.cfg.Seed)
	fmt.Fprintln(h, names...)
	return rand.New(rand.NewPCG(c.cfg.Seed, h.Sum64()))
}

// trace is called with c.mu held.
func (c *Cluster) trace(format string, args ...any) {
	if c.cfg.Trace != nil {
		c.cfg.Trace(fmt.Sprintf("%9.3f ", float64(time.Since(c.epoch).Microseconds())/1000) + fmt.Sprintf(format, args...))
	}
}

// violated is called with c.mu held.
func (c *Cluster) violated(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// Violations lists what a client did that the contract of the wire forbids.
func (c *Cluster) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.violations)
}

// Unanswered is how many transactions were committed by a request whose answer never came.
func (c *Cluster) Unanswered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.indefinite
}

// CreateTopic makes a topic, or fails the way that Kafka does when it exists.
func (c *Cluster) CreateTopic(spec kafka.TopicSpec) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.createTopic(spec)
}

// wouldCreate says why a topic cannot be made that does not exist.
func (c *Cluster) wouldCreate(spec kafka.TopicSpec) error {
	if spec.ReplicationFactor > c.cfg.Brokers {
		return fmt.Errorf("replication factor %d: %w", spec.ReplicationFactor, errReplicationFactor)
	}
	return nil
}

func (c *Cluster) createTopic(spec kafka.TopicSpec) error {
	if err := c.wouldCreate(spec); err != nil {
		return fmt.Errorf("topic %s: %w", spec.Name, err)
	}
	if _, ok := c.topics[spec.Name]; ok {
		return fmt.Errorf("topic %s: %w", spec.Name, errTopicExists)
	}
	c.nextID++
	t := &topic{info: kafka.TopicInfo{
		Name: spec.Name, ID: fmt.Sprintf("id-%d", c.nextID), ReplicationFactor: max(spec.ReplicationFactor, 1),
		Config: map[string]string{"cleanup.policy": "delete", "min.insync.replicas": "1", "max.message.bytes": "1048588", "retention.ms": "604800000"},
	}}
	for k, v := range spec.Config {
		t.info.Config[k] = v
	}
	c.topics[spec.Name] = t
	t.grow(spec.Partitions)
	return nil
}

// is says whether the topic is the one that is wanted, in what cannot be changed without harm.
func (t *topic) is(wanted kafka.TopicSpec) bool {
	policy, ok := wanted.Config["cleanup.policy"]
	return t.info.Partitions == wanted.Partitions && (!ok || policy == t.info.Config["cleanup.policy"])
}

func (t *topic) grow(n int32) {
	for p := int32(len(t.partitions)); p < n; p++ {
		t.partitions = append(t.partitions, newPartition(kafka.TopicPartition{Topic: t.info.Name, Partition: p}))
	}
	t.info.Partitions = int32(len(t.partitions))
}

// TopicID is a topic's id.
func (c *Cluster) TopicID(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.topics[name].info.ID
}

// Partitions is how many partitions a topic has.
func (c *Cluster) Partitions(name string) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int32(len(c.topics[name].partitions))
}

// DeleteTopic takes a topic away with everything in it.
func (c *Cluster) DeleteTopic(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[name]; t != nil {
		for _, p := range t.partitions {
			p.touch()
		}
	}
	delete(c.topics, name)
}

// AddPartitions makes a topic larger, and has the groups that read it notice, as consumers do when their metadata is
// refreshed.
func (c *Cluster) AddPartitions(name string, n int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics[name].grow(n)
	for _, g := range c.groups {
		g.prepare(c)
	}
}

// partition is nil when there is none. c.mu is held.
func (c *Cluster) partition(tp kafka.TopicPartition) *partition {
	t := c.topics[tp.Topic]
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.partitions) {
		return nil
	}
	return t.partitions[tp.Partition]
}

// Do runs f under the cluster's lock, as Faults, Refuse and Trace are run.
func (c *Cluster) Do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}
