//go:build integration

package main

import (
	"context"
	"database/sql"
	"testing"

	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
)

// TestADeadlockIsDoneAgainQuietly: the sink and somebody else have two rows in opposite orders, and the database has the sink give way.
//
// Mutation seen to fail it: a deadlock is no error that passes.
func TestADeadlockIsDoneAgainQuietly(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		x := newTexts(t, r, sqlsink.Options{})
		x.exec("INSERT INTO texts (text, id, n) VALUES ('one', 1, 1), ('two', 1, 1)")
		other, err := x.db.Begin()
		r.must(err)
		defer func() { _ = other.Rollback() }()
		take := func(ctx context.Context, tx *sql.Tx, text string) error {
			_, err := tx.ExecContext(ctx, "UPDATE texts SET n = n + 1 WHERE text = $1", text)
			return err
		}
		_, err = other.Exec("SET LOCAL deadlock_timeout = '1min'") // who finds it gives way
		r.must(err)
		r.must(take(t.Context(), other, "two"))
		tries, ended := 0, make(chan error, 1)
		write := func(ctx topology.Context, _, text string) error {
			x.sink.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
				if err := take(ctx, tx, "one"); err != nil {
					return err
				}
				if tries++; tries == 1 {
					go func() {
						err := take(context.WithoutCancel(ctx), other, "one")
						if err == nil {
							err = other.Commit()
						}
						ended <- err
					}()
					for waits := 0; waits == 0; {
						if err := x.db.QueryRow("SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waits); err != nil {
							return err
						}
					}
				}
				return take(ctx, tx, "two")
			})
			return nil
		}
		x.write(0, "k", "a")
		stop := x.runs(write)
		x.readAll("texts", textNames)
		said := x.said() // before it stops: where the machine stands still, that is not in order
		stop()
		r.must(<-ended)
		if tries < 2 {
			t.Error("there was no deadlock")
		}
		if got := x.rows("SELECT text, n FROM texts ORDER BY text"); got != "one 3 \ntwo 3 \n" {
			t.Errorf("the database holds %q", got)
		}
		if said != "" {
			t.Errorf("the log says %s", said)
		}
	})
}
