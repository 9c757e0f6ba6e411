package processors

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
)

// TestAHandleThatIsNotDeclaredStopsTheInstance, before anything is dead-lettered: every record would fail of it.
//
// Mutations tried: Store and Output in internal/nodes without topology.Fatal; Fail that keeps the first error only; broken
// that does not ask for misuse.
func TestAHandleThatIsNotDeclaredStopsTheInstance(t *testing.T) {
	twin := topology.Stream(jobOut, codecs.String())
	var none *topology.StoreOf[string]
	for name, c := range map[string]struct {
		use  func(j *job, ctx topology.Context)
		says string
	}{
		"store":       {func(j *job, ctx topology.Context) { j.secret.Set(ctx, "k", "v") }, "uses store secret, which is not in its Uses"},
		"stream":      {func(j *job, ctx topology.Context) { j.hidden.Emit(ctx, "k", "v") }, "emits to event.hidden.v1, which is not in its Emits"},
		"tombstone":   {func(j *job, ctx topology.Context) { j.hidden.Tombstone(ctx, "k") }, "emits to event.hidden.v1"},
		"second":      {func(j *job, ctx topology.Context) { twin.Emit(ctx, "k", "v") }, "declare it once and share the handle"},
		"nil store":   {func(j *job, ctx topology.Context) { none.Set(ctx, "k", "v") }, "nil store"},
		"then panics": {func(j *job, ctx topology.Context) { j.secret.Delete(ctx, "k"); panic("so what") }, "not in its Uses"},
		"then exits":  {func(j *job, ctx topology.Context) { j.secret.Delete(ctx, "k"); runtime.Goexit() }, "not in its Uses"},
		"after an error": {func(j *job, ctx topology.Context) {
			j.store.Set(ctx, "k", strings.Repeat("x", 9<<20)) // too large for its changelog
			j.secret.Delete(ctx, "k")
		}, "not in its Uses"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					if value == "bad" {
						c.use(j, ctx)
						return ctx.Drop(topology.Filtered)
					}
					return remember(j, ctx, key, value)
				}
				g.start()
				g.send(0, "a 1", "a bad", "a 2")
				err := g.ended()
				var fatal *FatalError
				if !errors.As(err, &fatal) || fatal.Offset != 1 || fatal.Node != "node" || !strings.Contains(err.Error(), c.says) {
					t.Errorf("ended with %v", err)
				}
				time.Sleep(time.Second)
				g.sees(at(jobOut, 0), "a 1")
				g.sees(at(jobDead, 0))
				g.committed(at(jobIn, 0), 1)
			})
		})
	}
}

// wicked is an error and a codec that do what they should not.
type wicked struct{ do func() }

func (w wicked) Error() string                               { w.do(); return "wicked" }
func (w wicked) Append(dst []byte, v string) ([]byte, error) { w.act(v); return append(dst, v...), nil }
func (w wicked) Parse(data []byte) (string, error)           { w.act(string(data)); return string(data), nil }
func (w wicked) Encode(v any) ([]byte, error)                { w.act(v.(string)); return []byte(v.(string)), nil }
func (w wicked) Decode(data []byte) (any, error)             { w.act(string(data)); return string(data), nil }

func (w wicked) act(v string) {
	if v == "bad" {
		w.do()
	}
}

// wickedChain is an error whose chain does it.
type wickedChain struct{ do func() }

func (w wickedChain) Error() string { return "wicked" }
func (w wickedChain) Unwrap() error { w.do(); return nil }

// wickedArgument is an argument of a statement.
type wickedArgument struct{ do func() }

func (w wickedArgument) Value() (driver.Value, error) { w.do(); return "", nil }

// wickedKeys is a codec of keys in records that does it for the key b.
type wickedKeys struct {
	codecs.Codec[string]
	do func()
}

func (w wickedKeys) Alone() codecs.Codec[string] { return w.Codec }
func (w wickedKeys) ParseIn(_ *codecs.Record, data []byte) (string, error) {
	if string(data) == "b" {
		w.do()
	}
	return w.Parse(data)
}
func (w wickedKeys) AppendIn(_ *codecs.Record, dst []byte, v string) ([]byte, []codecs.Header, error) {
	dst, err := w.Append(dst, v)
	return dst, nil, err
}

