// Package nodes runs the nodes of a sub-graph on one record and stages what they do. The engine and topologytest share
// it, so that a record that fails in a test fails in the same way in production.
//
// A [Call] takes one record after the other. What its nodes emit waits in a list, what they change in the stores' undo
// logs: nothing of it is part of a transaction until the caller takes it over, and a failure leaves nothing behind. A
// drop takes back what the call of that node did. Edges are followed after the node that wrote to them has returned.
//
// Code of the topology's authors runs within Run only: their nodes and Tombstone functions, codecs, and the methods of the
// errors that they return. Whatever it does is a [Failure] of the record: an error, a panic, and runtime.Goexit, which
// ends the goroutine; [Call.Exited] then has the failure, for the goroutine that comes after.
//
// A Context that is used after its node returned does nothing any more, and fails the record that is in work then, or the
// next one, in the name of the node that let it out.
package nodes
