package sqlsink

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhileATransactionIsDoneAgainNoOtherBegins, so that workers that have met in a deadlock do not meet again; but one that hangs holds nobody up for good.
//
// Mutations seen to fail it: turn lets everybody go on; it waits without an end.
func TestWhileATransactionIsDoneAgainNoOtherBegins(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		want  []string
	}{
		{time.Second, []string{"first", "again", "again ends", "other"}},
		{time.Minute, []string{"first", "again", "other", "again ends"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Sink{opts: Options{Timeout: 10 * time.Second}, alone: make(chan struct{}, 1)}
			var mu sync.Mutex
			var did []string
			note := func(what string) {
				mu.Lock()
				defer mu.Unlock()
				did = append(did, what)
			}
			passes := func(error) bool { return true }
			go func() {
				first := true
				_ = s.again(t.Context(), func() error {
					if first {
						first = false
						note("first")
						return errors.New("deadlock")
					}
					note("again")
					time.Sleep(c.takes)
					note("again ends")
					return nil
				}, passes)
			}()
			time.Sleep(100 * time.Millisecond)
			_ = s.again(t.Context(), func() error { note("other"); return nil }, passes)
			time.Sleep(2 * time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(did, c.want) {
				t.Errorf("the order is %q, not %q", did, c.want)
			}
		})
	}
}
