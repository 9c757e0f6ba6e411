// Package kafkatest starts real Apache Kafka 4.3.1 clusters on loopback, without Docker, for tests that must not trust an
// imitation: one node, or three brokers with a controller quorum of their own (KRaft). A node can be killed, stopped,
// paused and started again, and the cluster tells which node leads a partition or coordinates a group.
//
// Nodes are Java processes (17 or newer). Their jars come through Maven, once, into the user's cache folder. Data lives in
// a temporary folder; when a test fails its nodes' logs are kept and their place is printed. Nodes end with the process
// that started them, also when it is killed (on Linux).
//
// WEIR_KAFKA_BROKERS=HOST:PORT[,...] takes a cluster that runs already instead. It has no nodes to fail: tests that need
// those call NeedNodes.
//
// The package's own view of the cluster goes through franz-go, so that what is tested does not also judge.
package kafkatest
