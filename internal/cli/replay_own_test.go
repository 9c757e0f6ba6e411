package cli

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// A rebuilt state that holds the same is proven to, though the ids that a node knows are others: after a record with another one the first time round, for instance. A store of
// the authors' that differs decides all the same, and so does the sequence of a DedupSequence, which is theirs.
//
// Mutations, each seen to fail it: judge that takes every store for one that decides; Own that is true of every store.
func TestStoresOfWeirsOwnDecideNothing(t *testing.T) {
	store := topology.Store("tally", codecs.Int64())
	build := func(id func(v string) string, by int64) *topology.Topology {
		return topology.Define("tallies", topology.Node("count", topology.On(topology.Stream(tallied, codecs.String()), func(ctx topology.Context, key, v string) error {
			n, err := store.Get(ctx, v)
			if err == nil {
				store.Set(ctx, v, n+by)
			}
			return err
		}), topology.Uses(store), topology.Dedup(func(_ topology.Context, _ string, v string) (string, error) { return id(v), nil }, time.Hour), topology.Parking(true), topology.DeadLetter(tallyLetters)))
	}
	for name, c := range map[string]struct {
		id      func(string) string
		by      int64
		changed []string
		want    bool
	}{
		"the same":   {func(v string) string { return v }, 1, nil, true},
		"other ids":  {func(v string) string { return "id-" + v }, 1, []string{"tallies-count-ids-changelog"}, true},
		"other sums": {func(v string) string { return v }, 2, []string{tallyLog}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newCounter(t)
			d.send("a", "b", "a", "c")
			d.liveOf(build(func(v string) string { return v }, 1))
			var r struct {
				Unchanged  *bool `json:"downstream_unchanged"`
				Downstream []struct {
					Before struct {
						Topic string
						Own   bool
					}
					Unchanged bool
				}
			}
			out, code := execute([]string{"replay", "run", d.file("again", "state: reset\n"), "--state-dir", "state", "--log-level", "error", "--json", "--brokers", d.addr}, build(c.id, c.by))
			d.data(out, &r)
			var changed, own []string
			for _, one := range r.Downstream {
				if !one.Unchanged {
					changed = append(changed, one.Before.Topic)
				}
				if one.Before.Own {
					own = append(own, one.Before.Topic)
				}
			}
			slices.Sort(own)
			if code != 0 || r.Unchanged == nil || *r.Unchanged != c.want || fmt.Sprint(changed) != fmt.Sprint(c.changed) || len(own) != 2 || slices.Contains(own, tallyLog) {
				t.Errorf("exit %d, changed %v, own %v: %s", code, changed, own, out)
			}
		})
	}
}
