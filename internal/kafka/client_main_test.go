package kafka

import (
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lockedBuilder collects a log.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) Sync() error { return nil }

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// How long something takes decides no test, since the machine may be busy. Where a broken implementation would wait for a
// timeout, that is set to never, and who takes longer than hung has waited for it.
const (
	hung  = time.Minute
	never = 10 * time.Minute
)

// promptly says that what began then did not wait for a timeout of never.
func promptly(t *testing.T, began time.Time) {
	t.Helper()
	if took := time.Since(began); took > hung {
		t.Errorf("it took %v", took)
	}
}
