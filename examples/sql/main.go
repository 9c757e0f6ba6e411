// Sql keeps customers' totals in a database, each order counted exactly once.
//
//	export ORDERS_DATABASE=orders.db        # SQLite, or postgres://user:password@host/name
//	go -C examples/sql run . run --brokers localhost:9092 --create-topics
//
// An order that no total can have, because it is for less than nothing, is refused by the database, and goes to order.placed.v1.dlq.
package main

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
)

// Order is an order.
type Order struct {
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

var orders = topology.Stream("order.placed.v1", codecs.JSON[Order]())

const schema = `CREATE TABLE IF NOT EXISTS totals (customer VARCHAR(200) NOT NULL PRIMARY KEY, orders BIGINT NOT NULL, cents BIGINT NOT NULL CHECK (cents >= 0))`

// The statement adds, so an order that was written twice would be counted twice.
const count = `INSERT INTO totals (customer, orders, cents) VALUES ($1, 1, $2)
	ON CONFLICT (customer) DO UPDATE SET orders = totals.orders + 1, cents = totals.cents + excluded.cents`

// totals is the topology, with a sink into a database.
func totals(sink *sqlsink.Sink) *topology.Topology {
	store := func(ctx topology.Context, _ string, o Order) error {
		sink.Exec(ctx, count, o.Customer, o.Cents)
		return nil
	}
	return topology.Define("order-totals", topology.Node("store", topology.On(orders, store), topology.Uses(sink)))
}

// open opens a database by its address.
func open(address string) (*sql.DB, sqlsink.Dialect, error) {
	if strings.HasPrefix(address, "postgres") {
		db, err := sql.Open("pgx", address)
		return db, sqlsink.PostgreSQL, err
	}
	db, err := sql.Open("sqlite", "file:"+address+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_txlock=immediate")
	return db, sqlsink.SQLite, err
}

func main() {
	address := os.Getenv("ORDERS_DATABASE")
	if address == "" {
		address = "orders.db"
	}
	db, dialect, err := open(address)
	if err != nil {
		slog.Error("open the database that ORDERS_DATABASE names", "error", err)
		os.Exit(2)
	}
	if len(os.Args) > 1 && os.Args[1] == "run" {
		if _, err := db.ExecContext(context.Background(), schema); err != nil {
			slog.Error("make table totals", "error", err)
			os.Exit(1)
		}
	}
	weir.Main(totals(sqlsink.New("totals", db, sqlsink.Options{Dialect: dialect})))
}
