package processors

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/state"
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

// claim takes the state folder, so that no second process uses it, and settles the instance's id.
func (e *engine) claim() (io.Closer, error) {
	e.id = e.opts.InstanceID
	if e.opts.StateDir == "" {
		if e.id == "" {
			host, err := os.Hostname()
			if err != nil {
				return nil, fmt.Errorf("no instance id: %w", err)
			}
			var held heldID
			e.id, held = holdID(fmt.Sprintf("%s-%d", host, os.Getpid()))
			return held, nil
		}
		return io.NopCloser(nil), nil
	}
	dir := state.TopologyDir(e.opts.StateDir, e.graph.plan.Group())
	lock, err := state.LockDir(dir)
	if err != nil {
		return nil, mistake.In("state-dir").Errorf("%w", err)
	}
	if e.id == "" {
		if e.id, err = state.InstanceID(dir); err != nil {
			_ = lock.Close()
			return nil, err
		}
	}
	return lock, nil
}

// transactionalID is the same for a worker after a restart, so that it ends what it left open at once.
func (e *engine) transactionalID(worker int) string {
	if e.opts.Guarantee != ExactlyOnce {
		return ""
	}
	return fmt.Sprintf("%s-%s-%d", e.graph.plan.Group(), e.id, worker)
}

// instanceOf is whose transactional id an id of a topology's group is.
func instanceOf(group, transactionalID string) (instance string, ok bool) {
	rest, ok := strings.CutPrefix(transactionalID, group+"-")
	n := strings.LastIndexByte(rest, '-')
	if !ok || n <= 0 || n == len(rest)-1 || strings.Trim(rest[n+1:], "0123456789") != "" {
		return "", false
	}
	return rest[:n], true
}
