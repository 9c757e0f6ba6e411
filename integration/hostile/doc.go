// Package hostile does to a running instance of the reference job what records, brokers and operators do on a bad day, one
// kind after the other, and demands that it goes on.
//
// The table of kinds is the chapter "Hostile input" of docs/testing.md, which a test keeps equal to the code. Each kind is
// tried on a real Kafka against the real program, while a feed of good orders goes on. After each kind the feed must flow
// again within a bound; every record must have ended as exactly one of processed, filtered, deduplicated and
// dead-lettered, as the oracle's model says, with its output or its dead letter there once; the instance must live and be
// healthy; and its memory, file descriptors and goroutines must be where they were.
//
//	go test -tags integration -count 1 -run TestHostile ./integration/hostile
package hostile
