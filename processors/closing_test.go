package processors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// TestStoresAreOpenedWhenTheyAreClosed fails when await returns at once, and when a second closing does not wait for the first.
func TestStoresAreOpenedWhenTheyAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, one, other := newClosing(), taskID{partition: 1}, taskID{partition: 2}
		begun := time.Now()
		first := 0 * time.Second
		c.begin(one, zap.NewNop(), func() error { time.Sleep(time.Minute); first = time.Since(begun); return errors.New("a full disk") })
		c.begin(one, zap.NewNop(), func() error { time.Sleep(time.Second); return nil })
		if took := time.Since(begun); took != 0 {
			t.Fatalf("who gives a task up waited %v", took)
		}
		if err := c.await(t.Context(), other); err != nil || time.Since(begun) != 0 {
			t.Fatalf("another task waited %v, %v", time.Since(begun), err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.await(short, one); !errors.Is(err, context.DeadlineExceeded) || len(c.under()) != 1 {
			t.Fatalf("%v, %v", err, c.under())
		}
		if err := c.await(t.Context(), one); err != nil || first != time.Minute || time.Since(begun) != 61*time.Second {
			t.Fatalf("%v: opened after %v, the first was closed after %v", err, time.Since(begun), first)
		}
		if left := c.under(); left != nil {
			t.Fatalf("still closing: %v", left)
		}
	})
}
