package processors

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/sink/sqlsink"
)

var simOutsideSeeds = flag.Int("sim.outside", defaultOutsideSeeds, "how many seeds TestSimulationOfADatabase runs")

// In some worlds the job writes each total into a database too, through sqlsink, which is the real one. The database fails, is away, loses answers
// and is slow; processes that are killed reach it no more, and those that only stand still, or are cut off from Kafka, do. In the end it holds the
// line of each order once, in the order of its customer.

// simDatabase is the database: the sink's own tables, and lines.
type simDatabase struct {
	busy chan struct{} // has one element: transactions come one after the other

	mu     sync.Mutex
	rng    *rand.Rand
	faulty bool
	away   time.Time // until then
	now    simTables
	defect simDefect
	seen   simDatabaseEvidence
}

// simDatabaseEvidence is what a database has gone through.
type simDatabaseEvidence struct{ lines, failed, lost, fenced, gaps int }

type simTables struct {
	inputs map[string]simRow
	spans  map[string]map[int64]int64
	lines  []simWritten
}

type simRow struct {
	epoch  int64
	recent string
}

func newSimDatabase(seed uint64) *simDatabase {
	l := &simDatabase{busy: make(chan struct{}, 1), rng: rand.New(rand.NewPCG(seed, 14)), now: simTables{map[string]simRow{}, map[string]map[int64]int64{}, nil}}
	l.busy <- struct{}{}
	return l
}

func (t simTables) clone() simTables {
	c := simTables{maps.Clone(t.inputs), map[string]map[int64]int64{}, slices.Clip(t.lines)}
	for id, spans := range t.spans {
		c.spans[id] = maps.Clone(spans)
	}
	return c
}

var (
	errDatabaseAway = errors.New("the database is away")
	errDatabaseLost = errors.New("the connection was lost")
)

// luck draws what goes wrong: true with a chance of one in n.
func (l *simDatabase) luck(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faulty && l.rng.IntN(n) == 0
}

func (l *simDatabase) setFaulty(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faulty, l.away = on, time.Time{}
}

// simDoor is the way of one process to the database. It implements driver.Connector.
type simDoor struct {
	*simDatabase
	shut    atomic.Bool       // the process is dead
	process *simkafka.Process // nil: it is never cut off from Kafka by the way
}

func (d *simDoor) Driver() driver.Driver                        { return nil }
func (d *simDoor) Connect(context.Context) (driver.Conn, error) { return &simConn{door: d}, nil }
func (c *simConn) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (c *simConn) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (c *simConn) Close() error                                 { return nil }

// simConn is a connection. It holds the database while a transaction is open.
type simConn struct {
	door  *simDoor
	tx    *simTables
	saved []simTables // at the savepoints
}

