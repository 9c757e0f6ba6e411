// Package simkafka is a model of a Kafka cluster in memory, for tests of what runs on Kafka: seeded, without I/O, and
// waiting by timers and channels only, so that it runs in a testing/synctest bubble and minutes take milliseconds.
//
// It models what Kafka answers to the requests behind the calls, not the protocol: partition logs with transaction
// markers, last stable offset and high watermark; transactional ids with epochs, fencing, takeover and timeout (KIP-98,
// KIP-360, KIP-890's check that a write belongs to an open transaction); groups with generations, sessions, cooperative
// assignment (KIP-429) and static members (KIP-345); offsets inside transactions with generation checks and reads that
// wait for stable ones (KIP-447). There is one replica of everything, and it does not fail: what fails are the calls.
//
// A Process is what one operating system process sees of the cluster. It can be crashed, paused like with SIGSTOP, and
// cut off. Faults decides call by call what goes wrong. Misuse of the wire's contract is noted in Violations.
package simkafka
