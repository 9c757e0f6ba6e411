package kafka

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// closeShared ends what tests have shared, before goroutines are looked for.
var closeShared = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	closeShared()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

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