// TestWhoEndsTheWorkersGoroutineFailsTheRecordOnly has code of users end its goroutine, or panic, in every place where it
// runs: the record fails as after an error, the worker goes on, and nothing of the record is left.
//
// Mutations tried: run without its deferred function; Exited without c.end; fail that does not ask for the error's text; resume
// that does not call failed; a sink that calls what is the program's without a guard.
func TestWhoEndsTheWorkersGoroutineFailsTheRecordOnly(t *testing.T) {
	for how, do := range map[string]func(){"exit": runtime.Goexit, "panic": func() { panic("wicked") }} {
		w := wicked{do}
		outs := topology.Stream(jobOut, w)
		goka := topology.Stream(jobOut, codecs.FromGoka[string](gokaOnly{w}))
		store := topology.Store("seen", w)
		for where, c := range map[string]struct {
			parts func(j *job) []topology.Part
			node  func(j *job, ctx topology.Context, key, value string) error
			more  []topology.Part
			sink  func(*sqlsink.Sink, topology.Context, string) // stages what a value asks for
		}{
			"node": {node: func(j *job, ctx topology.Context, key, value string) error {
				_ = remember(j, ctx, key, value)
				w.act(value)
				return nil
			}},
			"loop over a store": {node: func(j *job, ctx topology.Context, key, value string) error {
				_ = remember(j, ctx, key, value)
				for range j.store.Range(ctx, "", "") {
					w.act(value)
				}
				return nil
			}},
			"error": {node: func(j *job, ctx topology.Context, key, value string) error {
				if value == "bad" {
					return wicked{do}
				}
				return remember(j, ctx, key, value)
			}},
			"codec of an output": {node: func(_ *job, ctx topology.Context, key, value string) error {
				outs.Emit(ctx, key, value)
				return nil
			}, parts: func(*job) []topology.Part { return []topology.Part{topology.Emits(outs)} }},
			"codec of goka": {node: func(_ *job, ctx topology.Context, key, value string) error {
				goka.Emit(ctx, key, value)
				return nil
			}, parts: func(*job) []topology.Part { return []topology.Part{topology.Emits(goka)} }},
			"codec of a store": {node: func(j *job, ctx topology.Context, key, value string) error {
				store.Set(ctx, key, value)
				j.out.Emit(ctx, key, value)
				return nil
			}, parts: func(j *job) []topology.Part { return []topology.Part{topology.Uses(store), topology.Emits(j.out)} }},
			"codec of an input": {parts: func(j *job) []topology.Part {
				return []topology.Part{topology.On(topology.Stream(jobIn, w), func(ctx topology.Context, key, value string) error {
					j.out.Emit(ctx, key, value)
					return nil
				}), topology.Emits(j.out)}
			}},
			"Tombstone": {parts: func(j *job) []topology.Part {
				return []topology.Part{topology.On(j.in, func(ctx topology.Context, key, value string) error { return remember(j, ctx, key, value) },
					topology.Tombstone(func(topology.Context, string) error { do(); return nil })), topology.Uses(j.store), topology.Emits(j.out)}
			}},
			"codec of keys": {parts: func(j *job) []topology.Part {
				return []topology.Part{topology.On(topology.Stream(jobIn, codecs.String(), topology.KeyCodec[string](wickedKeys{codecs.String(), do})), func(ctx topology.Context, key, value string) error {
					j.out.Emit(ctx, key, value)
					return nil
				}), topology.Emits(j.out)}
			}},
			"Classify": {node: func(j *job, ctx topology.Context, key, value string) error {
				if value == "bad" {
					return errors.New("to be classified")
				}
				return remember(j, ctx, key, value)
			}, more: []topology.Part{topology.Classify(func(error) topology.Class { do(); return topology.ClassRetriable })}},
			"id of Dedup": {more: []topology.Part{topology.Dedup(func(_ topology.Context, _ string, value string) (string, error) { w.act(value); return value, nil }, time.Hour)}},
			"chain of an error": {node: func(j *job, ctx topology.Context, key, value string) error {
				if value == "bad" {
					return wickedChain{do}
				}
				return remember(j, ctx, key, value)
			}},
			"Do of a sink": {sink: func(s *sqlsink.Sink, ctx topology.Context, value string) {
				s.Do(ctx, func(context.Context, *sql.Tx) error { w.act(value); return nil })
			}},
			"error of Do": {sink: func(s *sqlsink.Sink, ctx topology.Context, value string) {
				s.Do(ctx, func(context.Context, *sql.Tx) error {
					if value == "bad" {
						return wicked{do}
					}
					return nil
				})
			}},
			"Classify of a sink": {sink: func(s *sqlsink.Sink, ctx topology.Context, value string) {
				s.Do(ctx, func(context.Context, *sql.Tx) error {
					if value == "bad" {
						return errors.New("to be classified")
					}
					return nil
				})
			}},
			"argument of Exec": {sink: func(s *sqlsink.Sink, ctx topology.Context, value string) {
				if value == "bad" {
					s.Exec(ctx, "INSERT INTO lines VALUES (?, ?)", "k", wickedArgument{do})
				}
			}},
		} {
			t.Run(how+" in "+where, func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					g.job.node, g.job.whole = c.node, c.parts
					g.job.parts = append([]topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Millisecond})}, c.more...)
					if c.sink != nil {
						db := sql.OpenDB(&simDoor{simDatabase: newSimDatabase(1)})
						defer db.Close()
						s := sqlsink.New("lines", db, sqlsink.Options{Dialect: sqlsink.SQLite, Classify: func(error) topology.Class { do(); return topology.ClassWorld }})
						g.job.parts = append(g.job.parts, topology.Uses(s))
						g.job.node = func(j *job, ctx topology.Context, key, value string) error {
							c.sink(s, ctx, value)
							return remember(j, ctx, key, value)
						}
					}
					g.start()
					g.send(0, "a 1")
					bad := record("b", "bad")
					if where == "Tombstone" {
						bad.Value = nil
					}
					g.cluster.Produce(at(jobIn, 0), bad, bad)
					g.send(0, "a 2")
					time.Sleep(5 * time.Second)
					g.sees(at(jobOut, 0), "a 1", "a 2")
					g.counted(2, 0, 0, 2)
					g.committed(at(jobIn, 0), 4)
					for _, r := range g.cluster.Committed(at(jobLog, 0)) {
						if string(r.Key) == "b" {
							t.Errorf("the state of b is %q", r.Value)
						}
					}
					letters := g.cluster.Committed(at(jobDead, 0))
					if len(letters) != 2 {
						t.Fatalf("%d dead letters", len(letters))
					}
					says := "runtime.Goexit"
					if how == "panic" {
						says = "panic: wicked"
					}
					if m := header(letters[1], deadletter.HeaderMessage); !strings.Contains(m, says) {
						t.Errorf("the letter says %q", m)
					}
				})
			})
		}
	}
}

