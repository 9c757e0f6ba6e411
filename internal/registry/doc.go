// Package registry is a schema registry with the REST API of Confluent's, over a compacted topic in the layout that theirs and
// Karapace write: an existing topic is taken over in place, and given back.
//
// All that it knows is in the topic. Each server reads all of it into memory (Log, state) and answers reads from there. Writes
// are made by one server at a time, which holds the kafka.Claim of the partition; others forward to it, and take the claim when
// it is gone. What a claim fences off is told in kafka.Claim. A write is decided on all that is in the log before it, and
// answered when it was read back.
//
// It does not say who may do what to which subject: whoever has the server's credentials may do everything.
package registry
