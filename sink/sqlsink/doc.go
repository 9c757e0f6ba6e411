// Package sqlsink writes into SQL databases from a topology, each record exactly once, with any driver of database/sql.
//
//	var sink = sqlsink.New("totals", db, sqlsink.Options{Dialect: sqlsink.PostgreSQL})
//
//	func store(ctx topology.Context, key string, t Total) error {
//		sink.Exec(ctx, "INSERT INTO totals (customer, sum) VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET sum = excluded.sum", key, t.Sum)
//		return nil
//	}
//
//	topology.Node("store", topology.On(totals, store), topology.Uses(sink))
//
// What nodes ask for is staged, and written just before the transaction of their records ends in Kafka: all records of a worker since its last
// commit in one transaction of the database. Which records that was for is written in the same transaction, in tables of the sink's own. So
// a record that is processed again, because Kafka's transaction was lost after the database's, or because it was delayed, parked, redriven or
// replayed, changes nothing a second time, whatever its nodes ask for then. An instance that has lost its partitions writes nothing:
// Kafka's group refuses it, or the database does.
//
// A statement that the database refuses for what the record holds (a constraint, a number out of range) makes the record a dead letter. While
// the database is away, or refuses a statement for another reason, partitions whose records want to write wait.
//
// The effect on a record is that of the whole record: what all nodes ask of a sink for it is written together or not at all.
package sqlsink
