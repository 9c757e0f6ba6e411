// Package recordbatch decodes what a broker answers for one partition: record batches (format v2, Kafka 0.11 and later)
// and the message sets from before (v0 and v1), which an upgraded cluster still holds.
//
// Next splits the bytes into batches and checks their checksums. A Reader then gives a batch's records one after the other,
// decompressing no further than it is asked to. Nothing is allocated for a record: keys, values and headers lie in pieces of
// decompressed bytes, or in those of a batch that is not compressed, that are never written to again, so a record stays valid
// for as long as somebody holds it.
//
// No count and no length is trusted: memory follows the bytes that are really there, up to the Limits. What is over a limit
// is given out as an Excess: for a record, or for all that is left of a batch. Every batch that Kafka's Java consumer reads
// is read, up to the Limits.
package recordbatch
