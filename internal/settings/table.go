package settings

import (
	"math"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// The defaults are the engine's own. What only a command line has, has its default in the table.
var (
	client   = kafka.Config{}.WithDefaults()
	instance = processors.Options{Create: &processors.Creation{}}.WithDefaults()
)

// The groups, in the order of the docs.
const (
	groupRun      = "Running"
	groupState    = "State"
	groupTopics   = "Topics"
	groupWatch    = "Watching"
	groupConnect  = "Connection and security"
	groupConsumer = "Reading and the group"
	groupProducer = "Writing"
	groupLimits   = "Limits of what is read"
)

// What runs, and how.
var (
	Brokers = define[[]string](Setting{Name: "brokers", Alias: "bootstrap.servers", Group: groupRun, kind: addressesKind(),
		Help: "brokers to start from, several with commas between them; required"})
	Topology = define[string](Setting{Name: "topology", Group: groupRun, kind: textKind("NAME"),
		Help: "which topology to run; needed only where the program has several"})
	Guarantee = define[string](Setting{Name: "guarantee", Group: groupRun, kind: choiceKind("exactly_once", "at_least_once"),
		Help: "with exactly_once the outputs, state and offset of a record become visible together; at_least_once may process a record again after a failure"}, string(instance.Guarantee))
	CommitInterval = define[time.Duration](Setting{Name: "commit-interval", Group: groupRun, kind: durationKind("commit-interval", time.Millisecond),
		Help: "the longest time that a record's effects wait for their commit, unless a call of a node on the same worker takes longer; with exactly_once under 4/5 of transaction.timeout.ms"}, instance.CommitInterval)
	CommitBytes = define[int64](Setting{Name: "commit-bytes", Group: groupRun, kind: sizeKind(1, math.MaxInt32),
		Help: "bytes of inputs and changes with which a transaction is committed before commit-interval is over"}, int64(instance.CommitBytes))
	Workers = define[int](Setting{Name: "workers", Group: groupRun, kind: intKind(1, 1024), DefaultText: "twice the number of CPUs",
		Help: "goroutines that run tasks, each with its own transactions"}, instance.Workers)
	Partitioner = define[string](Setting{Name: "partitioner", Group: groupRun, kind: choiceKind("murmur2", "fnv1a"),
		Help: "which partition a key belongs to: murmur2 as in the Java client, fnv1a as in goka"}, instance.Partitioner)
	Schemas = define[string](Setting{Name: "schemas", Group: groupRun, kind: choiceKind("check", "register", "off"),
		Help: "what a start does with the schemas of streams whose codecs are bound to a registry: check refuses what is not compatible with its subject, register registers those of outputs as well, off asks nothing"}, string(instance.Schemas))
	Config = define[string](Setting{Name: "config", Group: groupRun, kind: textKind("FILE"), NoFile: true,
		Help: "YAML file with settings"})
)

// State.
var (
	StateDir = define[string](Setting{Name: "state-dir", Group: groupState, kind: textKind("DIR"),
		Help: "folder of the stores' databases; one process at a time may use it"}, "weir-state")
	CacheBytes = define[int64](Setting{Name: "cache-bytes", Group: groupState, kind: sizeKind(0, math.MaxInt64),
		Help: "memory for what stores keep of their data, for all stores together, at least 64KiB of each; 0 is the default. LevelDB's own memory, about 2 % of the data, comes on top"}, instance.CacheBytes)
	StandbyReplicas = define[int](Setting{Name: "num.standby.replicas", Group: groupState, Kafka: true, kind: intKind(0, 1000),
		Help: "copies of each task's state that other instances keep up to date, so that the task goes on there at once when this one stops; the group keeps as many as the instance with the most asks for, on instances that ask for any. Each copy takes the disk of its stores and the network of their changelogs"}, instance.Standby)
	ParkedRecords = define[int](Setting{Name: "parked-records", Group: groupState, kind: intKind(1, math.MaxInt32),
		Help: "records of parked keys that a partition keeps, where the topology parks; at one more the partition waits"}, instance.ParkedRecords)
	ParkedBytes = define[int64](Setting{Name: "parked-bytes", Group: groupState, kind: sizeKind(1, math.MaxInt64),
		Help: "bytes of records of parked keys that a partition keeps, where the topology parks; at more the partition waits"}, instance.ParkedBytes)
	InstanceID = define[string](Setting{Name: "instance-id", Group: groupState, kind: textKind("ID"),
		Help: "name of this instance in transactional ids; made once and kept in state-dir when not set"})
)

// Topics that are made at start.
var (
	TopicPrefix = define[string](Setting{Name: "topic.prefix", Group: groupTopics, kind: prefixKind(),
		Help: "text before the names of all topics, the group and the transactional ids, such as \"staging.\", for several environments on one cluster; streams that are Unprefixed keep their name. No prefix should begin with another one that is used beside it. Another prefix at the next start is another environment, which begins at the start of its inputs with empty state"})
	CreateTopics = define[bool](Setting{Name: "create-topics", Group: groupTopics, kind: boolKind(),
		Help: "create the topics of the topology that do not exist; without it only its changelogs and dead-letter topics, at its first start"}, false)
	AcceptEmptyState = define[bool](Setting{Name: "accept-empty-state", Group: groupTopics, kind: boolKind(), NoFile: true,
		Help: "let a store begin empty although the group has processed records before, because its changelog is missing or was recreated; for one start"}, false)
	Partitions = define[int](Setting{Name: "partitions", Group: groupTopics, kind: intKind(1, math.MaxInt32),
		Help: "partitions of the inputs and outputs that create-topics makes, where their streams state no number; changelogs follow their input"}, int(instance.Create.Partitions))
	ReplicationFactor = define[int](Setting{Name: "replication-factor", Group: groupTopics, kind: replicasKind(),
		Help: "copies of each partition that create-topics makes; -1 is the broker's default; from 3 on min.insync.replicas becomes 2"}, int(instance.Create.ReplicationFactor))
)

// Watching.
var (
	HTTP = define[string](Setting{Name: "http", Group: groupWatch, kind: addressKind(),
		Help: "serve /metrics, /livez, /readyz and /healthz at this address; :9090 is reached from this machine only, 0.0.0.0:9090 or [::]:9090 from everywhere"})
	HTTPTokenFile = define[string](Setting{Name: "http-token-file", Group: groupWatch, kind: textKind("FILE"),
		Help: "file with a bearer token; beyond this machine /healthz gives the reasons only to requests that carry it"})
	Announce = define[bool](Setting{Name: "announce", Group: groupWatch, kind: boolKind(),
		Help: "write what this instance is like into the topic _weir.status, which the command status shows: its build, its topology, its tasks. Where that fails records are not concerned"}, true)
	StallAfter = define[time.Duration](Setting{Name: "stall-after", Group: groupWatch, kind: durationKind("stall-after", time.Second),
		Help: "how long a partition may have lag and make no progress before it is reported"}, instance.StallAfter)
	StopLineAfter = define[int](Setting{Name: "stop-line-after", Group: groupWatch, kind: intKind(0, math.MaxInt32),
		Help: "dead letters of one fingerprint, of a node's errors, after which a partition waits instead of writing more, where they are most of its records within stop-line-window; rejected and undecodable records do not count; 0 for any number"}, instance.StopLineAfter)
	StopLineWindow = define[time.Duration](Setting{Name: "stop-line-window", Group: groupWatch, kind: durationKind("stop-line-window", time.Second),
		Help: "time within which stop-line-after counts"}, instance.StopLineWindow)
	LogLevel = define[string](Setting{Name: "log-level", Group: groupWatch, kind: choiceKind("debug", "info", "warn", "error"),
		Help: "lowest level of the log lines that are written"}, "info")
	LogFormat = define[string](Setting{Name: "log-format", Group: groupWatch, kind: choiceKind("auto", "console", "json"),
		Help: "format of the log; auto is json where an instance or a server does not write to a terminal, else console"}, "auto")
)

var table []*Setting

// define adds a setting to the table, with its default where it has one.
func define[T any](s Setting, value ...T) Key[T] {
	if len(value) > 0 {
		s.Default = s.kind.format(value[0])
	}
	table = append(table, &s)
	return Key[T]{&s}
}

// Table lists all settings, in the order of the docs.
func Table() []*Setting { return table }

// OfClient lists the settings of a command that asks a cluster about a topology and runs nothing.
func OfClient() (list []*Setting) {
	for _, s := range table {
		if s.Group == groupConnect || s == Brokers.Setting || s == Topology.Setting || s == TopicPrefix.Setting || s == Config.Setting {
			list = append(list, s)
		}
	}
	return list
}

// OfNames lists the settings of a command that needs no cluster, but the names that things have in one.
func OfNames() []*Setting { return []*Setting{Config.Setting, TopicPrefix.Setting} }
