package topologytest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

func shown(e topologytest.Emitted) string {
	var headers []string
	for _, h := range e.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	return fmt.Sprintf("%s %s at %d to %d", e, strings.Join(headers, " "), e.Time.UnixMilli(), e.Partition)
}

// What each option does, alone and with the others, on an Emit, on a Tombstone and after an edge; and which headers of the input go
// along.
//
// Mutations seen to fail it: Headers without the input's, without its own, or with both of one name; Passes without the trace
// context, without "*", or with reserved names; an option that is left out in emission; a header's value that is not copied; the
// options left out of Tombstone.
func TestEmitOptions(t *testing.T) {
	in, out := topology.Stream("a.in.v1", codecs.String()), topology.Stream("a.out.v1", codecs.String())
	at := time.UnixMilli(9_000)
	value := []byte("v")
	header := topology.WithHeader("h", value)
	value[0] = 'x'
	for _, c := range []struct {
		name   string
		opts   []topology.EmitOption
		passes []string
		want   string
	}{
		{"nothing", nil, nil, "traceparent=t1 tracestate=s at 42 to -1"},
		{"a header", []topology.EmitOption{header}, nil, "traceparent=t1 tracestate=s h=v at 42 to -1"},
		{"headers of one name", []topology.EmitOption{header, topology.WithHeader("h", nil)}, nil, "traceparent=t1 tracestate=s h=v h= at 42 to -1"},
		{"a trace of its own", []topology.EmitOption{topology.WithHeader("traceparent", []byte("t2"))}, nil, "tracestate=s traceparent=t2 at 42 to -1"},
		{"a time", []topology.EmitOption{topology.At(at)}, nil, "traceparent=t1 tracestate=s at 9000 to -1"},
		{"a partition", []topology.EmitOption{topology.ToPartition(0)}, nil, "traceparent=t1 tracestate=s at 42 to 0"},
		{"all", []topology.EmitOption{topology.ToPartition(3), header, topology.At(at)}, nil, "traceparent=t1 tracestate=s h=v at 9000 to 3"},
		{"the zero option", []topology.EmitOption{{}}, nil, "traceparent=t1 tracestate=s at 42 to -1"},
		{"one that is passed", nil, []string{"tenant"}, "tenant=a traceparent=t1 tracestate=s at 42 to -1"},
		{"all that are there", nil, []string{"*"}, "tenant=a traceparent=t1 h=in tracestate=s at 42 to -1"},
		{"one in the place of the input's", []topology.EmitOption{header}, []string{"*"}, "tenant=a traceparent=t1 tracestate=s h=v at 42 to -1"},
	} {
		for _, kind := range []string{"emit", "tombstone", "after an edge"} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				edge := topology.Edge[string]("e")
				emit := func(ctx topology.Context, key, v string) error {
					if kind == "tombstone" {
						out.Tombstone(ctx, key, c.opts...)
					} else {
						out.Emit(ctx, key, v, c.opts...)
					}
					return nil
				}
				nodes := []topology.NodeSpec{topology.Node("n", topology.On(in, emit), topology.Emits(out), topology.PassHeaders(c.passes...))}
				if kind == "after an edge" {
					nodes = []topology.NodeSpec{
						topology.Node("first", topology.On(in, func(ctx topology.Context, key, v string) error { edge.Emit(ctx, key, v); return nil }), topology.Emits(edge)),
						topology.Node("n", topology.On(edge, emit), topology.Emits(out), topology.PassHeaders(c.passes...)),
					}
				}
				d := topologytest.New(t, topology.Define("t", nodes...), topologytest.Partitions(4))
				d.At(time.UnixMilli(42))
				h := func(key, value string) topology.Header { return topology.Header{Key: key, Value: []byte(value)} }
				r := d.Send("a.in.v1", "k", []byte("v"), h("tenant", "a"), h("traceparent", "t1"), h("weir.errors.reason", "x"),
					h("__streams.errors.topic", "x"), h("h", "in"), h("tracestate", "s"))
				want := map[bool]string{true: "a.out.v1 k: tombstone ", false: "a.out.v1 k: v "}[kind == "tombstone"] + c.want
				if r.Err != nil || len(r.Emitted) != 1 || shown(r.Emitted[0]) != want {
					t.Fatalf("%v, want %q, error %v", r.Emitted, want, r.Err)
				}
			})
		}
	}
}

