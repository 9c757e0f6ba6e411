//go:build integration && unix

package identity

import (
	"fmt"
	"testing"
)

// Records that are written into a new partition before the instance knows of it are read, whatever auto.offset.reset says,
// and also when the partition was added while nothing ran. What there was before the group's first start is left to the
// setting.
//
// Mutation: added finds nothing.
func TestAnAddedPartitionIsReadFromItsStart(t *testing.T) {
	const before, early, late = 40, 60, 20
	for _, policy := range []string{"latest", "none"} {
		for _, running := range []bool{true, false} {
			state := map[bool]string{true: "running", false: "stopped"}[running]
			t.Run(fmt.Sprint(policy, " ", state), func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				p.store = ""
				for _, topic := range []string{p.in(), p.name + ".out.v1"} {
					p.create(topic, nil)
				}
				p.send(before)
				l := p.start("--auto.offset.reset", "latest")
				p.done()
				if policy != "latest" {
					l.stop()
					l = p.start("--auto.offset.reset", policy)
				}
				p.send(before)
				p.done()
				if !running {
					l.stop()
				}
				out := p.parts
				p.add(4)
				p.send(early)
				if !running {
					p.start("--auto.offset.reset", policy)
				}
				p.done()
				p.send(late)
				p.done()
				p.last.stop()
				p.parts = out
				if n := len(p.read(p.name + ".out.v1")); n != before+early+late {
					t.Errorf("%d records were passed on, want %d", n, before+early+late)
				}
			})
		}
	}
}
