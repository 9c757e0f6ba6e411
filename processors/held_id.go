package processors

import (
	"fmt"
	"sync"
)

// heldID is the id of an instance without a state folder, which no other instance of this process has as long as it is held: two
// with one id would take their transactional ids from each other.
type heldID string

var heldIDs sync.Map

// holdID takes an id, with a number where it is held already: the least, so that an instance which follows another takes over
// what that one left open.
func holdID(name string) (string, heldID) {
	id := name
	for n := 2; ; n++ {
		if _, held := heldIDs.LoadOrStore(id, true); !held {
			return id, heldID(id)
		}
		id = fmt.Sprintf("%s-%d", name, n)
	}
}

// Close lets the id go.
func (h heldID) Close() error {
	heldIDs.Delete(string(h))
	return nil
}
