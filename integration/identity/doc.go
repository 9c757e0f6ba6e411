// Package identity has the tests of what an operator can do to topics and committed offsets, on a real Kafka and with Kafka's
// own tools: topics that are deleted and recreated, offsets that are deleted, reset or forgotten, changelogs that are missing
// or lost their end. Each test has a topology of its own, so that they can share a cluster and run side by side.
package identity
