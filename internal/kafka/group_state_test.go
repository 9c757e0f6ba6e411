package kafka

import (
	"fmt"
	"strings"
	"testing"
)

// Mutation: any change of groupMoves.
func TestAMembershipMovesBetweenItsStatesAsWritten(t *testing.T) {
	want := map[string]string{
		"unjoined": "start>joining lost>unjoined failed>ended leave>leaving",
		"joining":  "retry>joining joined>syncing rebalance>joining lost>unjoined failed>ended leave>leaving",
		"syncing":  "synced>stable rebalance>joining lost>unjoined failed>ended leave>leaving",
		"stable":   "rebalance>joining lost>unjoined failed>ended leave>leaving",
		"leaving":  "left>ended",
		"ended":    "",
	}
	for state := unjoined; state <= ended; state++ {
		var moves []string
		for event := none; event <= left; event++ {
			if next, ok := groupMoves[state][event]; ok {
				moves = append(moves, fmt.Sprintf("%v>%v", event, next))
			}
		}
		if got := strings.Join(moves, " "); got != want[state.String()] {
			t.Errorf("%v: %s, want %s", state, got, want[state.String()])
		}
	}
}
