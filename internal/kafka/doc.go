// Package kafka is Weir's wire: everything that it says to a cluster, and the only package that knows sarama.
//
// A Client is the way to one cluster, made by Dial. It describes and creates topics, finds offsets and lag, and makes
//
//   - a Sink, which writes record batches of its own making, in transactions when it has a transactional id;
//   - a Fetcher, which reads partitions read-committed and knows their position, control records included;
//   - a Group, a membership with cooperative, co-partitioned assignment.
//
// Each of these has connections of its own, so that a long poll or a rebalance never holds up a commit. Whatever may
// pass by itself (a moved leader or coordinator, a lost connection, a busy broker) is tried again with back-off until a
// deadline; then, or when nothing will help, an Error tells what was being done, why it failed, and by its Class what the
// caller can do. The package decides nothing about processing: which offsets to commit, when, and what to do about a
// record is its caller's business.
//
// It never creates a topic unasked, never skips the check of a certificate, and never logs a secret. go-metrics, which
// sarama registers its meters with, is switched off for the process.
package kafka
