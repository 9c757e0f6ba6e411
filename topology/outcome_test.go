package topology_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// TestErrorsAreClassifiedThroughWrapping says what the engine makes of an error that a node returned, however it is
// wrapped. Seen to fail: type assertions instead of unwrapping; Dropped by errors.As, which sees into joined errors;
// IsRejected without its IsFatal.
func TestErrorsAreClassifiedThroughWrapping(t *testing.T) {
	var ctx topology.Context
	plain := errors.New("database is down")
	drop := ctx.Drop(topology.Duplicate)
	const (
		failed = iota
		filtered
		duplicate
		rejected
		fatal
	)
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"plain", plain, failed},
		{"filtered", ctx.Drop(topology.Filtered), filtered},
		{"duplicate", drop, duplicate},
		{"wrapped drop", fmt.Errorf("order 7: %w", drop), duplicate},
		{"drop for an unknown reason", ctx.Drop(7), failed},
		{"drop for a reason below 0", ctx.Drop(-1), failed},
		{"drop joined with a failure", errors.Join(drop, plain), failed},
		{"drop and failure in one message", fmt.Errorf("%w, %w", drop, plain), failed},
		{"rejected", topology.Reject(plain), rejected},
		{"rejected for nothing", topology.Reject(nil), rejected},
		{"wrapped rejected", fmt.Errorf("a: %w", fmt.Errorf("b: %w", topology.Reject(plain))), rejected},
		{"joined rejected", errors.Join(plain, topology.Reject(plain)), rejected},
		{"rejected drop", topology.Reject(drop), rejected},
		{"undecodable", &topology.DecodeError{Stream: "a.b.v1", Err: plain}, rejected},
		{"wrapped undecodable", fmt.Errorf("a: %w", &topology.DecodeError{Stream: "a.b.v1", Err: plain}), rejected},
		{"fatal", topology.Fatal(plain), fatal},
		{"fatal for nothing", topology.Fatal(nil), fatal},
		{"wrapped fatal", fmt.Errorf("a: %w", topology.Fatal(plain)), fatal},
		{"joined fatal", errors.Join(plain, topology.Fatal(plain)), fatal},
		{"fatal rejected", topology.Fatal(topology.Reject(plain)), fatal},
		{"rejected fatal", topology.Reject(topology.Fatal(plain)), fatal},
	} {
		got := failed
		reason, dropped := topology.Dropped(c.err)
		isRejected, isFatal := topology.IsRejected(c.err), topology.IsFatal(c.err)
		switch {
		case isFatal:
			got = fatal
		case isRejected:
			got = rejected
		case dropped && reason == topology.Duplicate:
			got = duplicate
		case dropped:
			got = filtered
		}
		if got != c.want || isFatal && isRejected {
			t.Errorf("%s: %d, want %d (fatal %v, rejected %v, dropped %v)", c.name, got, c.want, isFatal, isRejected, dropped)
		}
		if c.err.Error() == "" {
			t.Errorf("%s says nothing", c.name)
		}
		if errors.Is(c.err, plain) != strings.Contains(c.err.Error(), plain.Error()) {
			t.Errorf("%s hides its cause: %v", c.name, c.err)
		}
	}
	for _, of := range []error{nil} {
		if _, ok := topology.Dropped(of); ok || topology.IsRejected(of) || topology.IsFatal(of) {
			t.Error("nil is a failure")
		}
	}
}

// TestWordsNeverPanic prints values that no constant stands for. Seen to fail: an array indexed by the value.
func TestWordsNeverPanic(t *testing.T) {
	for i := -3; i < 6; i++ {
		if topology.DropReason(i).String() == "" || plan.Role(i).String() == "" {
			t.Errorf("%d has no word", i)
		}
	}
}
