package topologytest_test

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// LevelDB's pool of buffers goes away up to a second after its database was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

var (
	in     = topology.Stream("number.drawn.v1", codecs.Int64())
	out    = topology.Stream("number.summed.v1", codecs.Int64())
	large  = topology.Edge[int64]("large")
	sums   = topology.Store("sums", codecs.Int64())
	alarms = topology.Store("alarms", codecs.Int64())
)

func sum(ctx topology.Context, key string, n int64) error {
	s, err := sums.Get(ctx, key)
	if err != nil {
		return err
	}
	s += n
	sums.Set(ctx, key, s)
	out.Emit(ctx, key, s)
	if s > 100 {
		large.Emit(ctx, key, s)
	}
	switch {
	case n == 0:
		return ctx.Drop(topology.Filtered)
	case n < 0:
		return topology.Reject(fmt.Errorf("%d is below 0", n))
	}
	return nil
}

func alarm(ctx topology.Context, key string, n int64) error {
	if n > 1000 {
		return fmt.Errorf("%d is too much", n)
	}
	alarms.Set(ctx, key, ctx.Time().UnixMilli())
	return nil
}

// TestDriverFollowsTheRulesOfTheEngine sends records that are processed, dropped, rejected, undecodable and failed
// after an edge. Seen to fail: call without its undo; record without its undo; idle ignored.
func TestDriverFollowsTheRulesOfTheEngine(t *testing.T) {
	d := topologytest.New(t, topology.Define("sums",
		topology.Node("sum", topology.On(in, sum), topology.Uses(sums), topology.Emits(out, large)),
		topology.Node("alarm", topology.On(large, alarm), topology.Uses(alarms))))
	d.At(time.UnixMilli(42))

	if r := d.Send("number.drawn.v1", "a", []byte("60")); r.Err != nil || fmt.Sprint(r.Emitted) != "[number.summed.v1 a: 60]" {
		t.Errorf("processed: %+v", r)
	}
	if r := d.Send("number.drawn.v1", "a", []byte("50")); r.Err != nil || fmt.Sprint(r.Emitted) != "[number.summed.v1 a: 110]" {
		t.Errorf("processed, with alarm: %+v", r)
	}
	r := d.Send("number.drawn.v1", "b", []byte("0"))
	if why, ok := topology.Dropped(r.Err); !ok || why != topology.Filtered || r.Emitted != nil {
		t.Errorf("dropped: %+v", r)
	}
	if r := d.Send("number.drawn.v1", "b", []byte("-1")); !topology.IsRejected(r.Err) || r.Emitted != nil {
		t.Errorf("rejected: %+v", r)
	}
	if r := d.Send("number.drawn.v1", "b", []byte("one")); !topology.IsRejected(r.Err) {
		t.Errorf("undecodable: %+v", r)
	}
	if r := d.Send("number.drawn.v1", "b", nil); !topology.IsRejected(r.Err) {
		t.Errorf("tombstone: %+v", r)
	}
	r = d.Send("number.drawn.v1", "b", []byte("2000"))
	if r.Err == nil || topology.IsRejected(r.Err) || topology.IsFatal(r.Err) || r.Emitted != nil {
		t.Errorf("failed after an edge: %+v", r)
	}
	if r := d.Send("number.drawn.v1", "b", []byte("1")); r.Err != nil || fmt.Sprint(r.Emitted) != "[number.summed.v1 b: 1]" {
		t.Errorf("something is left of a record that failed: %+v", r)
	}
	if got := d.Store("sums"); !reflect.DeepEqual(got, map[string]string{"a": "110", "b": "1"}) {
		t.Errorf("sums: %v", got)
	}
	if got := d.Store("alarms"); !reflect.DeepEqual(got, map[string]string{"a": "42"}) {
		t.Errorf("alarms: %v", got)
	}
}

// failing is a test that notes why it fails, and ends.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// A name that the topology does not have is answered with those that it has.
//
// Mutations seen to fail it: the list of stores, of inputs, of globals left empty.
func TestNamesThatDoNotExistAreAnsweredWithThoseThatDo(t *testing.T) {
	rates := topology.Global("rate.set.v1", codecs.Int64())
	graph := topology.Define("sums",
		topology.Node("sum", topology.On(in, sum), topology.Uses(sums, rates), topology.Emits(out, large)),
		topology.Node("alarm", topology.On(large, alarm), topology.Uses(alarms)))
	small := topology.Define("small", topology.Node("pass", topology.On(in, func(topology.Context, string, int64) error { return nil })))
	for want, call := range map[string]func(f *failing){
		"number.drwn.v1 is no input of topology sums: there is number.drawn.v1": func(f *failing) { topologytest.New(f, graph).Send("number.drwn.v1", "a", nil) },
		"topology sums has no store sum: there is sums, alarms":                 func(f *failing) { topologytest.New(f, graph).Store("sum") },
		"store sums has no partition 7 of 1":                                    func(f *failing) { topologytest.New(f, graph).StoreAt("sums", 7) },
		"rates is no global of topology sums: there is rate.set.v1":             func(f *failing) { topologytest.New(f, graph).Global("rates", "a", nil) },
		"topology small has no store sum: there is none":                        func(f *failing) { topologytest.New(f, small).Store("sum") },
	} {
		f, ended := &failing{TB: t}, make(chan struct{})
		go func() {
			defer close(ended)
			call(f)
		}()
		if <-ended; f.said != want {
			t.Errorf("it says %q, want %q", f.said, want)
		}
	}
}
