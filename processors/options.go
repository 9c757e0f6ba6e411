package processors

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/mistake"
)

// Guarantee is the processing guarantee of an instance.
type Guarantee string

// ExactlyOnce makes outputs, state, dead letters and input offsets of a record visible together or not at all.
// AtLeastOnce loses no record either, and may do one again after a failure.
const (
	ExactlyOnce Guarantee = "exactly_once"
	AtLeastOnce Guarantee = "at_least_once"
)

// Options of an Instance. The zero value of a field means its default.
type Options struct {
	Wire           Wire          // required
	Guarantee      Guarantee     // default ExactlyOnce
	CommitInterval time.Duration // default 100ms: the longest time that a record's effects wait for their commit, unless a call on their worker takes longer
	CommitBytes    int           // default 16 MiB of inputs and changes: commit earlier than the interval
	Workers        int           // default 2 * GOMAXPROCS
	StateDir       string        // required when the topology has stores; locked against a second process
	InstanceID     string        // default: made once and kept in StateDir
	Static         bool          // static group membership under InstanceID (KIP-345)
	CacheBytes     int64         // default 128 MiB for all stores of the instance together
	StallAfter     time.Duration // default 1m: a partition with lag and no progress for so long is reported
	// StopLineAfter is how many records of a partition may become dead letters of one fingerprint within StopLineWindow, for errors of a
	// node, while they are most of its records: at the next one the partition waits instead, with a problem of kind "line", and goes on
	// when that record passes. Undecodable and rejected records do not count. Default 1000; below 0: any number.
	StopLineAfter  int
	StopLineWindow time.Duration // default 10m
	// ParkedRecords and ParkedBytes bound what a task parks (topology.Parking). At a record over them its partition waits, with a problem of
	// kind "parked".
	ParkedRecords int          // default 100000
	ParkedBytes   int64        // default 256 MiB
	Partitioner   string       // "murmur2" (default) or "fnv1a" (goka's): which partition a key belongs to
	Schemas       Schemas      // default SchemasCheck
	OffsetReset   OffsetReset  // default ResetEarliest
	CorruptBatch  CorruptBatch // default CorruptStop
	Create        *Creation    // nil: a missing topic is an error
	// AcceptEmptyState lets a store begin empty although the group has committed offsets or other state: its changelog
	// is missing, or was recreated. Without it such a start is refused.
	AcceptEmptyState bool
	// Standby is how many copies of each task's state other instances are to keep, so that the task goes on there within a second.
	// Default 0: none, and this instance keeps none either. The group has as many as the instance with the most wants.
	Standby int
	// Rack is where the instance runs, such as an availability zone. Copies are placed on other racks than the task where that is
	// possible. Default: not known.
	Rack string
	// DeadLetters are the dead-letter topics of the program's topologies. Where one of them is an input, the headers of its
	// envelopes are believed: they tell where a record failed first.
	DeadLetters []string
	// Target is how commands of this program are to be called in messages: the flags with which they find the cluster and
	// the topology, such as "--config weir.yaml --topology orders". Default: the brokers and the topology.
	Target  string
	Log     *zap.Logger
	Metrics prometheus.Registerer
	// Hooks are called when something happens, for metrics and alarms of the program's own: see Hook.
	Hooks []Hook
	// Announce has Managed say in _weir.status what the instance is like, and Build what it was built from.
	Announce bool
	Build    announced.Build

	beside func() []Problem            // what Managed has found
	gate   func(context.Context) error // asked before it joins its group
}

// Schemas says what a start does with the schemas of streams whose codecs are bound to a schema registry. With SchemasCheck it refuses a
// schema that is not compatible with its subject, and says how; with SchemasRegister it registers the schemas of what the topology
// writes as well; with SchemasOff it asks nothing. A registry that is away refuses no start: what is not known waits, record by record.
type Schemas string

// The three ways.
const (
	SchemasCheck    Schemas = "check"
	SchemasRegister Schemas = "register"
	SchemasOff      Schemas = "off"
)

// OffsetReset says where an input without a committed offset begins, and what happens when the committed offset is not
// in the partition any more (Kafka's auto.offset.reset). With ResetEarliest and ResetLatest the gap is logged as an
// error and counted in weir_input_gap_offsets_total, and reading goes on after it; with ResetNone the instance stops.
type OffsetReset string

// The three ways.
const (
	ResetEarliest OffsetReset = "earliest"
	ResetLatest   OffsetReset = "latest"
	ResetNone     OffsetReset = "none"
)

// CorruptBatch says what happens at a batch that is damaged in the log of an input (on.corrupt.batch). With CorruptStop
// that partition waits and is tried again once a minute, while others go on; with CorruptSkip the batch is logged as an
// error, counted in weir_input_gap_offsets_total, and passed over as one dead letter. A damaged changelog is never passed over.
type CorruptBatch string

// The two ways.
const (
	CorruptStop CorruptBatch = "stop"
	CorruptSkip CorruptBatch = "skip"
)

// Creation says how missing topics are made.
type Creation struct {
	Partitions        int32 // of inputs and outputs whose streams state none, and of dead letters, default 4; changelogs follow their inputs
	ReplicationFactor int16 // default -1: the broker's default
}