// The Context of a call that ended its goroutine has ended with it.
//
// Mutation tried: end that leaves the scope open.
func TestAContextOfACallThatExitedIsOver(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		var kept topology.Context
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "bad" {
				kept = ctx
				runtime.Goexit()
			}
			j.out.Emit(kept, key, "late")
			return nil
		}
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1})}
		g.start()
		g.send(0, "a bad", "a 1")
		time.Sleep(5 * time.Second)
		g.sees(at(jobOut, 0))
		g.counted(0, 0, 0, 2)
	})
}

// gokaOnly hides from FromGoka that a codec is one of ours.
type gokaOnly struct {
	w wicked
}

func (g gokaOnly) Encode(v any) ([]byte, error)    { return g.w.Encode(v) }
func (g gokaOnly) Decode(data []byte) (any, error) { return g.w.Decode(data) }

// TestAContextThatIsUsedLaterFailsARecord, the one in work or the next one, and says who let it out; what was asked for is
// neither done nor put into another record's transaction.
//
// Mutations tried: ended that is never true; Run that does not look at leaked; within that does not look after yield; Emit
// of late that emits.
func TestAContextThatIsUsedLaterFailsARecord(t *testing.T) {
	const says = "node node used its Context after it returned"
	for name, use := range map[string]func(j *job, ctx topology.Context){
		"Emit":      func(j *job, ctx topology.Context) { j.out.Emit(ctx, "late", "late") },
		"Tombstone": func(j *job, ctx topology.Context) { j.out.Tombstone(ctx, "late") },
		"Set":       func(j *job, ctx topology.Context) { j.store.Set(ctx, "late", "late") },
		"Delete":    func(j *job, ctx topology.Context) { j.store.Delete(ctx, "late") },
		"Get":       func(j *job, ctx topology.Context) { _, _ = j.store.Get(ctx, "a") },
		"Range": func(j *job, ctx topology.Context) {
			for range j.store.Range(ctx, "", "") {
				panic("a late loop goes round")
			}
		},
		"Record": func(_ *job, ctx topology.Context) { _ = ctx.Record() },
	} {
		for _, where := range []string{"goroutine", "next call"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					var kept topology.Context
					g.job.node = func(j *job, ctx topology.Context, key, value string) error {
						switch value {
						case "goroutine":
							go func() {
								time.Sleep(time.Second)
								use(j, ctx)
							}()
						case "keep":
							kept = ctx
						case "use":
							use(j, kept)
						}
						return remember(j, ctx, key, value)
					}
					g.start()
					want := []string{"a keep", "a use", "a 1"}
					if where == "goroutine" {
						want = []string{"a goroutine", "a 2", "a 1"}
					}
					g.send(0, want[0])
					time.Sleep(2 * time.Second)
					g.send(0, want[1:]...)
					time.Sleep(time.Second)
					g.sees(at(jobOut, 0), want[0], want[2])
					g.sees(at(jobDead, 0), want[1])
					g.sees(at(jobLog, 0), want[0], want[2])
					if l := g.cluster.Committed(at(jobDead, 0)); !strings.HasPrefix(header(l[0], deadletter.HeaderMessage), says) {
						t.Errorf("the letter says %q", header(l[0], deadletter.HeaderMessage))
					}
					if n := g.logged(zapcore.ErrorLevel, "the next record fails for it"); n != 1 {
						t.Errorf("logged %d times", n)
					}
				})
			})
		}
	}
}