// Mutation seen to fail it: Passes without maxTrace.
func TestATraceThatIsNoneDoesNotGoAlong(t *testing.T) {
	in, out := topology.Stream("a.in.v1", codecs.String()), topology.Stream("a.out.v1", codecs.String())
	for size, want := range map[int]int{4 << 10: 1, 4<<10 + 1: 0} {
		d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.On(in, func(ctx topology.Context, key, v string) error {
			out.Emit(ctx, key, v)
			return nil
		}), topology.Emits(out))))
		r := d.Send("a.in.v1", "k", []byte("v"), topology.Header{Key: "tracestate", Value: make([]byte, size)})
		if r.Err != nil || len(r.Emitted) != 1 || len(r.Emitted[0].Headers) != want {
			t.Errorf("%d bytes: %v, %v", size, r.Err, r.Emitted)
		}
	}
}

// An option that cannot be is a failure of the record, and a reserved header one of the program, on Emit and on Tombstone.
//
// Mutations seen to fail it: each of the checks left out; emission that goes on after a bad option.
func TestEmitOptionsThatCannotBe(t *testing.T) {
	in, out := topology.Stream("a.in.v1", codecs.String()), topology.Stream("a.out.v1", codecs.String())
	for _, c := range []struct {
		opt   topology.EmitOption
		words string
		fatal bool
	}{
		{topology.WithHeader("weir.errors.reason", nil), `"weir.errors.reason" is reserved`, true},
		{topology.WithHeader("__streams.errors.topic", nil), "is reserved", true},
		{topology.At(time.UnixMilli(-1)), "from 1970", false},
		{topology.At(time.Unix(1<<62, 0)), "from 1970", false},
		{topology.ToPartition(-1), "partitions count from 0", false},
	} {
		for _, tombstone := range []bool{false, true} {
			d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.On(in, func(ctx topology.Context, key, v string) error {
				if tombstone {
					out.Tombstone(ctx, key, topology.ToPartition(1), c.opt)
				} else {
					out.Emit(ctx, key, v, topology.ToPartition(1), c.opt)
				}
				return nil
			}), topology.Emits(out))))
			r := d.Send("a.in.v1", "k", []byte("v"))
			if r.Err == nil || !strings.Contains(r.Err.Error(), c.words) || topology.IsFatal(r.Err) != c.fatal || len(r.Emitted) > 0 {
				t.Errorf("%q: %v, %v", c.words, r.Err, r.Emitted)
			}
		}
	}
}

// Mutation seen to fail it: names that are taken without a look.
func TestReservedHeadersAreNotPassedOn(t *testing.T) {
	in := topology.Stream("a.in.v1", codecs.String())
	for _, name := range []string{"", "weir.x", "__streams.errors.topic"} {
		err := topology.Define("t", topology.Node("n", topology.On(in, func(topology.Context, string, string) error { return nil }),
			topology.PassHeaders("fine", name))).Check()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("passes the header %q on", name)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What the engine makes a dead letter without asking a broker fails here too.
//
// Mutations, each seen to fail it: Env without Partitions; At without its bound.
func TestWhatCannotBeWrittenFails(t *testing.T) {
	at := map[string]topology.EmitOption{"partition": topology.ToPartition(7), "time": topology.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), "none": topology.ToPartition(3)}
	from, to := topology.Stream("a.in.v1", codecs.String()), topology.Stream("a.out.v1", codecs.String())
	d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.On(from, func(ctx topology.Context, key, value string) error {
		to.Emit(ctx, key, value, at[value])
		return nil
	}), topology.Emits(to))), topologytest.Partitions(4))
	for value, want := range map[string]bool{"partition": false, "time": false, "none": true} {
		if r := d.Send("a.in.v1", "k", []byte(value)); (r.Err == nil) != want || (len(r.Emitted) == 1) != want {
			t.Errorf("%s: %+v", value, r)
		}
	}
}

// Mutation: run that does not copy values.
func TestAResultStaysAfterTheNextRecord(t *testing.T) {
	in, out := topology.Stream("a.in.v1", codecs.String()), topology.Stream("a.out.v1", codecs.String())
	d := topologytest.New(t, topology.Define("echo", topology.Node("echo", topology.On(in, func(ctx topology.Context, key, v string) error {
		out.Emit(ctx, key, v)
		return nil
	}), topology.Emits(out), topology.DeadLetter("a.in.v1.dlq"))))
	first := d.Send("a.in.v1", "k", []byte("first"))
	d.Send("a.in.v1", "k", []byte("other"))
	if got := string(first.Emitted[0].Value); got != "first" {
		t.Errorf("%q after another record was sent", got)
	}
}