// WithDefaults returns o with every zero field set to its default, as New does. It is where the defaults stand; the table of
// settings takes them from here.
func (o Options) WithDefaults() Options {
	o.Guarantee = cmp.Or(o.Guarantee, ExactlyOnce)
	o.CommitInterval = cmp.Or(o.CommitInterval, 100*time.Millisecond)
	o.CommitBytes = cmp.Or(o.CommitBytes, 16<<20)
	// A worker waits for the broker while its transaction ends: another one has the processor meanwhile.
	o.Workers = cmp.Or(o.Workers, 2*runtime.GOMAXPROCS(0))
	o.CacheBytes = cmp.Or(o.CacheBytes, 128<<20)
	o.StallAfter = cmp.Or(o.StallAfter, time.Minute)
	o.StopLineAfter = cmp.Or(o.StopLineAfter, 1000)
	o.StopLineWindow = cmp.Or(o.StopLineWindow, 10*time.Minute)
	o.ParkedRecords = cmp.Or(o.ParkedRecords, 100_000)
	o.ParkedBytes = cmp.Or(o.ParkedBytes, 256<<20)
	o.Partitioner = cmp.Or(o.Partitioner, "murmur2")
	o.OffsetReset = cmp.Or(o.OffsetReset, ResetEarliest)
	o.CorruptBatch = cmp.Or(o.CorruptBatch, CorruptStop)
	o.Schemas = cmp.Or(o.Schemas, SchemasCheck)
	o.Log = cmp.Or(o.Log, zap.NewNop())
	if o.Create != nil {
		o.Create = &Creation{
			Partitions:        cmp.Or(o.Create.Partitions, 4),
			ReplicationFactor: cmp.Or(o.Create.ReplicationFactor, -1),
		}
	}
	return o
}

// SettingError says what is wrong with options, and which settings of a command they are.
type SettingError = mistake.Error

// check reports everything that makes no sense.
func (o *Options) check() error {
	var errs []error
	bad := func(wrong bool, in mistake.Settings, format string, args ...any) {
		if wrong {
			errs = append(errs, in.Errorf(format, args...))
		}
	}
	if o.Wire == nil {
		errs = append(errs, errors.New("no wire"))
	}
	bad(o.Guarantee != ExactlyOnce && o.Guarantee != AtLeastOnce, mistake.In("guarantee"),
		"guarantee %q: it is %s or %s", o.Guarantee, ExactlyOnce, AtLeastOnce)
	bad(o.OffsetReset != ResetEarliest && o.OffsetReset != ResetLatest && o.OffsetReset != ResetNone, mistake.In("auto.offset.reset"),
		"auto.offset.reset %q: it is earliest, latest or none", o.OffsetReset)
	bad(o.Schemas != SchemasCheck && o.Schemas != SchemasRegister && o.Schemas != SchemasOff, mistake.In("schemas"),
		"schemas %q: it is check, register or off", o.Schemas)
	bad(o.CorruptBatch != CorruptStop && o.CorruptBatch != CorruptSkip, mistake.In("on.corrupt.batch"),
		"on.corrupt.batch %q: it is stop or skip", o.CorruptBatch)
	bad(o.CommitInterval < 0, mistake.In("commit-interval"), "commit-interval: %v is negative", o.CommitInterval)
	bad(o.CommitBytes < 0, mistake.In("commit-bytes"), "commit-bytes: %d is negative", o.CommitBytes)
	bad(o.Workers < 0, mistake.In("workers"), "workers: %d is negative", o.Workers)
	bad(o.Standby < 0, mistake.In("num.standby.replicas"), "num.standby.replicas: %d is negative", o.Standby)
	bad(o.CacheBytes < 0, mistake.In("cache-bytes"), "cache-bytes: %d is negative", o.CacheBytes)
	bad(o.StallAfter < 0, mistake.In("stall-after"), "stall-after: %v is negative", o.StallAfter)
	bad(o.StopLineWindow < 0, mistake.In("stop-line-window"), "stop-line-window: %v is negative", o.StopLineWindow)
	bad(o.ParkedRecords < 0, mistake.In("parked-records"), "parked-records: %d is negative", o.ParkedRecords)
	bad(o.ParkedBytes < 0, mistake.In("parked-bytes"), "parked-bytes: %d is negative", o.ParkedBytes)
	bad(o.Static && o.StateDir == "" && o.InstanceID == "", mistake.In("group.instance.id", "instance-id", "state-dir"),
		"group.instance.id: static membership needs an instance id, or a state folder that keeps one")
	return errors.Join(errs...)
}

// Phase of an instance.
type Phase string

// The phases, in the order in which an instance goes through them.
const (
	Starting Phase = "starting"
	Running  Phase = "running"
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped"
	// Paused is the phase of a Managed while it has no instance, because operators have paused the topology.
	Paused Phase = "paused"
)

// Stats is a snapshot of what an instance has done since it started. Consumed is the sum of the four counts that follow it,
// of committed records only.
type Stats struct {
	Phase        Phase
	Consumed     int64
	Processed    int64
	Filtered     int64
	Deduplicated int64
	DeadLettered int64
	Retried      int64 // failed tries that were repeated
	Commits      int64
	Aborts       int64
	Rebalances   int64
	Lag          int64 // of the partitions held, to the high watermark
	Tasks        []TaskStats
	Copies       []CopyStats // of tasks that run elsewhere
}

// TaskStats is one task of the instance.
type TaskStats struct {
	Topology  string
	Subgraph  int
	Partition int32
	Worker    int
	State     string // created, restoring, running, closing
	Lag       int64
	Stalled   []string // input partitions with lag and no progress, with for how long and why where it is known
	Restore   *RestoreStats
}

// CopyStats is a copy of a task's state.
type CopyStats struct {
	Subgraph  int
	Partition int32
	Lag       int64  // changelog offsets that are missing, -1 while that is not known
	Warm      bool   // the task could go on here at once
	Failure   string // why it is not kept up to date, "" where it is
}

// RestoreStats is how far a task's restore is.
type RestoreStats struct {
	Store     string
	From, To  int64 // changelog offsets
	Position  int64
	PerSecond float64
	ETA       time.Duration

	changelog kafka.TopicPartition
	moved     time.Time // when the position last moved
}
