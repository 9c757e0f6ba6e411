package codecs

import (
	"bytes"
	"fmt"
	"reflect"
)

// FromGoka makes a Codec of a goka.Codec whose Decode returns values of type T and whose Encode takes them. A codec that
// is a Codec[T] already, as all of this package are, is returned as it is; nil gives nil.
func FromGoka[T any](c interface {
	Encode(value any) (data []byte, err error)
	Decode(data []byte) (value any, err error)
}) Codec[T] {
	if c == nil {
		return nil
	}
	if own, ok := c.(Codec[T]); ok {
		return own
	}
	return fromGoka[T]{fmt.Sprintf("goka %T", c), c.Encode, c.Decode}
}

type fromGoka[T any] struct {
	name   string
	encode func(any) ([]byte, error)
	decode func([]byte) (any, error)
}

func (c fromGoka[T]) Append(dst []byte, v T) (out []byte, err error) {
	defer recovered(&err, "encode with a goka codec")
	data, err := c.encode(v)
	if err != nil {
		return dst, fmt.Errorf("encode with a goka codec: %w", err)
	}
	return append(dst, data...), nil
}

func (c fromGoka[T]) Parse(data []byte) (v T, err error) {
	defer recovered(&err, "decode with a goka codec")
	// goka hands every record its own bytes, so its codecs may keep them (its Bytes does); ours must not.
	value, err := c.decode(bytes.Clone(data))
	if err != nil {
		return v, fmt.Errorf("decode with a goka codec: %w", err)
	}
	v, err = as[T](value)
	if err != nil {
		return v, fmt.Errorf("decode with a goka codec: %w", err)
	}
	return v, nil
}

// encodeAny is goka.Codec's Encode on top of a Codec. The result of an empty value is empty and not nil, because goka
// writes nil as a tombstone.
func encodeAny[T any](c Codec[T], value any) ([]byte, error) {
	v, err := as[T](value)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	out, err := c.Append([]byte{}, v)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// decodeAny is goka.Codec's Decode on top of a Codec.
func decodeAny[T any](c Codec[T], data []byte) (any, error) {
	v, err := c.Parse(data)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// as is value as a T. An untyped nil is a T only when T is an interface.
func as[T any](value any) (T, error) {
	v, ok := value.(T)
	if ok || value == nil && reflect.TypeFor[T]().Kind() == reflect.Interface {
		return v, nil
	}
	return v, fmt.Errorf("value is of type %T, not %s", value, reflect.TypeFor[T]())
}

// recovered turns a panic of code that is not ours into an error.
func recovered(err *error, doing string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v", doing, p)
	}
}
