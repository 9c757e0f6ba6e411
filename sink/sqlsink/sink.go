package sqlsink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// Options are how a [Sink] works with its database.
type Options struct {
	Dialect Dialect // of the database; required: PostgreSQL, SQLite, or one of your own
	// Tables is the name of the sink's own tables, Tables_inputs and Tables_offsets, which are made when they are missing. It may have a
	// schema before it. Sinks of one database may share them. Default "weir".
	Tables string
	// Timeout bounds a transaction in the database. Keep it well below half of transaction.timeout.ms, since one that fails, as of a deadlock,
	// is done again. Default 10s.
	Timeout time.Duration
	// Classify says whether an error of the database is the record's fault: [topology.ClassRejected] makes it a dead letter, anything else
	// has its partition wait until the statement passes. It is asked of errors of COMMIT too, as those of constraints that are deferred. Default: by SQLSTATE, 22 and 23 are the record's, or by SQLite's result codes,
	// where constraints, types that do not match and values that are too large are.
	Classify func(error) topology.Class
}

// Sink writes into a database. [New] makes it; nodes list it in [topology.Uses]. It may be used by several nodes and topologies, on any
// goroutines.
type Sink struct {
	*handle
	name string
	db   *sql.DB
	opts Options
	sql  statements

	alone chan struct{} // has an element while a transaction is done again: see turn
}

type handle = topology.OutsideHandle

// statements are those for the sink's own tables.
type statements struct{ inputs, offsets, raise, first, known, rows, lock, save, gone, come, forget, forgetRows string }

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

// New makes a sink. The name is part of what the database knows of records: a sink of another name writes for all of them again, and so
// does one with other Tables. The database is the caller's to open and to close. New panics where Options have no Dialect, or Tables is no name.
func New(name string, db *sql.DB, o Options) *Sink {
	o.Tables = cmp.Or(o.Tables, "weir")
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	if o.Classify == nil {
		o.Classify = classify
	}
	switch {
	case name == "" || db == nil:
		panic("sqlsink.New: a sink has a name and a database")
	case o.Dialect.Placeholder == nil:
		panic("sqlsink.New: sink " + name + " has no Dialect: give it sqlsink.PostgreSQL, sqlsink.SQLite or one of your own")
	case !tableName.MatchString(o.Tables):
		panic(fmt.Sprintf("sqlsink.New: sink %s has Tables %q: letters, digits and underscores make a name, with a schema and a dot before it", name, o.Tables))
	}
	s := &Sink{name: name, db: db, opts: o, sql: o.Dialect.statements(o.Tables), alone: make(chan struct{}, 1)}
	s.handle = topology.Outside(plan.Outside{Name: name, Kind: "database", Open: s.open, Commit: s.commit})
	return s
}

func (d Dialect) statements(tables string) statements {
	inputs, rows := tables+"_inputs", tables+"_offsets"
	return statements{
		inputs: "CREATE TABLE IF NOT EXISTS " + inputs + ` (id VARCHAR(64) NOT NULL PRIMARY KEY, topology VARCHAR(255) NOT NULL, sink VARCHAR(255) NOT NULL,
topic VARCHAR(255) NOT NULL, topic_id VARCHAR(64) NOT NULL, partition_number BIGINT NOT NULL, epoch BIGINT NOT NULL, owner VARCHAR(255) NOT NULL,
commits BIGINT NOT NULL, recent TEXT NOT NULL)`,
		offsets:    "CREATE TABLE IF NOT EXISTS " + rows + ` (input VARCHAR(64) NOT NULL, first_offset BIGINT NOT NULL, next_offset BIGINT NOT NULL, PRIMARY KEY (input, first_offset))`,
		raise:      d.statement("UPDATE " + inputs + " SET epoch = epoch + 1, owner = ? WHERE id = ?"),
		first:      d.statement("INSERT INTO " + inputs + " (id, topology, sink, topic, topic_id, partition_number, epoch, owner, commits, recent) VALUES (?, ?, ?, ?, ?, ?, 1, ?, 0, '')"),
		known:      d.statement("SELECT epoch, recent FROM " + inputs + " WHERE id = ?"),
		rows:       d.statement("SELECT first_offset, next_offset FROM " + rows + " WHERE input = ?"),
		lock:       d.statement("UPDATE " + inputs + " SET commits = commits + 1 WHERE id = ? AND epoch = ?"),
		save:       d.statement("UPDATE " + inputs + " SET recent = ? WHERE id = ? AND epoch = ?"),
		gone:       d.statement("DELETE FROM " + rows + " WHERE input = ? AND first_offset = ?"),
		come:       d.statement("INSERT INTO " + rows + " (input, first_offset, next_offset) VALUES (?, ?, ?)"),
		forget:     d.statement("UPDATE " + inputs + " SET epoch = epoch + 1, owner = 'reset', recent = '' WHERE topology = ? AND sink = ?"),
		forgetRows: d.statement("DELETE FROM " + rows + " WHERE input IN (SELECT id FROM " + inputs + " WHERE topology = ? AND sink = ?)"),
	}
}

