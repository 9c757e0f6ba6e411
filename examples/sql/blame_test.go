package main

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// texts is a topology that is run inside of the test: what a record asks of its sink depends on its text.
type texts struct {
	*rig
	db   *sql.DB
	sink *sqlsink.Sink

	mu  sync.Mutex
	log bytes.Buffer
}

const textNames = "text.written.v1"

func newTexts(t *testing.T, r *rig, o sqlsink.Options) *texts {
	x := &texts{rig: r}
	var err error
	x.db, o.Dialect, err = openStrict(r.address)
	r.must(err)
	t.Cleanup(func() { _ = x.db.Close() })
	x.sink = sqlsink.New("texts", x.db, o)
	x.exec("CREATE TABLE known (id BIGINT NOT NULL PRIMARY KEY)")
	x.exec("INSERT INTO known VALUES (1)")
	x.exec("CREATE TABLE texts (text VARCHAR(200) NOT NULL, id BIGINT NOT NULL REFERENCES known(id) DEFERRABLE INITIALLY DEFERRED, n BIGINT CHECK (n >= 0))")
	x.exec("CREATE TABLE once (text VARCHAR(200) NOT NULL PRIMARY KEY)")
	x.exec("INSERT INTO once VALUES ('there')")
	return x
}

// openStrict opens a database that looks at foreign keys.
func openStrict(address string) (*sql.DB, sqlsink.Dialect, error) {
	if strings.HasPrefix(address, "postgres") {
		return open(address)
	}
	db, err := sql.Open("sqlite", "file:"+address+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=foreign_keys(1)&_txlock=immediate")
	return db, sqlsink.SQLite, err
}

func (x *texts) postgreSQL() bool { return strings.HasPrefix(x.address, "postgres") }

func (x *texts) exec(query string, args ...any) {
	x.t.Helper()
	_, err := x.db.Exec(query, args...)
	x.must(err)
}

// Write implements zapcore.WriteSyncer.
func (x *texts) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.log.Write(p)
}

func (x *texts) Sync() error { return nil }

// said is what the instance has logged at warn and above.
func (x *texts) said() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.log.String()
}

// runs begins an instance. Its one transaction has all records that are there.
func (x *texts) runs(write func(ctx topology.Context, key, text string) error, parts ...topology.Part) (stop func()) {
	x.t.Helper()
	graph := topology.Define("texts", topology.Node("write", append(parts,
		topology.On(topology.Stream(textNames, codecs.String()), write), topology.Uses(x.sink))...))
	ctx, cancel := context.WithCancel(x.t.Context())
	ended := make(chan error, 1)
	logger := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), x, zap.WarnLevel))
	dir := x.t.TempDir()
	go func() {
		ended <- weir.Run(ctx, graph, weir.Options{Brokers: x.broker.Addrs(), CreateTopics: true, StateDir: dir, Workers: 2, Logger: logger})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			x.t.Error(err)
		}
		if x.t.Failed() {
			x.t.Log(x.said())
		}
	})
	x.t.Cleanup(stop)
	return stop
}

// write writes texts to a partition, under a key.
func (x *texts) write(partition int32, key string, texts ...string) {
	x.t.Helper()
	var records []*kgo.Record
	for _, text := range texts {
		records = append(records, &kgo.Record{Topic: textNames, Partition: partition, Key: []byte(key), Value: []byte(text)})
	}
	x.must(x.client.ProduceSync(x.t.Context(), records...).FirstErr())
}

func (x *texts) holds(want ...string) {
	x.t.Helper()
	got := strings.Fields(x.rows("SELECT text FROM texts ORDER BY text"))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		x.t.Errorf("the database holds %q, want %q", got, want)
	}
}

// letters are the dead letters: text, and why.
func (x *texts) letters() map[string]string {
	x.t.Helper()
	found := map[string]string{}
	for _, r := range x.visible(textNames + ".dlq") {
		why := ""
		for _, h := range r.Headers {
			if h.Key == "__streams.errors.message" || h.Key == "weir.errors.reason" {
				why += string(h.Value) + "; "
			}
		}
		if found[string(r.Value)] != "" {
			x.t.Errorf("%s has two letters", r.Value)
		}
		found[string(r.Value)] = why
	}
	return found
}

// wicked does something as an argument, and as an error.
type wicked struct{ do func() }

func (w wicked) Value() (driver.Value, error) { w.do(); return "", nil }
func (w wicked) Error() string                { w.do(); return "" }

