// Package oracle decides from evidence whether a run of the reference job was exactly-once.
//
// A Generator makes orders whose answer is known beforehand: the orders of a customer are numbered from 1, and the
// amount is a function of customer and number, so that the right total after any number of orders has a closed form.
// Collect reads what a run left behind (topics with their transaction markers, committed offsets), with a client that
// shares no code with the engine; ReadStores adds the local databases, a Recorder what a read-committed reader saw
// meanwhile. Check folds the job's contract over exactly the input below the committed offsets and returns a Report that
// names each violation with its kind, partition, key and offset. CheckReplay compares two moments between which input
// was only read again.
//
// Vacuity collects what must have happened for an empty report to mean anything.
package oracle
