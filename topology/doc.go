// Package topology declares a graph of streams, stores and nodes, and checks it before anything runs.
//
// What a program works with is declared once, as handles that carry their type: [Stream], [Edge], [Store] and [Global]. A handle is
// also the way to use the thing from within a node. What a stream's topic is like it says by options ([Partitions],
// [Retention], [Compacted], ...). A [Node] is a function with what it reads and writes: what a node
// reads is [On] or [Uses], what it writes is [Emits] or [Uses]. [Define] puts nodes together; it never fails, so that
// topologies can be package variables. [Topology.Check] reports every mistake at once, and [Topology.Describe]
// says what there is; the command line draws it as well. A handle serves several topologies, and several environments: what topics
// are called in a cluster is decided where a topology is run (topic.prefix).
//
// A node ends a record by what it returns: nil when it is processed, [Context.Drop] when it is left out, [Reject] when
// no repetition will help, [Fatal] when the program must not go on; any other error is tried again. Effects of a record
// (Emit, Set, Delete) are staged, and become real together with its offset, or not at all.
//
// A [Context] is a context.Context for whatever a node waits for: it ends with the instance, the task and the node's [Timeout].
//
// Handles and contexts belong to one call of one node at a time. No call of this package panics or blocks, and the
// package knows no Kafka client.
//
// # For Weir's own packages
//
// [Topology.Plan], which every engine starts from, checks the topology and resolves the names of its topics. It gives a type
// under internal/, which prints itself as text, JSON, Mermaid and DOT, in a stable order. Packages that write to systems besides Kafka
// have an [OutsideHandle], which [Outside] makes, and have work done by [StageOutside].
package topology
