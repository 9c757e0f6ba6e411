package processors

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A hook that has not returned for hookBlocks is named in health, and logged with its stack: one of a kind in each hookQuiet.
const (
	hookBlocks = 10 * time.Second
	hookQuiet  = time.Minute
	hookLook   = time.Second
)

// hookCalls are calls of hooks, one after the other, for whoever looks whether they return.
type hookCalls struct {
	next      atomic.Int64            // the one in work
	goroutine atomic.Int64            // that it is made on
	name      func(call int64) string // the hook and its method
}

// blockedHook is a hook that does not return.
type blockedHook struct {
	name    string
	since   time.Time
	waiting int64 // the goroutine that waits for it
	logged  bool
}

// blockedHooks are those at the moment.
type blockedHooks struct {
	mu     sync.Mutex
	all    []*blockedHook
	logged map[string]time.Time // by name, the last time
}

// hookName is a hook with the method of its kind.
func hookName[H any](hook H) string {
	return fmt.Sprintf("%T in %s", hook, strings.Replace(fmt.Sprintf("%T", (*H)(nil)), "*processors.Hook", "On", 1))
}

// hookWatch looks whether the hook in work returns, for the goroutine that waits for it.
type hookWatch struct {
	hooks   *hooks
	calls   *hookCalls
	at      int64 // the call that was seen last
	since   time.Time
	blocked *blockedHook // of that call
}

func (w *hookWatch) look(now time.Time) {
	if at := w.calls.next.Load(); at != w.at {
		w.end()
		w.at, w.since = at, now
		return
	}
	if now.Sub(w.since) < hookBlocks {
		return
	}
	b := &w.hooks.blocked
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.blocked == nil {
		w.blocked = &blockedHook{name: w.calls.name(w.at), since: w.since, waiting: goroutineID()}
		b.all = append(b.all, w.blocked)
	}
	if last, ok := b.logged[w.blocked.name]; w.blocked.logged || ok && now.Sub(last) < hookQuiet {
		return
	}
	stack := stackOf(w.calls.goroutine.Load())
	if w.calls.next.Load() != w.at {
		return // the stack may be of another one
	}
	if b.logged == nil {
		b.logged = map[string]time.Time{}
	}
	w.blocked.logged, b.logged[w.blocked.name] = true, now
	w.hooks.log.Warn("a hook blocks: what it reports waits for it", zap.String("hook", w.blocked.name),
		zap.Duration("for", now.Sub(w.since)), zap.String("remedy", hookRemedy), zap.String("stack", stack))
}

// end is called when the hook has returned.
func (w *hookWatch) end() {
	if w.blocked == nil {
		return
	}
	b := &w.hooks.blocked
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = slices.DeleteFunc(b.all, func(one *blockedHook) bool { return one == w.blocked })
	w.blocked = nil
}

const hookRemedy = "a hook must not block: have it hand what takes time to a goroutine; the stack in the log shows what it waits for"

// cause says which hook blocks, and what waits for it.
func (b *blockedHook) cause(now time.Time, workers []*worker) string {
	waits := "what it reports waits for it"
	for _, w := range workers {
		if w.goroutine.Load() == b.waiting {
			waits = fmt.Sprintf("all partitions of worker %d wait for it", w.id)
		}
	}
	return fmt.Sprintf("the hook %s has not returned for %s, and %s", b.name, now.Sub(b.since).Round(time.Second), waits)
}

// blockedFor is the hook that a worker waits for, or nil.
func (h *hooks) blockedFor(w *worker) *blockedHook {
	h.blocked.mu.Lock()
	defer h.blocked.mu.Unlock()
	for _, b := range h.blocked.all {
		if b.waiting == w.goroutine.Load() {
			return b
		}
	}
	return nil
}

// problems are the hooks that block.
func (h *hooks) problems(now time.Time, workers []*worker) (all []Problem) {
	h.blocked.mu.Lock()
	defer h.blocked.mu.Unlock()
	for _, b := range h.blocked.all {
		all = append(all, Problem{Kind: ProblemHook, Cause: b.cause(now, workers), Remedy: hookRemedy})
	}
	return all
}
