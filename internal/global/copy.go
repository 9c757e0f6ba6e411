// Package global keeps an instance's copy of a whole topic in memory, for look-ups from all of its tasks.
package global

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/flat"
)

// Copy is the last value of each key. It is a plan.View. Values that refer to memory are kept as their bytes, and decoded for each
// look-up: who changes what he got changes nothing for others.
type Copy[T any] struct {
	codec codecs.Codec[T]
	key   func(string) error // nil: any string is a key
	flat  bool
	bytes atomic.Int64

	mu     sync.RWMutex
	values map[string]value[T]
}

type value[T any] struct {
	decoded T
	data    []byte // of a T that is not flat
	size    int    // as it was read, with its key
	err     error  // it cannot be decoded
}

// New makes an empty Copy. key says what is wrong with a key, and is nil where any string is one.
func New[T any](codec codecs.Codec[T], key func(string) error) *Copy[T] {
	return &Copy[T]{codec: codec, key: key, flat: flat.Type(reflect.TypeFor[T]()), values: map[string]value[T]{}}
}

// Get returns the value of a key, and whether there is one. A value that cannot be decoded is an error.
func (c *Copy[T]) Get(key string) (T, bool, error) {
	c.mu.RLock()
	v, ok := c.values[key]
	c.mu.RUnlock()
	switch {
	case !ok || v.err != nil:
		return v.decoded, false, v.err
	case c.flat:
		return v.decoded, true, nil
	}
	decoded, err := c.codec.Parse(v.data)
	return decoded, err == nil, err
}

// Put implements plan.View. A codec that does not return leaves an error of the key's look-ups.
func (c *Copy[T]) Put(key string, data []byte) error {
	returned := false
	defer func() {
		if !returned {
			c.set(key, value[T]{size: len(key) + len(data), err: errBroken})
		}
	}()
	err := c.put(key, data)
	returned = true
	return err
}

var errBroken = errors.New("its value cannot be decoded: the codec panics, or ends its goroutine")

func (c *Copy[T]) put(key string, data []byte) error {
	if c.key != nil {
		if err := c.key(key); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	if data == nil {
		c.remove(key)
		return nil
	}
	v := value[T]{size: len(key) + len(data)}
	if v.decoded, v.err = c.codec.Parse(data); errors.Is(v.err, codecs.ErrNull) {
		c.remove(key)
		return nil
	}
	if v.err != nil || !c.flat {
		v.decoded = *new(T)
	}
	if v.err == nil && !c.flat {
		v.data = append([]byte{}, data...) // the batch that it came in is much larger
	}
	c.set(key, v)
	return v.err
}

func (c *Copy[T]) set(key string, v value[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes.Add(int64(v.size - c.values[key].size))
	c.values[key] = v
}

func (c *Copy[T]) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes.Add(int64(-c.values[key].size))
	delete(c.values, key)
}

// Len implements plan.View.
func (c *Copy[T]) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.values)
}

// Bytes implements plan.View.
func (c *Copy[T]) Bytes() int64 { return c.bytes.Load() }
