package keyed

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/flat"
)

// Store keeps values of one type. Its methods are called from one goroutine.
//
// After an error of the database every further call returns it, and Err does, until the database is reopened.
type Store[T any] struct {
	db    Database
	codec codecs.Codec[T]
	flat  bool
	plain bool
	changes[T]
	max  int       // bytes of the largest key and value, 0 for no bound
	note []byte    // for the checkpoints that follow
	asOf time.Time // of the checkpoints that follow
	err  error     // what ended the use of the store
}

// Over makes a store of a database, with the type of its values. The database is then the store's own: no two stores are over
// one, and it is used through the store only.
//
// The codec must give back what it was given: whether a Get is answered from the cache or from the database, the value
// is to be the same.
func Over[T any](db Database, codec codecs.Codec[T]) *Store[T] {
	cacheBytes, recordBytes := db.Limits()
	// Of a value with a field that its codec leaves out, Get would have the field until the entry leaves the cache.
	written := flat.Written(reflect.TypeFor[T]())
	s := &Store[T]{
		db:      db,
		codec:   codec,
		max:     recordBytes,
		flat:    written && flat.Type(reflect.TypeFor[T]()),
		plain:   written && flat.Plain(reflect.TypeFor[T]()),
		changes: changes[T]{cache: newCache[T](cacheBytes)},
	}
	s.cache.shelved = s.shelved
	s.arena.Keep = keptChunks
	return s
}

// keptChunks is how much memory of encoded values a store keeps from one transaction to the next: 1 MiB.
const keptChunks = 16

// shelved is the value of an entry as bytes: those in memory of a plain type, which costs nothing, the encoded ones of others.
func (s *Store[T]) shelved(dst []byte, e *entry[T]) (data []byte, ok bool) {
	switch {
	case s.plain:
		return append(dst, bytesOf(&e.value)...), true
	case s.flat:
		data, err := s.codec.Append(dst, e.value)
		return data, err == nil
	}
	return append(dst, e.data...), true
}

// bytesOf is the memory of a value of a plain type.
func bytesOf[T any](value *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(value)), unsafe.Sizeof(*value))
}

// Get returns the value of a key. The value is the caller's own: changing what it refers to does not change the store.
func (s *Store[T]) Get(key string) (value T, ok bool, err error) {
	e := s.cache.find(key)
	if e == nil {
		if e, err = s.load(key); err != nil {
			return value, false, err
		}
	} else if s.err != nil {
		return value, false, s.err
	}
	e.state |= recent
	if e.state&exists == 0 {
		return value, false, nil
	}
	if s.flat {
		return e.value, true, nil
	}
	if value, err = s.codec.Parse(e.data); err != nil {
		return value, false, s.undecodable(key, err)
	}
	return value, true, nil
}

// Peek is Get for a key that mostly is not there, or is not asked for again: the cache does not take it up. The key is not kept.
func (s *Store[T]) Peek(key string) (value T, ok bool, err error) {
	if s.err != nil {
		return value, false, s.err
	}
	if _, shelved := s.cache.shelf.get(key); shelved || s.cache.entries[key] != nil {
		return s.Get(strings.Clone(key))
	}
	data, ok, err := s.db.Get(key)
	if err != nil {
		return value, false, s.fail(err)
	}
	if ok {
		if value, err = s.codec.Parse(bytes.Clone(data)); err != nil {
			return value, false, s.undecodable(strings.Clone(key), err)
		}
	}
	return value, ok, nil
}

// load brings a key into the cache, absent ones too: most are set right after.
func (s *Store[T]) load(key string) (*entry[T], error) {
	if s.err != nil {
		return nil, s.err
	}
	data, ok := s.cache.shelf.use(key)
	var value T
	var err error
	switch {
	case !ok:
		if data, ok, err = s.db.Get(key); err != nil {
			return nil, s.fail(err)
		}
	case s.plain:
		copy(bytesOf(&value), data)
		return s.loaded(key, value, nil, true), nil
	default:
		data = bytes.Clone(data) // it may become part of the value
	}
	if ok && s.flat {
		if value, err = s.codec.Parse(data); err != nil {
			return nil, s.undecodable(key, err)
		}
	}
	return s.loaded(key, value, data, ok), nil
}

func (s *Store[T]) loaded(key string, value T, data []byte, ok bool) *entry[T] {
	e := s.cache.add(key)
	e.state = known | recent
	if ok {
		e.state |= exists
		e.value = value
		if !s.flat {
			e.data = data
		}
	}
	s.cache.clean(e, s.cache.weigh(e, len(data)))
	s.cache.evict()
	return e
}

func (s *Store[T]) undecodable(key string, err error) error {
	return &UndecodableError{s.db.Dir(), key, err}
}

// Set gives a key a value. It encodes the value at once: the codec's error is the caller's, and the store is unchanged.
func (s *Store[T]) Set(key string, value T) error {
	if s.err != nil {
		return s.err
	}
	data, err := s.codec.Append(s.arena.Tail(), value)
	if err != nil {
		return fmt.Errorf("encode the value of key %q: %w", key, err)
	}
	if s.max > 0 && len(key)+len(data) > s.max {
		return fmt.Errorf("the value of key %q has %d bytes encoded, and its changelog takes %d with the key: "+
			"make it smaller, or raise max.message.bytes of the changelog", key, len(data), s.max)
	}
	e := s.change(key)
	if e.state&exists == 0 {
		s.now++
		e.born = s.now
		if e.state&known == 0 {
			e.state |= blind
		} else {
			e.state &^= blind
		}
	}
	e.state |= exists | known
	if s.flat {
		e.value = value
	}
	s.replace(e, s.arena.Take(data))
	return nil
}

// Delete takes a key out. Deleting an absent key is no error, and is written to the changelog all the same.
func (s *Store[T]) Delete(key string) error {
	if s.err != nil {
		return s.err
	}
	e := s.change(key)
	var none T
	e.value = none
	e.state = e.state&^(exists|blind) | known
	s.replace(e, nil)
	return nil
}

// fail remembers what ended the use of the store: after an error of the database nothing it says can be trusted.
func (s *Store[T]) fail(err error) error {
	if err != nil {
		s.err = err
	}
	return err
}

// Err is the error of the database that ended the use of the store, or nil. It knows of writes in the background too.
func (s *Store[T]) Err() error {
	if s.err == nil {
		s.err = s.db.Failed()
	}
	return s.err
}
