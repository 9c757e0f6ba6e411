package topology

import (
	"errors"
	"fmt"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/global"
	"github.com/weirstream/weir/internal/plan"
)

// GlobalOf is a handle on a whole topic with values of type T, for look-ups. [Global] makes it.
type GlobalOf[T any] struct {
	decl  plan.Global
	codec codecs.Codec[T]
}

// Global declares a compacted topic of which every instance has a copy: the last value of each key of all partitions, whatever
// partitions the instance itself works on. A node that lists it in [Uses] looks up any key. It is for what is small and changes
// seldom, such as customers' addresses or exchange rates: the copy lies in memory.
//
// The copy is complete before the instance takes part in its group: up to the ends that the topic's partitions had when it started. Then
// it follows the topic, committed records only, and apart from the inputs: a change is seen some milliseconds after its commit, by records
// before and after it alike, and a record that is done again may see a newer value. While the topic cannot be read the copy stays
// as it is, and health says so. A topic that is deleted and created again is read again from its beginning.
//
// The name and the options are those of a [Stream]; [Compacted] is understood. A record whose key is not one of the [KeyCodec] is left out,
// and counted. Who writes the topic declares it as a Stream, with the same options.
func Global[T any](name string, codec codecs.Codec[T], opts ...StreamOption) *GlobalOf[T] {
	g := &GlobalOf[T]{decl: plan.Global{Stream: declare(name, codec, opts)}, codec: codec}
	g.decl.Compacted = true
	if g.decl.NoCodec {
		g.codec = noCodec[T]{}
	}
	g.decl.View = func() plan.View { return global.New(g.codec, g.decl.CheckKey) }
	return g
}

// Name is the topic.
func (g *GlobalOf[T]) Name() string {
	if g == nil {
		return ""
	}
	return g.decl.Name
}

// Lookup returns the value of a key, and whether there is one. The value is the caller's own. A value that cannot be decoded is an
// error, and what follows from it the node's to decide; a global that the node does not list in Uses fails the record.
func (g *GlobalOf[T]) Lookup(ctx Context, key string) (T, bool, error) {
	run := ctx.runtime()
	if g == nil {
		run.Fail(errNilGlobal)
		return *new(T), false, errNilGlobal
	}
	view, err := run.Global(&g.decl)
	if err != nil {
		run.Fail(err)
		return *new(T), false, err
	}
	own, ok := view.(*global.Copy[T])
	if !ok {
		err := Fatal(fmt.Errorf("global %s is a %T, which does not hold values of type %s", g.decl.Name, view, g.decl.Type))
		run.Fail(err)
		return *new(T), false, err
	}
	v, ok, err := own.Get(key)
	if err != nil {
		return v, false, fmt.Errorf("look up %q in global %s: %w", key, g.decl.Name, err)
	}
	return v, ok, nil
}

// Get returns the value of a key, and the zero T when there is none. It is Lookup otherwise.
func (g *GlobalOf[T]) Get(ctx Context, key string) (T, error) {
	v, _, err := g.Lookup(ctx, key)
	return v, err
}

func (g *GlobalOf[T]) usedBy(n *node) {
	if g == nil {
		n.mistake("uses a nil global", "declare the global before the node")
		return
	}
	n.globals = append(n.globals, &g.decl)
}

var errNilGlobal = Fatal(errors.New("use of a nil global: declare it before its nodes"))
