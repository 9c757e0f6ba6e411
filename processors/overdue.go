package processors

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"time"
)

// overdueAfter is for how long more than its timeout a call of a node may take before it is reported: one that heeds its Context returns
// within that.
const overdueAfter = time.Second

// overdue says that the call in work has not ended with its timeout. Nothing can end it but the node.
func (w *worker) overdue(now time.Time) (problem Problem, ok bool) {
	in := w.at.Load()
	node, took := w.call.Overdue(now)
	if in == nil || node == nil || took < node.Decl.Timeout+overdueAfter {
		return Problem{}, false
	}
	return Problem{
		Kind: ProblemStalled, inCall: true,
		Cause: fmt.Sprintf("node %s has been in one call for %s with a record of %s, and its Timeout is %v; all partitions of worker %d wait for it",
			node.Decl.Name, took.Round(time.Second), in.whereabouts(), node.Decl.Timeout, w.id),
		Remedy: "have the node give its Context to what it waits for: the stack in the log shows what that is",
	}, true
}

// stack is where the worker's goroutine is, for a report of a call that does not return; "" where it cannot be found.
func (w *worker) stack() string {
	const room, most = 4 << 20, 16 << 10
	all := make([]byte, room)
	all = all[:runtime.Stack(all, true)]
	own := fmt.Appendf(nil, "goroutine %d [", w.goroutine.Load())
	for one := range bytes.SplitSeq(all, []byte("\n\n")) {
		if bytes.HasPrefix(one, own) {
			return string(one[:min(len(one), most)])
		}
	}
	return ""
}

// goroutineID is the number of the goroutine that calls it, as stacks show it; 0 where they do not. It is for finding a stack.
func goroutineID() int64 {
	var head [64]byte
	fields := bytes.Fields(head[:runtime.Stack(head[:], false)])
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return id
}
