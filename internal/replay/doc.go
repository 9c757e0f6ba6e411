// Package replay processes records again that are still in a topic: into their topology, into another topic, or into a shadow of the
// topology whose outputs are compared with what production wrote. What to do is a file, a Job.
//
// A job that has begun stands in the topic of jobs (system.Jobs) under its name, with the ranges that were meant then. How far it is in
// each partition stands there too, written in the transaction that holds the effects of the records before that position. So any process
// goes on with a job, whatever ended the one before, and each record has its effect once. A job that is done has a Receipt.
package replay