// Name is the sink's name.
func (s *Sink) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// Exec has a statement done for the record of ctx. It is staged: it is executed when the transaction of the record ends, after those of
// the records before it, and not at all when the record fails or is dropped. Bytes among the arguments are copied.
func (s *Sink) Exec(ctx topology.Context, query string, args ...any) {
	for i, a := range args {
		switch v := a.(type) {
		case []byte:
			args = slices.Clone(args)
			args[i] = slices.Clone(v)
		case sql.RawBytes:
			args = slices.Clone(args)
			args[i] = slices.Clone([]byte(v))
		}
	}
	s.stage(ctx, &task{query: query, args: args})
}

// Do is Exec for what takes more than one statement, or a look into the database. fn may be called several times, on any goroutine, and must
// leave no traces but in tx: what ctx and arguments of the node refer to is gone by then. It must return the errors of its statements, and
// leave Commit and Rollback to the sink. An error that [topology.Reject] made is the record's fault whatever Classify says; so are a panic and
// runtime.Goexit, an error that fn ignores and the database does not, and an end of tx.
func (s *Sink) Do(ctx topology.Context, fn func(ctx context.Context, tx *sql.Tx) error) {
	s.stage(ctx, &task{fn: fn})
}

func (s *Sink) stage(ctx topology.Context, t *task) {
	var h *handle
	if s != nil {
		h = s.handle
	}
	topology.StageOutside(ctx, h, t)
}

// task is what a node asks for.
type task struct {
	query string
	args  []any
	fn    func(context.Context, *sql.Tx) error
}

// Reset forgets which records a topology's sink has written for, together with what clear does to the tables: records that are read again
// are written again. It is for a rebuild from the inputs, when the offsets are reset with the state; topology is the consumer group, the
// topology's name with its topic.prefix. An instance that runs meanwhile begins again from what is known then.
func (s *Sink) Reset(ctx context.Context, topology string, clear func(ctx context.Context, tx *sql.Tx) error) error {
	return s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, s.sql.forget, topology, s.name); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.sql.forgetRows, topology, s.name); err != nil {
			return err
		}
		if clear == nil {
			return nil
		}
		return clear(ctx, tx)
	})
}

// within does something in a transaction of the database. After an error nobody knows whether it is committed, unless f returned it.
func (s *Sink) within(ctx context.Context, f func(context.Context, *sql.Tx) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	defer func() {
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = &slowError{err, s.opts.Timeout}
		}
	}()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	for _, text := range s.opts.Dialect.Begin {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	if err := f(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// commitError is what the database says to COMMIT.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// slowError says that a transaction of the database took longer than the sink's Timeout.
type slowError struct {
	err     error
	timeout time.Duration
}

func (e *slowError) Error() string {
	return fmt.Sprintf("not done within the sink's Timeout of %v: %v", e.timeout, e.err)
}
func (e *slowError) Unwrap() error        { return e.err }
func (e *slowError) Is(target error) bool { return target == plan.ErrOutsideSlow }

// wait is how long records wait after the database has refused something that is no record's fault.
var wait = backoff.Backoff{First: time.Second, Max: 30 * time.Second}
