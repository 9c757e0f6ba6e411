package kafka

import "time"

// GroupConfig names a consumer group and what it reads.
type GroupConfig struct {
	Group      string
	InstanceID string    // group.instance.id for static membership, or empty
	Instance   string    // name of this process for people and for itself after a kill, or empty; not static membership
	Started    time.Time // when the process began, for Namesakes
	// Copartitioned lists sets of topics that are assigned together: partition p of every topic of a set goes to one
	// member. Every input topic is in exactly one set.
	Copartitioned [][]string
	// Optional lists those of these topics that need not exist, nor be readable. One that is made later is assigned with the others of
	// its set soon after.
	Optional []string
	// Standby is nil for a member that keeps no copies of state.
	Standby *Standby
	Rack    string // where the process runs, so that copies are placed apart; empty where that is not known (client.rack)
}

// GroupHandler is notified of what the group gives and takes. Its calls come from one goroutine, one at a time; heartbeats go
// on meanwhile. A call may take as long as the rebalance timeout.
type GroupHandler interface {
	// Assigned: these partitions are now this member's, in addition to those it has. No offset is implied.
	Assigned(added []TopicPartition)
	// Revoked: these go to other members after the call returns. Work on them can still be committed.
	Revoked(removed []TopicPartition)
	// Lost: these are gone already (session timed out, member fenced). Commit nothing of them.
	Lost(lost []TopicPartition)
	// Failed: the group cannot go on (authorisation, fenced static member). The membership has ended.
	Failed(err error)
}
