// Package integration tries the engine against real Kafka clusters, real processes and real faults.
//
// Its tests carry the build tag integration and are run by make integration. Each is a scenario in two phases: faults
// rain, and nothing wrong may become visible; then they stop, and progress must return within a stated bound. At the end
// an oracle (package oracle) compares everything that is left in Kafka and on disk with what the input demands.
package integration
