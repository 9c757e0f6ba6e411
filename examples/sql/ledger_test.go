package main

import (
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
)

// ledger is a topology whose records fail for a while, but for those of two customers: some are delayed, and become dead letters then, and later ones of their customers are
// parked. Each order is a line with a number, so that what is written twice shows, and what is in another order.
func ledger(sink *sqlsink.Sink) *topology.Topology {
	seen := topology.Store("seen", codecs.Int64())
	write := func(ctx topology.Context, customer string, o Order) error {
		sink.Exec(ctx, line, customer, strconv.FormatInt(o.Cents, 10))
		n, err := seen.Get(ctx, customer)
		if err != nil {
			return err
		}
		seen.Set(ctx, customer, n+1)
		if _, err := os.Stat(os.Getenv(badVariable)); err == nil && o.Cents%7 == 3 && customer > "c1" {
			return errors.New("told to fail")
		}
		return nil
	}
	return topology.Define("order-ledger", topology.Node("write", topology.On(orders, write), topology.Uses(sink, seen),
		topology.Retry(topology.Backoff{Attempts: 1}), topology.RetryLater(100*time.Millisecond), topology.Parking(true)))
}

const ledgerSchema = `CREATE TABLE IF NOT EXISTS ledger (customer VARCHAR(200) NOT NULL PRIMARY KEY, entries TEXT NOT NULL)`

const line = `INSERT INTO ledger (customer, entries) VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET entries = ledger.entries || ',' || excluded.entries`

// lines is a topology with a constraint that is deferred, which some orders break.
func lines(sink *sqlsink.Sink) *topology.Topology {
	write := func(ctx topology.Context, customer string, o Order) error {
		kind := 1
		if breaks(o) {
			kind = 2
		}
		sink.Exec(ctx, "INSERT INTO lines (customer, cents, kind) VALUES ($1, $2, $3)", customer, o.Cents, kind)
		return nil
	}
	return topology.Define("order-lines", topology.Node("write", topology.On(orders, write), topology.Uses(sink)))
}

func breaks(o Order) bool { return o.Cents%40 == 13 }

const (
	kindsSchema = `CREATE TABLE kinds (id BIGINT NOT NULL PRIMARY KEY)`
	kindsRow    = `INSERT INTO kinds VALUES (1)`
	linesSchema = `CREATE TABLE lines (customer VARCHAR(200) NOT NULL, cents BIGINT NOT NULL, kind BIGINT NOT NULL REFERENCES kinds(id) DEFERRABLE INITIALLY DEFERRED)`
)
