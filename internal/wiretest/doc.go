// Package wiretest asks a cluster the questions that the engine's promises hang on, through the engine's own wire, and
// compares the answers with those that a real Kafka gave.
//
// The questions are written once and put to the real brokers, which is where answers.txt comes from, and to the simulated
// cluster, which must answer the same: what the simulation finds is worth as much as the simulation is true.
package wiretest
