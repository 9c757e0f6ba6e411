package proxy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Key is the API key of a request.
type Key int16

// The requests that a stream processor lives on.
const (
	Produce            Key = 0
	Fetch              Key = 1
	ListOffsets        Key = 2
	Metadata           Key = 3
	OffsetCommit       Key = 8
	OffsetFetch        Key = 9
	FindCoordinator    Key = 10
	JoinGroup          Key = 11
	Heartbeat          Key = 12
	LeaveGroup         Key = 13
	SyncGroup          Key = 14
	InitProducerID     Key = 22
	AddPartitionsToTxn Key = 24
	AddOffsetsToTxn    Key = 25
	EndTxn             Key = 26
	TxnOffsetCommit    Key = 28
)

var keyNames = map[Key]string{
	Produce: "Produce", Fetch: "Fetch", ListOffsets: "ListOffsets", Metadata: "Metadata", OffsetCommit: "OffsetCommit",
	OffsetFetch: "OffsetFetch", FindCoordinator: "FindCoordinator", JoinGroup: "JoinGroup", Heartbeat: "Heartbeat",
	LeaveGroup: "LeaveGroup", SyncGroup: "SyncGroup", InitProducerID: "InitProducerID",
	AddPartitionsToTxn: "AddPartitionsToTxn", AddOffsetsToTxn: "AddOffsetsToTxn", EndTxn: "EndTxn",
	TxnOffsetCommit: "TxnOffsetCommit",
}

func (k Key) String() string {
	if name, ok := keyNames[k]; ok {
		return name
	}
	return fmt.Sprintf("key %d", int16(k))
}

// Action is what happens to a request that a rule strikes.
type Action int8

const (
	// CutRequest closes the connection with half of the request sent: the broker does nothing.
	CutRequest Action = iota + 1
	// LoseAnswer lets the broker do its work and closes the connection in place of the answer.
	LoseAnswer
	// Silence lets the broker do its work, and nothing comes through to the client any more. The connection stays open:
	// it is the client that has to give up.
	Silence
	// Delay holds the answer back, and those after it on the connection.
	Delay
	// CutAnswer sends half of the answer and closes the connection.
	CutAnswer
	// Corrupt flips a bit in the last record batch of an answer to a Fetch. Other answers pass unharmed.
	Corrupt
)

func (a Action) String() string {
	return [...]string{"none", "cut request", "lose answer", "silence", "delay", "cut answer", "corrupt"}[a]
}

// Rule says what happens to some requests.
type Rule struct {
	Action      Action
	Probability float64       // of a request to be struck
	Keys        []Key         // which requests, all when empty
	Min, Max    time.Duration // of Delay
}

// Strike is a kind of request and what happened to it.
type Strike struct {
	Key    Key
	Action Action
}

func (s Strike) String() string { return s.Action.String() + " of " + s.Key.String() }

type verdict struct {
	action Action
	delay  time.Duration
}

// judge decides about the nth request of a key. The answer depends on nothing else, so that a seed strikes the same
// requests however the connections are interleaved.
func judge(seed uint64, rules []Rule, key Key, n uint64) verdict {
	rng := rand.New(rand.NewPCG(seed^uint64(key)<<48, n))
	for _, rule := range rules {
		if len(rule.Keys) > 0 && !slices.Contains(rule.Keys, key) {
			continue
		}
		struck, spread := rng.Float64() < rule.Probability, rng.Float64()
		if struck {
			return verdict{rule.Action, rule.Min + time.Duration(spread*float64(rule.Max-rule.Min))}
		}
	}
	return verdict{}
}
