// Package framing reads and writes what stands before a value that a schema registry knows: which schema it was written with.
//
// There are two forms, both Confluent's. In the older one the value begins with a byte 0 and the schema's id, four bytes with the highest
// first. In the newer one a header of the record, __value_schema_id or __key_schema_id, is a byte 1 and the schema's GUID, 16 bytes, and
// the value has nothing before it. In Protobuf's files both are followed by which message of the file it is: a count and as many
// indexes from the outermost message on, as zigzag varints; a single 0 stands for the first message.
package framing

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// The headers of the newer form.
const (
	KeyHeader   = "__key_schema_id"
	ValueHeader = "__value_schema_id"
)

// HeaderOf is the header for a record's key or value.
func HeaderOf(key bool) string {
	if key {
		return KeyHeader
	}
	return ValueHeader
}

// Frame says which schema a value was written with: by GUID or, where that is empty, by ID.
type Frame struct {
	ID   int
	GUID string // 8-4-4-4-12 hexadecimal digits
}

func (f Frame) String() string {
	if f.GUID != "" {
		return f.GUID
	}
	return fmt.Sprint(f.ID)
}

const (
	magicID   = 0
	magicGUID = 1
	idSize    = 4
	guidSize  = 16
)

// ErrNone says that a value says of no schema.
var ErrNone = errors.New("the value does not say which schema it was written with: it begins with none of the magic bytes 0 and 1, and the record has no header with a GUID")

// Read takes a frame from the record's header, where there is one, and from the value otherwise. What is left of the first two is, for
// Protobuf, where the indexes stand: pass rest to Indexes; without a header that is the value itself.
func Read(value, header []byte) (f Frame, rest []byte, inHeader bool, err error) {
	at := value
	if len(header) > 0 {
		at, inHeader = header, true
	}
	if len(at) == 0 {
		return f, nil, false, ErrNone
	}
	switch magic := at[0]; {
	case magic == magicID && !inHeader:
		if len(at) < 1+idSize {
			return f, nil, false, fmt.Errorf("the value ends within the id of its schema, after %d bytes", len(at))
		}
		return Frame{ID: int(int32(binary.BigEndian.Uint32(at[1:])))}, at[1+idSize:], false, nil
	case magic == magicGUID:
		if len(at) < 1+guidSize {
			return f, nil, false, fmt.Errorf("the GUID of the schema is cut off, after %d bytes", len(at))
		}
		return Frame{GUID: formatGUID(at[1 : 1+guidSize])}, at[1+guidSize:], inHeader, nil
	}
	if inHeader {
		return f, nil, true, fmt.Errorf("the header for the GUID of the schema begins with %#x, and not with the magic byte 1", at[0])
	}
	return f, nil, false, ErrNone
}

func formatGUID(b []byte) string {
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// AppendID begins a value with an id.
func AppendID(dst []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, magicID), uint32(id))
}

// Header is the header's value for a GUID.
func Header(guid string) ([]byte, error) {
	out := make([]byte, 1, 1+guidSize)
	out[0] = magicGUID
	for i := 0; i < len(guid); i++ {
		if guid[i] == '-' {
			continue
		}
		if i+2 > len(guid) {
			return nil, fmt.Errorf("%q is no GUID", guid)
		}
		var err error
		if out, err = hex.AppendDecode(out, []byte(guid[i:i+2])); err != nil {
			return nil, fmt.Errorf("%q is no GUID", guid)
		}
		i++
	}
	if len(out) != 1+guidSize {
		return nil, fmt.Errorf("%q is no GUID", guid)
	}
	return out, nil
}

// maxIndexes bounds how deep a message may be nested in others.
const maxIndexes = 100

// Indexes reads which message of a Protobuf file follows.
func Indexes(data []byte) (indexes []int, rest []byte, err error) {
	count, n := binary.Varint(data)
	if n <= 0 || count < 0 || count > maxIndexes {
		return nil, nil, errors.New("the message indexes before the value are damaged")
	}
	if data = data[n:]; count == 0 {
		return []int{0}, data, nil
	}
	for range count {
		i, n := binary.Varint(data)
		if n <= 0 || i < 0 || i > 1<<20 {
			return nil, nil, errors.New("the message indexes before the value are damaged")
		}
		indexes, data = append(indexes, int(i)), data[n:]
	}
	return indexes, data, nil
}

// AppendIndexes writes which message of a Protobuf file follows.
func AppendIndexes(dst []byte, indexes []int) []byte {
	if len(indexes) == 1 && indexes[0] == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(len(indexes)))
	for _, i := range indexes {
		dst = binary.AppendVarint(dst, int64(i))
	}
	return dst
}
