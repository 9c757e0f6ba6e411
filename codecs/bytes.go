package codecs

import "bytes"

// BytesCodec is what [Bytes] returns.
type BytesCodec struct{}

// Bytes leaves values as they are. Parse copies, so that the result outlives the record.
func Bytes() BytesCodec { return BytesCodec{} }

// Append implements [Codec].
func (BytesCodec) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

// Parse implements [Codec]. It never fails.
func (BytesCodec) Parse(data []byte) ([]byte, error) { return bytes.Clone(data), nil }

// Encode implements goka.Codec for values of type []byte. As with goka's own, a nil slice stays nil, which goka writes
// as a tombstone.
func (c BytesCodec) Encode(value any) ([]byte, error) {
	if b, ok := value.([]byte); ok && b == nil {
		return nil, nil
	}
	return encodeAny(c, value)
}

// Decode implements goka.Codec. The result is a []byte.
func (c BytesCodec) Decode(data []byte) (any, error) { return decodeAny(c, data) }
