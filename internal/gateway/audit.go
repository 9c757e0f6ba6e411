package gateway

import (
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// audit logs what was refused. A refusal with 401 or 403 is a line. Of 429 there may be thousands a second, so a client has a line in
// auditEvery at most, which says how many refusals it stands for. An overload refuses before it looks who asks: its lines are of all clients together.
type audit struct {
	log     *zap.Logger
	mu      sync.Mutex
	clients map[string]*refusedSince // by name, "" for all in an overload; names are those of the list of clients
}

// auditEvery is the least time between two lines of a client's refusals with 429.
const auditEvery = 10 * time.Second

// refusedSince is how many refusals were not logged yet.
type refusedSince struct {
	logged time.Time
	n      int
}

func newAudit(log *zap.Logger) *audit {
	return &audit{log: log, clients: map[string]*refusedSince{}}
}

// ended takes note of how a request was answered.
func (a *audit) ended(status int, client string, fields func() []zap.Field) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		a.log.Warn("a request was refused", fields()...)
	case http.StatusTooManyRequests:
		if n := a.count(client, time.Now()); n > 0 && client != "" {
			a.log.Warn("requests of a client were refused, because of its quota or of an overload", append(fields(), zap.Int("refused", n))...)
		} else if n > 0 {
			a.overload(n)
		}
	}
}

// overloaded takes note of a refusal by an overload, of a request that nobody has looked at.
func (a *audit) overloaded(now time.Time) {
	if n := a.count("", now); n > 0 {
		a.overload(n)
	}
}

func (a *audit) overload(n int) {
	a.log.Warn("requests were refused by an overload, before their clients were known", zap.Int("refused", n), zap.Int("status", http.StatusTooManyRequests))
}

// count counts a refusal, and returns how many a line is due for; 0 is no line.
func (a *audit) count(client string, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	since := a.clients[client]
	if since == nil {
		since = &refusedSince{}
		a.clients[client] = since
	}
	since.n++
	if !since.logged.IsZero() && now.Sub(since.logged) < auditEvery {
		return 0
	}
	n := since.n
	since.logged, since.n = now, 0
	return n
}
