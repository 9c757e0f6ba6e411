// Package processors runs a topology: an Instance is one process, one member of the topology's consumer group, with a
// number of workers that process tasks.
//
// A record's way: fetcher -> inbox of its worker -> input of its task -> nodes, which stage effects -> the worker's
// transaction -> commit. A commit flushes outputs and changelogs, adds the input offsets, ends the transaction and only
// then writes the stores; see commit.go for the order and what a failure at each step means.
//
// Promises: with ExactlyOnce the outputs, state changes, dead letters and input offsets of a record become visible
// together or not at all, also over crashes, rebalances and fenced zombies. With AtLeastOnce nothing is lost. Every
// record consumed is counted as exactly one of processed, filtered, deduplicated, dead-lettered. Side effects of nodes
// outside Kafka are not part of this: a node may run several times for a record.
//
// The package knows Kafka only through Wire.
package processors
