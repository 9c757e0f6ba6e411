package codecs

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/weirstream/weir/internal/plainjson"
)

// ErrNull says that a value is JSON's null, and that null is no value of the type. To a stream it is then a tombstone.
var ErrNull = errors.New("null is no value of the type")

// JSONCodec is what [JSON] returns.
type JSONCodec[T any] struct {
	plain    *plainjson.Codec[T] // nil if encoding/json does all
	strict   *strictType         // nil if all is read that encoding/json reads
	once     sync.Once
	nullable bool      // see nullIsAValue
	encoders sync.Pool // of *jsonEncoder[T]
	decoders sync.Pool // of *jsonDecoder
}

// JSON encodes as json.Marshal does when it is given a pointer to the value: MarshalJSON methods with pointer receivers
// are called, characters that matter in HTML are escaped, no newline is added. It parses as json.Unmarshal does, but for
// null: json.Unmarshal makes nothing of it and leaves the zero value, which nobody wrote. Here null is a value of the types
// whose zero value is written as null (pointers, maps, slices, interfaces, and those whose MarshalJSON says so), and
// [ErrNull] for all others, which cannot be written as null either.
//
// Plain types are read and written several times as fast as by encoding/json, with the same results: numbers, strings,
// booleans, time.Time, []byte, and structs, pointers, slices, arrays and maps with text keys of these. Types with any
// marshalling method of their own, an interface, an embedded field, or an option in a tag but omitempty take encoding/json's time, and so do documents
// out of the ordinary: names that come twice or in another case, bytes that are not UTF-8, mistakes.
//
// Options change what is read.
func JSON[T any](opts ...JSONOption) *JSONCodec[T] {
	c := &JSONCodec[T]{plain: plainjson.For[T]()}
	for _, o := range opts {
		if o.strict {
			c.strict = strictRoot(reflect.TypeFor[T]())
		}
	}
	return c
}

// Append implements [Codec].
func (c *JSONCodec[T]) Append(dst []byte, v T) (out []byte, err error) {
	defer recovered(&err, "encode JSON")
	ok := false
	if c.plain != nil {
		out, ok = c.plain.Append(dst, v)
	}
	if !ok {
		if out, err = c.marshal(dst, v); err != nil {
			return dst, fmt.Errorf("encode JSON: %w", err)
		}
	}
	if len(out)-len(dst) == len(null) && string(out[len(dst):]) == null && !c.nullIsAValue() {
		return dst, fmt.Errorf("encode JSON: %w, so that it would not come back", ErrNull)
	}
	return out, nil
}

// marshal appends what encoding/json writes.
func (c *JSONCodec[T]) marshal(dst []byte, v T) ([]byte, error) {
	e, _ := c.encoders.Get().(*jsonEncoder[T])
	if e == nil {
		e = &jsonEncoder[T]{}
		e.json = json.NewEncoder(e)
	}
	e.out, e.value = dst, v
	err := e.json.Encode(&e.value)
	out := e.out
	// A pooled encoder must not keep the caller's buffer or value alive. After a panic it is not pooled at all.
	e.out, e.value = nil, *new(T)
	c.encoders.Put(e)
	if err != nil {
		return dst, err
	}
	return out[:len(out)-1], nil // without the newline that Encode puts after a value
}

// Parse implements [Codec].
func (c *JSONCodec[T]) Parse(data []byte) (v T, err error) {
	defer recovered(&err, "decode JSON")
	if c.strict != nil {
		if err := strictCheck(c.strict, data); err != nil {
			return v, noJSON(data, err)
		}
	}
	ok := false
	if c.plain != nil {
		v, ok = c.plain.Parse(data)
	}
	if !ok {
		if v, err = c.unmarshal(data); err != nil {
			return *new(T), noJSON(data, err)
		}
	}
	if isNull(data) && !c.nullIsAValue() {
		return *new(T), fmt.Errorf("decode JSON: %w", ErrNull)
	}
	return v, nil
}

// noJSON says what is wrong with bytes that are no JSON, and which codecs are for them where they begin as values do that name their schema
// in a registry: with a 0 and four bytes of its id.
func noJSON(data []byte, err error) error {
	if len(data) > 5 && data[0] == 0 {
		return fmt.Errorf("decode JSON: %w: it begins like a value that names the schema %d of a registry, for which codecs/avro, codecs/protobuf and codecs/jsonschema have Bound",
			err, binary.BigEndian.Uint32(data[1:]))
	}
	return fmt.Errorf("decode JSON: %w", err)
}

// unmarshal returns what encoding/json reads.
func (c *JSONCodec[T]) unmarshal(data []byte) (v T, err error) {
	if len(data) <= maxPooled {
		d, _ := c.decoders.Get().(*jsonDecoder)
		if d == nil {
			d = newJSONDecoder()
		}
		if d.decode(bytes.TrimRight(data, " \t\r\n"), &v) {
			c.decoders.Put(d)
			return v, nil
		}
		// The decoder is left in a state that it does not come back from, and a value may be half filled. What is wrong,
		// json.Unmarshal says best.
		v = *new(T)
	}
	err = json.Unmarshal(data, &v)
	return v, err
}

const null = "null"

// isNull says whether valid JSON is null.
func isNull(data []byte) bool {
	if len(data) < len(null) {
		return false
	}
	switch data[0] {
	case 'n':
		return true
	case ' ', '\t', '\r', '\n':
		return string(bytes.TrimSpace(data)) == null
	}
	return false
}

// nullIsAValue says whether the zero value of T is written as null. It is asked when a null is met, not before: it calls
// MarshalJSON methods.
func (c *JSONCodec[T]) nullIsAValue() bool {
	c.once.Do(func() {
		defer func() { _ = recover() }() // a MarshalJSON method that panics writes nothing
		out, err := json.Marshal(new(T))
		c.nullable = err == nil && string(out) == null
	})
	return c.nullable
}

// Encode implements goka.Codec for values of type T.
func (c *JSONCodec[T]) Encode(value any) ([]byte, error) { return encodeAny(c, value) }

// Decode implements goka.Codec. The result is a T.
func (c *JSONCodec[T]) Decode(data []byte) (any, error) { return decodeAny(c, data) }

// jsonEncoder is a json.Encoder that appends to a slice. json.Marshal would allocate its result and the interface
// around the value for every call; this allocates neither.
type jsonEncoder[T any] struct {
	value T
	out   []byte
	json  *json.Encoder
}

func (e *jsonEncoder[T]) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// maxPooled is the largest value that is decoded with a pooled decoder, because a decoder keeps a buffer as large as the
// largest value it has seen.
const maxPooled = 64 << 10

// jsonDecoder is a json.Decoder that is used for one value after the other. json.Unmarshal would allocate its scanner and
// its decoding state for every call.
type jsonDecoder struct {
	unread []byte
	fed    int64 // bytes given to the decoder so far
	json   *json.Decoder
}

func newJSONDecoder() *jsonDecoder {
	d := &jsonDecoder{}
	d.json = json.NewDecoder(d)
	return d
}

// decode reports whether data is exactly one value, and decoded. The decoder cannot be used again when it was not.
func (d *jsonDecoder) decode(data []byte, v any) bool {
	d.unread = data
	d.fed += int64(len(data))
	err := d.json.Decode(v)
	d.unread = nil
	return err == nil && d.json.InputOffset() == d.fed
}

func (d *jsonDecoder) Read(p []byte) (int, error) {
	if len(d.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.unread)
	d.unread = d.unread[n:]
	return n, nil
}
