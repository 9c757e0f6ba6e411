// Package processors is the engine: it runs a topology on Kafka, as one process, one member of the topology's consumer group,
// with a number of workers that process tasks. Programs start it with weir.Main or weir.Run. What they need of this package are
// hooks and their events, the names of settings' values, and errors:
//
//   - [Hook] and the interfaces Hook..., with their events: [RecordEnded] and its [Outcome], [RecordRetried], [DeadLettered],
//     [Committed], [Aborted] and its [AbortReason], [Rebalanced], [RestoreProgress], [PartitionWaiting] and [PartitionResumed], which
//     name the kind of a [Problem].
//   - [Guarantee], [OffsetReset] and [CorruptBatch].
//   - What a run ends with: [RefusedTopologyError], [FatalError], [NamesakeError], [SettingError]; and what a dead letter may be
//     due to: [LimitError], [DamagedError].
//
// Promises: with ExactlyOnce the outputs, state changes, dead letters and input offsets of a record become visible
// together or not at all, also over crashes, rebalances and fenced zombies. With AtLeastOnce nothing is lost. Every
// record consumed is counted as exactly one of processed, filtered, deduplicated, dead-lettered. Side effects of nodes
// outside Kafka are not part of this: a node may run several times for a record.
//
// # For Weir's own packages
//
// The command line, the demo and Weir's tests make an instance themselves: [New], [Instance], [Options], [Creation], [Stats],
// [TaskStats], [RestoreStats], [Phase]. What operators see of it, and want of it, is
// [Managed]: [NewManaged]. Replays are [RunReplay] and [RunRanges] of a [Replay], with [Range], [Progress], [ReplayCounts],
// [Checksum] and [HeaderCause]. The engine knows Kafka only through [Wire], [Sink], [Group] and [Fetcher], which [Kafka]
// makes of a client. These give and take types under internal/, and may change without a word.
//
// A record's way: fetcher -> inbox of its worker -> input of its task -> nodes, which stage effects -> the worker's
// transaction -> commit. A commit flushes outputs and changelogs, adds the input offsets, ends the transaction and only
// then writes the stores; see commit.go for the order and what a failure at each step means.
package processors
