package sqlsink

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// repeats is how often a transaction of the database is done once more at once, before anybody hears of what it failed with.
const repeats = 8

// repeated does a transaction of the database again where that helps: after a deadlock, or where others have changed what it has read.
func (s *Sink) repeated(ctx context.Context, do func() error) error {
	return s.again(ctx, do, func(err error) bool {
		var failed *recordError
		if errors.As(err, &failed) {
			return failed.is&transient != 0
		}
		return passing(err)
	})
}

// again does something until it passes, or fails of what does not pass by itself, or has failed too often or for too long.
func (s *Sink) again(ctx context.Context, do func() error, passes func(error) bool) error {
	for began, n := time.Now(), 0; ; n++ {
		end := s.turn(ctx, n > 0)
		err := do()
		end()
		if err == nil || n == repeats || ctx.Err() != nil || time.Since(began) > s.opts.Timeout/2 || !passes(err) {
			return err
		}
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(5*time.Millisecond) << n))) // two that met do not meet again
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// turn is called before a transaction of the database, and end after it. While one is done again no other of this sink begins, or those of its workers would meet
// again and again. Whoever has waited for too long goes on all the same.
func (s *Sink) turn(ctx context.Context, again bool) (end func()) {
	nothing := func() {}
	select {
	case s.alone <- struct{}{}:
	default:
		long := time.NewTimer(s.opts.Timeout / 2)
		defer long.Stop()
		select {
		case s.alone <- struct{}{}:
		case <-long.C:
			return nothing
		case <-ctx.Done():
			return nothing
		}
	}
	if again {
		return func() { <-s.alone }
	}
	<-s.alone
	return nothing
}

// sqlState and sqliteCode are what a database says of an error, "" and 0 where it says nothing.
func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}

func sqliteCode(err error) int {
	var code interface{ Code() int }
	if errors.As(err, &code) {
		return code.Code() & 0xff
	}
	return 0
}

// passing says whether a transaction of the database was taken back for what others did at the same time.
func passing(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01": // serialization failure, deadlock
		return true
	case "":
		return sqliteCode(err) == 5 || sqliteCode(err) == 6 // SQLITE_BUSY, SQLITE_LOCKED
	}
	return false
}

// racing says whether tables, or an input's row, are made by somebody else at the same time: CREATE TABLE IF NOT EXISTS is no protection from that.
func racing(err error) bool {
	switch sqlState(err) {
	case "42P01", "42P07", "42710", "23505", "XX000": // no table, a table or a type twice, a key twice (in a catalogue, too), a tuple updated twice
		return true
	}
	return passing(err)
}

// failedState says whether a statement failed because its transaction has failed, or ended, before.
func failedState(err error) bool {
	state := sqlState(err)
	return state == "25P02" || strings.HasPrefix(state, "3B") || state == "" && sqliteCode(err) == 1
}