// BeginTx implements driver.ConnBeginTx.
func (c *simConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	l := c.door.simDatabase
	if l.luck(60) {
		l.mu.Lock()
		l.away = time.Now().Add(time.Duration(l.rng.IntN(20)) * time.Second)
		l.mu.Unlock()
	}
	if l.luck(20) { // it takes longer than a session, in which somebody else has the partitions where Kafka does not hear of the process either
		if c.door.process != nil && l.luck(2) {
			c.door.process.CutOff()
			time.AfterFunc(20*time.Second, c.door.process.Reconnect)
		}
		select {
		case <-time.After(15 * time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case <-l.busy:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.door.shut.Load() || time.Now().Before(l.away) {
		l.busy <- struct{}{}
		return nil, errDatabaseAway
	}
	tables := l.now.clone()
	c.tx, c.saved = &tables, nil
	return c, nil
}

// Commit implements driver.Tx.
func (c *simConn) Commit() error {
	l := c.door.simDatabase
	before, after := l.luck(20), l.luck(20)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { c.tx = nil; l.busy <- struct{}{} }()
	if before || c.door.shut.Load() {
		l.seen.failed++
		if l.defect == splitsCommits { // the offsets stay, and the lines do not
			c.tx.lines = l.now.lines
			l.now = *c.tx
		}
		return errDatabaseLost
	}
	l.now = *c.tx
	if after {
		l.seen.lost++
		return errDatabaseLost
	}
	return nil
}

// Rollback implements driver.Tx.
func (c *simConn) Rollback() error {
	c.tx = nil
	c.door.busy <- struct{}{}
	return nil
}

// ExecContext implements driver.ExecerContext, for the statements of the sink and of the job.
func (c *simConn) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	l := c.door.simDatabase
	if c.door.shut.Load() || l.luck(200) {
		return nil, errDatabaseLost
	}
	if c.tx == nil {
		return driver.RowsAffected(0), nil // a table is made
	}
	text := func(i int) string { return args[i].Value.(string) }
	number := func(i int) int64 { return args[i].Value.(int64) }
	t := c.tx
	switch {
	case strings.HasPrefix(query, "SAVEPOINT"):
		c.saved = append(c.saved, t.clone())
	case strings.HasPrefix(query, "RELEASE"):
		c.saved = c.saved[:len(c.saved)-1]
	case strings.HasPrefix(query, "ROLLBACK TO"):
		*t = c.saved[len(c.saved)-1].clone()
	case strings.HasPrefix(query, "UPDATE weir_inputs SET epoch"):
		in, ok := t.inputs[text(1)]
		if !ok {
			return driver.RowsAffected(0), nil
		}
		in.epoch++
		t.inputs[text(1)] = in
	case strings.HasPrefix(query, "INSERT INTO weir_inputs"):
		t.inputs[text(0)] = simRow{epoch: 1}
	case strings.HasPrefix(query, "UPDATE weir_inputs SET commits"):
		in := t.inputs[text(0)]
		if in.epoch != number(1) {
			l.mu.Lock()
			l.seen.fenced++
			l.mu.Unlock()
			if l.defect != ignoresEpochs {
				return driver.RowsAffected(0), nil
			}
		}
	case strings.HasPrefix(query, "UPDATE weir_inputs SET recent"):
		in := t.inputs[text(1)]
		in.recent = text(0)
		t.inputs[text(1)] = in
	case strings.HasPrefix(query, "INSERT INTO weir_offsets"):
		if t.spans[text(0)] == nil {
			t.spans[text(0)] = map[int64]int64{}
		}
		t.spans[text(0)][number(1)] = number(2)
		l.mu.Lock()
		l.seen.gaps++
		l.mu.Unlock()
	case strings.HasPrefix(query, "DELETE FROM weir_offsets"):
		delete(t.spans[text(0)], number(1))
	case strings.HasPrefix(query, "INSERT INTO lines"):
		t.lines = append(t.lines, simWritten{text(0), text(1)})
	default:
		return nil, errors.New("what is this: " + query)
	}
	return driver.RowsAffected(1), nil
}

// QueryContext implements driver.QueryerContext.
func (c *simConn) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	l, id := c.door.simDatabase, args[0].Value.(string)
	if c.door.shut.Load() || l.luck(100) {
		return nil, errDatabaseLost
	}
	if strings.HasPrefix(query, "SELECT epoch") {
		in := c.tx.inputs[id]
		if l.defect == forgetsOffsets {
			in.recent = ""
		}
		return &simRows{columns: []string{"epoch", "recent"}, rows: [][]driver.Value{{in.epoch, in.recent}}}, nil
	}
	r := &simRows{columns: []string{"first_offset", "next_offset"}}
	for first, next := range c.tx.spans[id] {
		r.rows = append(r.rows, []driver.Value{first, next})
	}
	return r, nil
}

type simRows struct {
	columns []string
	rows    [][]driver.Value
}

func (r *simRows) Columns() []string { return r.columns }
func (r *simRows) Close() error      { return nil }
func (r *simRows) Next(into []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(into, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}

// simSink is what a life writes into the database through.
type simSink struct {
	*sqlsink.Sink
	db   *sql.DB
	door *simDoor
}

// sink is that of a life that begins, nil in a world without a database.
func (w *simWorld) sink(of *simkafka.Process) *simSink {
	if w.database == nil {
		return nil
	}
	door := &simDoor{simDatabase: w.database}
	if w.guarantee == ExactlyOnce { // else a zombie's changes can come after newer ones: state is not exact then
		door.process = of
	}
	db := sql.OpenDB(door)
	return &simSink{sqlsink.New("lines", db, sqlsink.Options{Dialect: sqlsink.SQLite, Timeout: 20 * time.Second}), db, door}
}

// runOutside is a run in a world with a database, half of them with delays.
func (w *simWorld) runOutside() {
	w.operators = nil
	if w.seed%2 == 1 {
		w.delays()
	}
	w.database = newSimDatabase(w.seed)
	w.database.defect = w.defect
	w.database.setFaulty(true)
	w.run()
}

// sameLines compares the database with the models.
func (w *simWorld) sameLines() {
	if w.database == nil {
		return
	}
	var want []simWritten
	for _, m := range w.models {
		want = append(want, m.totals...)
	}
	got := slices.Clone(w.database.now.lines)
	slices.SortStableFunc(want, byKey)
	slices.SortStableFunc(got, byKey)
	w.database.seen.lines = len(got)
	w.same("lines", got, want)
}

// TestSimulationOfADatabase runs worlds with a database as TestSimulation runs the others, with the same troubles.
//
//	go test ./processors -run TestSimulationOfADatabase -sim.outside=5000                          seeds 1 to 5000
//	go test ./processors -run TestSimulationOfADatabase -sim.outside=1 -sim.seeds=1 -sim.seed=42    one seed, with a trace when it fails
//
// Mutations, each seen to fail it: sqlsink's Stage that does not look up what was written; setAside that does not say what has ended before the record. See also
// TestTheSimulationFindsWhatADatabaseBreaks.
func TestSimulationOfADatabase(t *testing.T) {
	var seen simEvidence
	var of simDatabaseEvidence
	eachSeed(t, seedsFrom(*simOutsideSeeds), (*simWorld).runOutside, func(w *simWorld) {
		seen.add(w.seen)
		l := w.database.seen
		of.lines, of.failed, of.lost, of.fenced, of.gaps = of.lines+l.lines, of.failed+l.failed, of.lost+l.lost, of.fenced+l.fenced, of.gaps+l.gaps
	})
	t.Logf("%+v %+v", of, seen)
	if *simOutsideSeeds >= 30 && slices.Contains([]int{of.lines, of.failed, of.lost, of.gaps, seen.crashes, seen.pauses, seen.aborts, seen.rebalances, seen.redriven}, 0) {
		t.Errorf("a run without every kind of trouble proves nothing: %+v %+v", of, seen)
	}
}

// A database that breaks one rule on which the guarantee rests is found out within a few seeds.
func TestTheSimulationFindsWhatADatabaseBreaks(t *testing.T) {
	if underRace {
		t.Skip("needs many seeds: make plain runs it")
	}
	root := tempDir(t)
	for name, defect := range map[string]simDefect{"ignores epochs": ignoresEpochs, "forgets offsets": forgetsOffsets, "splits commits": splitsCommits} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 100; seed++ {
				w := simulate(t, seed, filepath.Join(root, strconv.FormatUint(seed, 10)), defect, (*simWorld).runOutside)
				if i := slices.IndexFunc(w.problems, func(p string) bool { return strings.HasPrefix(p, "lines: ") }); i >= 0 {
					t.Logf("seed %d: %.200s", seed, w.problems[i])
					return
				}
			}
			t.Error("no seed shows it")
		})
	}
}