// A loop that is kept open over the end of its call must not touch the store again.
//
// Mutation tried: within that looks before the loop only.
func TestALoopThatIsKeptOpenEndsWithItsCall(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		var next func() (string, string, bool)
		var stop func()
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			switch value {
			case "open":
				next, stop = iter.Pull2(j.store.Range(ctx, "", ""))
				if k, _, ok := next(); k != "a" || !ok {
					t.Errorf("the loop begins with %q", k)
				}
			case "use":
				if k, _, ok := next(); ok {
					t.Errorf("the loop goes on with %q", k)
				}
				stop()
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a 1", "b 1", "c open")
		time.Sleep(time.Second)
		g.send(0, "c use", "c 2")
		time.Sleep(time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 1", "c open", "c 2")
		g.sees(at(jobDead, 0), "c use")
	})
}

// TestTheNodeThatEmittedIsBlamed: of several nodes on one stream, and after an edge, the one whose output a broker
// refuses is named in the dead letter, which goes to that node's topic.
//
// Mutations tried: refused that takes the first node for the emitter; record that takes the one called last; origin without
// its node.
func TestTheNodeThatEmittedIsBlamed(t *testing.T) {
	for _, how := range []simkafka.Refusal{simkafka.Invalid, simkafka.InvalidAtOnce} {
		for _, bad := range []string{"first", "second", "third", "behind"} {
			t.Run(bad+map[simkafka.Refusal]string{simkafka.Invalid: " later", simkafka.InvalidAtOnce: " at once"}[how], func(t *testing.T) {
				cfg := simkafka.Config{Refuse: func(r *kafka.Outgoing) simkafka.Refusal {
					if r.Topic == jobOut && string(r.Value) == bad+" bad" {
						return how
					}
					return simkafka.Taken
				}}
				bubble(t, 1, cfg, func(g *rig) {
					for _, topic := range []string{"first.dlq", "second.dlq", "third.dlq", "behind.dlq"} {
						g.topic(topic, 1, nil)
					}
					g.job.more = func(j *job) []topology.NodeSpec {
						edge := topology.Edge[string]("edge")
						node := func(name string, parts ...topology.Part) topology.NodeSpec {
							return topology.Node(name, append(parts, topology.DeadLetter(name+".dlq"))...)
						}
						emits := func(name string) topology.Part {
							return topology.On(j.in, func(ctx topology.Context, key, value string) error {
								j.out.Emit(ctx, key, name+" "+value)
								return nil
							})
						}
						return []topology.NodeSpec{
							node("first", emits("first"), topology.Emits(j.out)),
							node("second", emits("second"), topology.Emits(j.out)),
							node("third", topology.On(j.in, func(ctx topology.Context, key, value string) error {
								j.out.Emit(ctx, key, "third "+value)
								edge.Emit(ctx, key, value)
								return nil
							}), topology.Emits(j.out, edge)),
							node("behind", topology.On(edge, func(ctx topology.Context, key, value string) error {
								j.out.Emit(ctx, key, "behind "+value)
								return nil
							}), topology.Emits(j.out)),
						}
					}
					g.start()
					g.send(0, "a 1", "a bad", "a 2")
					time.Sleep(10 * time.Second)
					var want []string
					for _, v := range []string{"1", "2"} {
						want = append(want, "a first "+v, "a second "+v, "a third "+v, "a behind "+v)
					}
					g.sees(at(jobOut, 0), want...)
					g.committed(at(jobIn, 0), 3)
					letters := g.cluster.Committed(at(bad+".dlq", 0))
					if len(letters) != 1 || header(letters[0], deadletter.HeaderNode) != bad {
						t.Errorf("dead letters of %s: %v", bad, letters)
					}
				})
			})
		}
	}
}
