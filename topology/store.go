package topology

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
)

// StoreOf is a handle on keyed state with values of type T. [Store] makes it.
type StoreOf[T any] struct {
	decl  plan.Store
	codec codecs.Codec[T]
}

// Store declares keyed local state of a topology, one database for each partition, with a changelog topic named
// <topology>-<store>-changelog behind it. Nodes of one sub-graph may share it.
//
// A value that is read is what the codec makes of the bytes that it wrote, or equal to that: the codec has to give back what it was
// given. Fields that it leaves out, unexported ones and those tagged "-", are zero in the next Get.
func Store[T any](name string, codec codecs.Codec[T]) *StoreOf[T] {
	s := &StoreOf[T]{
		decl:  plan.Store{Name: name, Type: reflect.TypeFor[T]().String(), NoCodec: isNil(codec)},
		codec: codec,
	}
	if s.decl.NoCodec {
		s.codec = noCodec[T]{}
	}
	s.decl.Over = s.over
	return s
}

func (s *StoreOf[T]) usedBy(n *node) {
	if s == nil {
		n.mistake(usesNil, usesNilDo)
		return
	}
	n.stores = append(n.stores, &s.decl)
}

// Name is the store's name.
func (s *StoreOf[T]) Name() string {
	if s == nil {
		return ""
	}
	return s.decl.Name
}

// Lookup returns the value of a key, and whether there is one. The value is the caller's own: changing what it points to
// does not change the store. An error fails the record even when the node goes on.
func (s *StoreOf[T]) Lookup(ctx Context, key string) (T, bool, error) {
	t, err := s.at(ctx)
	if err != nil {
		return *new(T), false, err
	}
	v, ok, err := t.Get(key)
	if err != nil {
		return *new(T), false, s.fail(ctx, "get", key, err)
	}
	return v, ok, nil
}

// Get returns the value of a key, and the zero T when there is none. It is Lookup otherwise.
func (s *StoreOf[T]) Get(ctx Context, key string) (T, error) {
	v, _, err := s.Lookup(ctx, key)
	return v, err
}

// Set puts a value. It is encoded at once: what v points to stays the caller's. A value that cannot be encoded, a store
// that the node does not list in Uses and a failure of the store fail the record.
func (s *StoreOf[T]) Set(ctx Context, key string, v T) {
	t, err := s.at(ctx)
	if err != nil {
		return
	}
	if err := t.Set(key, v); err != nil {
		_ = s.fail(ctx, "set", key, err)
	}
}

// Delete removes a key, whether it is there or not. It fails as Set does.
func (s *StoreOf[T]) Delete(ctx Context, key string) {
	t, err := s.at(ctx)
	if err != nil {
		return
	}
	if err := t.Delete(key); err != nil {
		_ = s.fail(ctx, "delete", key, err)
	}
}

// fail makes the record fail, and returns why.
func (s *StoreOf[T]) fail(ctx Context, doing, key string, err error) error {
	err = fmt.Errorf("%s %q in store %s: %w", doing, key, s.decl.Name, err)
	ctx.runtime().Fail(err)
	return err
}

var (
	errNilStream = Fatal(errors.New("emit to a nil stream: declare it before its nodes"))
	errNilEdge   = Fatal(errors.New("emit to a nil edge: declare it before its nodes"))
	errNilStore  = Fatal(errors.New("use of a nil store: declare it before its nodes"))
	errNoCodec   = errors.New("declared without a codec")
)

// noCodec stands in for a codec that was left out, so that a handle never panics. Check reports it.
type noCodec[T any] struct{}

func (noCodec[T]) Append([]byte, T) ([]byte, error) { return nil, errNoCodec }
func (noCodec[T]) Parse([]byte) (v T, err error)    { return v, errNoCodec }

// isNil reports whether v is nil or an interface around a nil pointer or function.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}
