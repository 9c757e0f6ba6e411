// Package offsets knows how a group's committed offsets and a topology's state belong together, and notices when they no
// longer do.
//
// Committed offsets decide where an input is read from. The state keeps, in the same transaction, how far each input was
// read when it was written last: Positions, in a header of the changelog and with the checkpoint of a store. Judge compares
// the two. They disagree when a group's offsets have expired or were deleted while the changelog stayed, or when somebody
// has set them back: records would be counted twice. Such a disagreement is refused, unless a Reset was recorded that says
// just that, before it happened.
//
// A committed offset carries a Mark in its metadata. It tells Weir's own commits from those of Kafka's tools, and names the
// topic by its id: a topic that was deleted and recreated has the same name, and other records at the same offsets.
package offsets
