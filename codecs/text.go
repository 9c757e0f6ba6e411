package codecs

import (
	"fmt"
	"strconv"
)

// StringCodec is what [String] returns.
type StringCodec struct{}

// String encodes a string as its bytes, whatever they are.
func String() StringCodec { return StringCodec{} }

// Append implements [Codec].
func (StringCodec) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

// Parse implements [Codec]. It never fails.
func (StringCodec) Parse(data []byte) (string, error) { return string(data), nil }

// Encode implements goka.Codec for strings.
func (c StringCodec) Encode(value any) ([]byte, error) { return encodeAny(c, value) }

// Decode implements goka.Codec. The result is a string.
func (c StringCodec) Decode(data []byte) (any, error) { return decodeAny(c, data) }

// Int64Codec is what [Int64] returns.
type Int64Codec struct{}

// Int64 encodes an int64 as decimal text, as goka does.
func Int64() Int64Codec { return Int64Codec{} }

// Append implements [Codec].
func (Int64Codec) Append(dst []byte, v int64) ([]byte, error) {
	return strconv.AppendInt(dst, v, 10), nil
}

// Parse implements [Codec]. A sign and leading zeros are allowed.
func (Int64Codec) Parse(data []byte) (int64, error) {
	v, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("decode int64: %w", err)
	}
	return v, nil
}

// Encode implements goka.Codec for values of type int64.
func (c Int64Codec) Encode(value any) ([]byte, error) { return encodeAny(c, value) }

// Decode implements goka.Codec. The result is an int64.
func (c Int64Codec) Decode(data []byte) (any, error) { return decodeAny(c, data) }