// TestARecordIsToBlameAlone for what its function does, or the database refuses of it, also where that shows only later: at the end of the database's transaction,
// or in what comes after it. It becomes a dead letter, and its neighbours are written once.
//
// Mutations seen to fail it: functions are called without a guard; an error of COMMIT is nobody's; a savepoint that is gone says nothing; the parts before
// the record in question are not known to be written; a function that ends the transaction is not noticed; Classify is not asked of COMMIT.
func TestARecordIsToBlameAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		var classified atomic.Bool
		x := newTexts(t, r, sqlsink.Options{Classify: func(err error) topology.Class {
			var state interface{ SQLState() string }
			var code interface{ Code() int }
			switch {
			case err.Error() == "classify":
				panic("in Classify")
			case errors.As(err, &state) && state.SQLState() == "23503", errors.As(err, &code) && code.Code() == 787:
				classified.Store(true)
				return topology.ClassRejected
			case errors.As(err, &state) && state.SQLState()[:2] == "23", errors.As(err, &code) && code.Code()&0xff == 19:
				return topology.ClassRejected
			}
			return topology.ClassWorld
		}})
		p := func(n int) string { _, d, _ := open(r.address); return d.Placeholder(n) }
		insert := "INSERT INTO texts (text, id, n) VALUES (" + p(1) + ", " + p(2) + ", " + p(3) + ")"
		swallow := "INSERT OR ROLLBACK INTO once VALUES ('there')"
		if x.postgreSQL() {
			swallow = "INSERT INTO once VALUES ('there')"
		}
		says := map[string]string{
			"panic": "sink texts: for text.written.v1/0 at offset 2: panic: in Do; panic", "goexit": "exit; ", "error": "panic: in Error", "classify": "panic: in Classify",
			"argument": "panic: in Value", "deferred": "text.written.v1/0 at offset ", "deferred2": "", "check": "at offset", "ignores": "it return the errors of its statements",
			"rolls": "leave Commit and Rollback to the sink", "rejects": "told to",
		}
		write := func(ctx topology.Context, _, text string) error {
			id, n := 1, 1
			switch text {
			case "deferred", "deferred2":
				id = 2
			case "check":
				n = -1
			case "argument":
				x.sink.Exec(ctx, "INSERT INTO once VALUES ("+p(1)+")", wicked{func() { panic("in Value") }})
				return nil
			}
			if len(text) == 1 {
				x.sink.Exec(ctx, insert, text, id, n)
				return nil
			}
			x.sink.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, insert, text, id, n); err != nil {
					return err
				}
				switch text {
				case "panic":
					panic("in Do")
				case "goexit":
					runtime.Goexit()
				case "error":
					return wicked{func() { panic("in Error") }}
				case "classify":
					return errors.New("classify")
				case "ignores":
					_, _ = tx.ExecContext(ctx, swallow)
				case "rolls":
					_ = tx.Rollback()
				case "rejects":
					return topology.Reject(errors.New("told to"))
				}
				return nil
			})
			return nil
		}
		x.write(0, "k", "a", "b", "panic", "c", "goexit", "d", "deferred", "e", "error", "f", "classify", "g", "argument", "h", "deferred2", "i", "check", "j", "ignores", "k", "rolls", "l", "rejects", "m")
		x.write(1, "k", "n", "o")
		stop := x.runs(write)
		x.readAll("texts", textNames)
		stop()
		x.holds("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o")
		letters := x.letters()
		for text, why := range says {
			if got := letters[text]; got == "" || !strings.Contains(got, why) {
				t.Errorf("the letter of %s says %q, not %q", text, got, why)
			}
		}
		if len(letters) != len(says) {
			t.Errorf("the letters are %v", letters)
		}
		if !classified.Load() {
			t.Error("Classify was not asked of COMMIT")
		}
		if strings.Contains(x.said(), "a partition waits") || strings.Contains(x.said(), "brokers take less") {
			t.Error("the log has what is not true")
		}
	})
}

// TestARecordIsToBlameWithoutOthers that lead to it: its neighbours are good, and Classify is the sink's own.
//
// Mutations seen to fail it: no record is looked for when what comes after a function fails; SQLite is not asked for the savepoint of each function; the text of an
// error is asked by fmt, which passes over a panic.
func TestARecordIsToBlameWithoutOthers(t *testing.T) {
	for _, how := range []string{"ignores", "error"} {
		t.Run(how, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r *rig) {
				x := newTexts(t, r, sqlsink.Options{})
				swallow := "INSERT OR ROLLBACK INTO once VALUES ('there')"
				if x.postgreSQL() {
					swallow = "INSERT INTO once VALUES ('there')"
				}
				write := func(ctx topology.Context, _, text string) error {
					x.sink.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
						switch text {
						case "ignores":
							_, _ = tx.ExecContext(ctx, swallow)
							return nil
						case "error":
							return wicked{func() { panic("in Error") }}
						}
						_, err := tx.ExecContext(ctx, "INSERT INTO texts (text, id, n) VALUES ('"+text+"', 1, 1)")
						return err
					})
					return nil
				}
				x.write(0, "k", "a", how, "b", "c")
				stop := x.runs(write)
				x.readAll("texts", textNames)
				stop()
				x.holds("a", "b", "c")
				if letters := x.letters(); len(letters) != 1 || letters[how] == "" {
					t.Errorf("the letters are %v", letters)
				}
			})
		})
	}
}

