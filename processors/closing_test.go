package processors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
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

// Stores of a copy go to the restorer of their task, and are closed where it does not come: when the task is given up before, and at the end. One of
// a topic that was deleted since is closed, so that opening it says so.
//
// Mutations, each seen to fail: take without the look at the topic; drop that closes nothing; end that closes nothing.
func TestStoresThatAreHandedOverHaveAnOwnerOrAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, one, other := newClosing(), taskID{partition: 1}, taskID{partition: 2}
		log := func(name, topicID string) changelog {
			return changelog{TopicPartition: kafka.TopicPartition{Topic: name, Partition: 1}, info: kafka.TopicInfo{ID: topicID}}
		}
		closed := map[string]bool{}
		store := func(name string) *taskStore {
			return &taskStore{Any: closes{name: name, closed: closed}, decl: &plan.Store{Name: name}, changelog: log(name, "").TopicPartition, topicID: "first"}
		}
		c.hand(one, handed{store("a"), store("b"), store("c")})
		c.hand(other, handed{store("d")})
		taken, err := c.take(t.Context(), one)
		if err != nil || len(taken) != 3 {
			t.Fatalf("%v, %v", taken, err)
		}
		if again, _ := c.take(t.Context(), one); again != nil {
			t.Fatalf("handed over twice: %v", again)
		}
		if s := taken.take(log("b", "first")); s == nil || s.(closes).name != "b" || closed["b"] {
			t.Fatalf("not the store of b: %v", s)
		}
		if s := taken.take(log("a", "second")); s != nil || !closed["a"] {
			t.Fatalf("a store of a topic that was deleted is used: %v", s)
		}
		if s := taken.take(log("x", "first")); s != nil {
			t.Fatalf("there is no store of x: %v", s)
		}
		c.drop(one, zap.NewNop(), taken)
		if err := c.await(t.Context(), one); err != nil || !closed["c"] || closed["b"] {
			t.Fatalf("%v, closed: %v", err, closed)
		}
		c.end(zap.NewNop())
		if !closed["d"] || closed["b"] {
			t.Fatalf("closed at the end: %v", closed)
		}
	})
}

// closes notes that it was closed.
type closes struct {
	keyed.Any
	name   string
	closed map[string]bool
}

func (c closes) Close() error {
	c.closed[c.name] = true
	return nil
}
