// Package dedup is what a node knows of the records that it has processed: the ids of topology.Dedup, at one partition.
//
// Ids lie in a store, so they are part of the record's transaction and survive whatever the store survives. They are kept in slices of
// the stream's time, a quarter of the window each: a look-up asks every slice, an id is added to the newest one, and a slice whose
// ids are all older than the window is given up whole. Its keys are then deleted in ranges, some with each record, so that no
// record pays for a whole slice.
package dedup
