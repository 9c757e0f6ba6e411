package codecs

import "testing"

type named struct{ StringCodec }

func (named) Name() string { return "own" }

type nameless struct{ Codec[string] }

type panicking struct{ Codec[string] }

func (*panicking) Name() string { panic("no name") }

type empty struct{ StringCodec }

func (empty) Name() string { return "" }

// A codec has a name, whoever made it.
//
// Mutations: Name without the empty name, or without recover; FromGoka without the type.
func TestEveryCodecHasAName(t *testing.T) {
	for _, c := range []struct {
		codec any
		want  string
	}{
		{String(), "string"},
		{Int64(), "int64"},
		{Bytes(), "bytes"},
		{JSON[map[string]int](), "json"},
		{FromGoka[string](String()), "string"},
		{FromGoka[int64](&theirs{Int64()}), "goka *codecs.theirs"},
		{named{}, "own"},
		{nameless{}, "codecs.nameless"},
		{&panicking{}, "*codecs.panicking"},
		{empty{}, "codecs.empty"},
	} {
		if got := Name(c.codec); got != c.want {
			t.Errorf("%T is called %q, want %q", c.codec, got, c.want)
		}
	}
}
