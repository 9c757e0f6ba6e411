package gateway

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Of refusals with 429 a client has one line in ten seconds at most, and the lines count all refusals but those since the last line. An
// overload has lines of its own, and what is refused for want of a permission has a line each.
//
// Mutations seen to fail it: a line for each 429; the count kept after a line; one count for all clients.
func TestRefusalsAreAuditedBySamples(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	a := newAudit(zap.New(core))
	none := func() []zap.Field { return nil }
	for range 3 {
		a.ended(403, "shop", none)
		a.ended(200, "shop", none)
	}
	if n := seen.Len(); n != 3 {
		t.Errorf("%d lines of refusals with 403, want 3", n)
	}
	seen.TakeAll()
	now := time.Unix(1_900_000_000, 0)
	lines := ""
	for i := range 25 {
		at := now.Add(time.Duration(i) * time.Second)
		lines += fmt.Sprint(a.count("shop", at), a.count("", at), " ")
		if i == 12 {
			lines += fmt.Sprint(a.count("late", at), " ")
		}
	}
	want := "1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 10 10 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 10 10 0 0 0 0 0 0 0 0 "
	if lines != want {
		t.Errorf("lines of\n%s, want\n%s", lines, want)
	}
	for range 5 {
		a.overloaded(now.Add(time.Hour))
		a.ended(429, "other", none)
	}
	logged := seen.TakeAll()
	if len(logged) != 2 || logged[0].ContextMap()["refused"] != int64(5) {
		t.Errorf("%v", logged)
	}
}
