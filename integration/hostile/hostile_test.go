//go:build integration && unix

package hostile

import (
	"testing"

	"github.com/weirstream/weir/internal/kafkatest"
)

// TestHostile tries every kind. Records, networks, topics and operators have a cluster each, side by side. When a kind has failed the
// next one begins with a new cluster and instance, so that one failure does not hide others.
//
//	go test -tags integration -count 1 -run 'TestHostile/record/a_poison_storm' ./integration/hostile
//
// Mutations seen to fail it: the job drops no redelivered order (batches that compress well); the sink believes a topic's first
// max.message.bytes for ever (an output that takes 100 bytes); a fetch that is denied ends the instance (READ denied on the
// input); records are logged one by one (a poison storm); batches are decoded without bounds (a record of 1 GiB in 115 KB).
func TestHostile(t *testing.T) {
	kafkatest.Require(t)
	for _, of := range worlds() {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel() // mostly it waits
			tryAll(t, of.kinds)
		})
	}
}

func tryAll(t *testing.T, kinds []Kind) {
	var w *world
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			if w == nil {
				began, err := newWorld(t)
				if err != nil {
					t.Fatal(err)
				}
				w = began
				w.settle(t, 3*settleBound)
			}
			defer func() {
				if t.Failed() {
					t.Logf("logs are kept in %s and %s; the instance's ends with\n%s", w.dir, w.cluster.Dir(), w.inst.tail(12))
					if err := w.close(true); err != nil {
						t.Error(err)
					}
					w = nil
				}
			}()
			k.Try(t, w)
			if t.Failed() {
				return
			}
			within := k.Within
			if within == 0 {
				within = settleBound
			}
			w.settle(t, within)
		})
	}
	if w != nil {
		if err := w.close(false); err != nil {
			t.Error(err)
		}
	}
}
