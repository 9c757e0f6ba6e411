package processors

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
)

// overdueAfter is for how long more than its timeout a call of a node may take before it is reported: one that heeds its Context returns
// within that.
const overdueAfter = time.Second

// Calls that go on past their timeout are looked for at intervals. One of each node is logged with its stack in each quiet period: where
// every record takes too long, the stacks are alike.
const (
	overdueLook  = 250 * time.Millisecond
	overdueQuiet = time.Minute
)

// overdueCall is a call that has not ended with its timeout. Nothing can end it but the node.
type overdueCall struct {
	node  *nodes.Node
	in    *input
	took  time.Duration
	began int64 // in nanoseconds; tells the calls of a worker apart
}

// overdue is the call in work, where it is overdue.
func (w *worker) overdue(now time.Time) (call overdueCall, ok bool) {
	in := w.at.Load()
	node, took := w.call.Overdue(now)
	if in == nil || node == nil || took < node.Decl.Timeout+overdueAfter {
		return overdueCall{}, false
	}
	return overdueCall{node, in, took, now.Add(-took).UnixNano()}, true
}

// problem is what health says of the call while it lasts.
func (c *overdueCall) problem(w *worker) Problem {
	return Problem{
		Kind: ProblemStalled, overdue: true,
		Cause: fmt.Sprintf("node %s has been in one call for %s with a record of %s, and its Timeout is %v; all partitions of worker %d wait for it",
			c.node.Decl.Name, c.took.Round(time.Second), c.in.whereabouts(), c.node.Decl.Timeout, w.id),
		Remedy: "have the node give its Context to what it waits for: the stack in the log shows what that is",
	}
}

// overdueLog logs calls that are overdue. It belongs to one goroutine.
type overdueLog struct {
	log   *zap.Logger
	last  map[*worker]reportedCall // the last overdue call of each
	nodes map[*nodes.Node]*overdueNode
}

type reportedCall struct {
	began  int64
	logged bool
}

type overdueNode struct {
	logged time.Time // the last one
	others int       // that were not logged since
}

// logOverdue looks for calls that are overdue until ctx ends, where a node has a timeout.
func (e *engine) logOverdue(ctx context.Context) {
	timed := func(n *plan.Node) bool { return n.Timeout > 0 }
	if !slices.ContainsFunc(e.graph.plan.Subgraphs, func(s *plan.Subgraph) bool { return slices.ContainsFunc(s.Nodes, timed) }) {
		return
	}
	l := overdueLog{e.log, map[*worker]reportedCall{}, map[*nodes.Node]*overdueNode{}}
	tick := time.NewTicker(overdueLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.summarize(time.Now(), 0)
			return
		case <-tick.C:
		}
		now := time.Now()
		for _, w := range e.workers {
			l.look(w, now)
		}
		l.summarize(now, 2*overdueQuiet) // the next one that is logged counts the others, if there is one
	}
}

// look logs the call that a worker is in, if it is overdue and its node is not quiet. A call that lasts is logged later.
func (l *overdueLog) look(w *worker, now time.Time) {
	call, ok := w.overdue(now)
	if !ok {
		return
	}
	n := l.nodes[call.node]
	if n == nil {
		n = &overdueNode{}
		l.nodes[call.node] = n
	}
	if l.last[w].began != call.began {
		l.last[w] = reportedCall{began: call.began}
		n.others++
	}
	if l.last[w].logged || now.Sub(n.logged) < overdueQuiet {
		return
	}
	stack := w.stack()
	if still, ok := w.overdue(time.Now()); !ok || still.began != call.began {
		return // the stack may be of something else
	}
	problem := call.problem(w)
	l.log.Error("a call of a node goes on past its Timeout", zap.Int("worker", w.id), zap.String("node", call.node.Decl.Name),
		zap.String("why", problem.Cause), zap.String("remedy", problem.Remedy), zap.Int("others", n.others-1), zap.String("stack", stack))
	l.last[w] = reportedCall{call.began, true}
	n.logged, n.others = now, 0
}

// summarize logs how many calls were overdue, but not logged, where none was logged for some time.
func (l *overdueLog) summarize(now time.Time, quiet time.Duration) {
	for node, n := range l.nodes {
		if n.others > 0 && now.Sub(n.logged) >= quiet {
			l.log.Error("more calls of a node went on past its Timeout", zap.String("node", node.Decl.Name), zap.Int("others", n.others))
			n.others = 0
		}
	}
}

// stack is where the worker's goroutine is, for a report of a call that does not return.
func (w *worker) stack() string { return stackOf(w.goroutine.Load()) }

// stackOf is where a goroutine is; "" where it cannot be found.
func stackOf(goroutine int64) string {
	const room, most = 4 << 20, 16 << 10
	all := make([]byte, room)
	all = all[:runtime.Stack(all, true)]
	own := fmt.Appendf(nil, "goroutine %d [", goroutine)
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
