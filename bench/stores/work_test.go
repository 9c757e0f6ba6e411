//go:build unix

package main

import "testing"

// TestTheWorkIsTheSame runs the work on a few keys with each engine: a figure needs every key and every record to be there after a start.
// Mutation: a database on Pebble that leaves out what was gathered when it is closed.
func TestTheWorkIsTheSame(t *testing.T) {
	for _, engine := range engines {
		for _, part := range []string{"totals", "restore"} {
			r := &run{config: config{Keys: 2000, Updates: 3000, Stores: 2, CacheBytes: 1 << 20, Commit: 100, Dir: t.TempDir()}, engine: engine}
			if err := map[string]func() error{"totals": r.totals, "restore": r.restore}[part](); err != nil {
				t.Errorf("%s, %s: %v", engine, part, err)
			}
			for _, f := range r.found {
				if f.Rate <= 0 || f.Disk <= 0 {
					t.Errorf("%s, %s: %+v", engine, part, f)
				}
			}
		}
	}
}
