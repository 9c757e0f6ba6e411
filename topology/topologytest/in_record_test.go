package topologytest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// signed is a codec that says in a header what its value was written with.
type signed struct{ codecs.StringCodec }

func (signed) AppendIn(r *codecs.Record, dst []byte, v string) ([]byte, []codecs.Header, error) {
	return append(dst, v...), []codecs.Header{{Key: "__value_schema_id", Value: []byte(r.Topic + " " + r.Subject)}}, nil
}

func (signed) Alone() codecs.Codec[string] { return codecs.String() }

func (signed) ParseIn(r *codecs.Record, data []byte) (string, error) {
	if string(data) == "later" {
		return "", codecs.ErrUnavailable
	}
	for _, h := range r.Headers {
		if h.Key == "__value_schema_id" {
			return string(h.Value) + " " + string(data), nil
		}
	}
	return "", errors.New("no header")
}

// A codec that looks at records gets the headers of what is read, and gives those of what is written; the input's own say nothing of
// another value. What it cannot read now is no undecodable record.
func TestACodecThatLooksAtRecords(t *testing.T) {
	in := topology.Stream[string]("a.in.v1", signed{})
	out, plain := topology.Stream[string]("a.out.v1", signed{}, topology.Subject("stated")), topology.Stream("a.plain.v1", codecs.String())
	d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.On(in, func(ctx topology.Context, key, v string) error {
		out.Emit(ctx, key, v)
		plain.Emit(ctx, key, v)
		return nil
	}), topology.PassHeaders("*"), topology.Emits(out, plain))))
	id := topology.Header{Key: "__value_schema_id", Value: []byte("of the input")}
	r := d.Send("a.in.v1", "k", []byte("v"), id, topology.Header{Key: "other", Value: []byte("x")})
	if r.Err != nil || len(r.Emitted) != 2 {
		t.Fatalf("%+v", r)
	}
	for i, want := range []string{"[{other x} {__value_schema_id a.out.v1 stated}] of the input v", "[{other x}] of the input v"} {
		var headers []string
		for _, h := range r.Emitted[i].Headers {
			headers = append(headers, fmt.Sprintf("{%s %s}", h.Key, h.Value))
		}
		if got := fmt.Sprintf("%v %s", headers, r.Emitted[i].Value); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	var undecodable *topology.DecodeError
	if r := d.Send("a.in.v1", "k", []byte("later"), id); !errors.Is(r.Err, codecs.ErrUnavailable) || errors.As(r.Err, &undecodable) {
		t.Errorf("%v", r.Err)
	}
	if r := d.Send("a.in.v1", "k", []byte("v")); !errors.As(r.Err, &undecodable) {
		t.Errorf("%v", r.Err)
	}
}
