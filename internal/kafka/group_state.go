package kafka

// groupState is where a membership stands. Heartbeats are sent in all states but unjoined and joining: while a join
// waits for its answer the coordinator keeps the member without them.
type groupState int8

const (
	unjoined groupState = iota // no member id, nothing held
	joining                    // wants a generation; may hold partitions of the one before
	syncing                    // has a generation, wants its assignment
	stable                     // has its assignment, or is taking it over
	leaving
	ended
)

func (s groupState) String() string {
	return [...]string{"unjoined", "joining", "syncing", "stable", "leaving", "ended"}[s]
}

// groupEvent is what a state ended with.
type groupEvent int8

const (
	none      groupEvent = iota
	start                // time to join
	retry                // the coordinator is not there, or not yet
	joined               // JoinGroup was answered with a generation
	synced               // SyncGroup was answered with an assignment
	rebalance            // a new generation is due
	lost                 // the group goes on without this member, or was told to
	failed               // the group will not have this member
	leave                // the owner wants to leave
	left
)

func (e groupEvent) String() string {
	return [...]string{"none", "start", "retry", "joined", "synced", "rebalance", "lost", "failed", "leave", "left"}[e]
}

// groupMoves are the legal transitions.
var groupMoves = map[groupState]map[groupEvent]groupState{
	unjoined: {start: joining, lost: unjoined, failed: ended, leave: leaving},
	joining:  {joined: syncing, retry: joining, rebalance: joining, lost: unjoined, failed: ended, leave: leaving},
	syncing:  {synced: stable, rebalance: joining, lost: unjoined, failed: ended, leave: leaving},
	stable:   {rebalance: joining, lost: unjoined, failed: ended, leave: leaving},
	leaving:  {left: ended},
}