// TestWhatComesAfterARefusedRecordIsAnew: it has seen state with that record in it, so neither is it written before it is done again, nor refused for it.
//
// Mutations seen to fail it: all records that are refused at once become dead letters; search goes on after the record.
func TestWhatComesAfterARefusedRecordIsAnew(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		x := newTexts(t, r, sqlsink.Options{})
		_, d, _ := open(r.address)
		sums := topology.Store("sums", codecs.Int64())
		insert := fmt.Sprintf("INSERT INTO texts (text, id, n) VALUES (%s, %s, %s)", d.Placeholder(1), d.Placeholder(2), d.Placeholder(3))
		write := func(ctx topology.Context, key, text string) error {
			var n int64
			id := 1
			if _, err := fmt.Sscan(text, &n); err != nil {
				id, n = 2, 1000 // of a COMMIT
			}
			sum, err := sums.Get(ctx, key)
			if err != nil {
				return err
			}
			sums.Set(ctx, key, sum+n)
			x.sink.Exec(ctx, insert, fmt.Sprint(sum+n), id, sum+n)
			return nil
		}
		x.write(0, "k", "5", "-50", "10", "-40", "20", "deferred", "1", "2")
		stop := x.runs(write, topology.Uses(sums))
		x.readAll("texts", textNames)
		stop()
		x.holds("5", "15", "35", "36", "38")
		if letters := x.letters(); len(letters) != 3 {
			t.Errorf("the letters are %v", letters)
		}
	})
}

// conflict is an error as databases have it where two are in each other's way.
type conflict struct{ state string }

func (c conflict) Error() string    { return "conflict " + c.state }
func (c conflict) SQLState() string { return c.state }

type locked struct{}

func (locked) Error() string { return "database is locked" }
func (locked) Code() int     { return 5 }

// TestWhatPassesByItselfIsDoneAgainQuietly: deadlocks, serialization failures, and a busy SQLite.
//
// Mutation seen to fail it: repeated that does nothing again.
func TestWhatPassesByItselfIsDoneAgainQuietly(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		x := newTexts(t, r, sqlsink.Options{})
		conflicts := map[string]error{"a": conflict{"40001"}, "b": conflict{"40P01"}, "c": locked{}, "d": conflict{"40001"}}
		var tries sync.Map // by text
		write := func(ctx topology.Context, _, text string) error {
			x.sink.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
				n, _ := tries.LoadOrStore(text, new(atomic.Int64))
				if n.(*atomic.Int64).Add(1) <= 3 && conflicts[text] != nil {
					return conflicts[text]
				}
				_, err := tx.ExecContext(ctx, "INSERT INTO texts (text, id, n) VALUES ('"+text+"', 1, 1)")
				return err
			})
			return nil
		}
		x.write(0, "k", "a", "x")
		stop := x.runs(write)
		x.readAll("texts", textNames)
		for _, text := range []string{"b", "c", "d"} {
			x.write(0, "k", text, text+"x")
			x.readAll("texts", textNames)
		}
		said := x.said() // before it stops: where the machine stands still, that is not in order
		stop()
		x.holds("a", "b", "bx", "c", "cx", "d", "dx", "x")
		if said != "" {
			t.Errorf("the log says %s", said)
		}
	})
}

// TestTablesAreMadeByManyAtOnce: sinks that begin at the same time find the tables missing, and make them; whoever is late is in nobody's way.
//
// Mutation seen to fail it on PostgreSQL: claim that does not try again.
func TestTablesAreMadeByManyAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		x := newTexts(t, r, sqlsink.Options{})
		_, dialect, err := open(r.address)
		r.must(err)
		for round := range 5 {
			var all sync.WaitGroup
			begin := make(chan struct{})
			for n := range 8 {
				sink := sqlsink.New("texts", x.db, sqlsink.Options{Dialect: dialect, Tables: fmt.Sprintf("own%d", round)})
				d := topologytest.New(t, topology.Define(fmt.Sprintf("texts-%d", n), topology.Node("write", topology.Uses(sink),
					topology.On(topology.Stream(textNames, codecs.String()), func(ctx topology.Context, _, text string) error {
						sink.Exec(ctx, "INSERT INTO texts (text, id, n) VALUES ('"+text+"', 1, 1)")
						return nil
					}))))
				all.Go(func() {
					<-begin
					if result := d.Send(textNames, "k", []byte("a")); result.Err != nil {
						t.Errorf("%v", result.Err)
					}
				})
			}
			close(begin)
			all.Wait()
		}
		if n := len(strings.Fields(x.rows("SELECT text FROM texts"))); n != 40 {
			t.Errorf("%d texts", n)
		}
	})
}
