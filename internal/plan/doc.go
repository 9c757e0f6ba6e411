// Package plan is a checked topology in the form in which an engine runs it: what its handles declare, its graph, and its
// topics by the names that they have in the cluster.
//
// Handles of package topology declare a [Stream], an [Edge] or a [Store] once, and are known by its address. A handle serves
// any number of topologies, so a declaration holds the name that its author wrote; what a topic is called in a cluster is
// decided when a [Plan] is made, by its [Names].
//
// [Runtime] is the engine behind a handle, [Scope] and [Call] are how an engine calls a node.
package plan
