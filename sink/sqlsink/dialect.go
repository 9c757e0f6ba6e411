package sqlsink

import (
	"strconv"
	"strings"

	"github.com/weirstream/weir/topology"
)

// Dialect is what the sink has to know of a database. Of SQL it uses CREATE TABLE IF NOT EXISTS, SELECT, INSERT, UPDATE, DELETE and
// SAVEPOINT with the types VARCHAR, TEXT and BIGINT.
type Dialect struct {
	// Placeholder is the n-th parameter of a statement, from 1.
	Placeholder func(n int) string
	// Begin are statements that a transaction begins with.
	Begin []string

	fails bool // a failed statement fails the transaction
}

// PostgreSQL is the dialect of PostgreSQL. A transaction of an instance that hangs is ended by the server after a minute, so that the
// one that takes its place does not wait for its locks for ever.
var PostgreSQL = Dialect{
	Placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
	Begin:       []string{"SET LOCAL idle_in_transaction_session_timeout = 60000"},
	fails:       true,
}

// SQLite is the dialect of SQLite. Open the database with a busy_timeout, since one connection writes at a time.
var SQLite = Dialect{Placeholder: func(int) string { return "?" }}

// statement puts the dialect's parameters into a statement, for each question mark.
func (d Dialect) statement(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString(d.Placeholder(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// classify says whether an error of the database is a record's fault, where the driver says so in one of two ways: by an SQLSTATE, as those
// of PostgreSQL do, or by a result code of SQLite.
func classify(err error) topology.Class {
	if topology.IsRejected(err) {
		return topology.ClassRejected
	}
	switch state := sqlState(err); {
	case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"): // data exception, integrity constraint violation
		return topology.ClassRejected
	case state != "":
		return topology.ClassWorld
	}
	switch sqliteCode(err) {
	case 18, 19, 20: // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH
		return topology.ClassRejected
	}
	return topology.ClassWorld
}
