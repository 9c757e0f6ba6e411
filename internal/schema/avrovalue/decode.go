package avrovalue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/jsonscan"
)

// AppendJSON writes an encoded value as JSON after dst. A string that is not UTF-8 is refused. Its error has the place
// in the value.
func (s *Schema) AppendJSON(dst, encoded []byte) ([]byte, error) {
	d := decoder{data: encoded, out: dst, most: len(dst) + MaxBytes}
	err := d.value(s.root, 0)
	if err == nil && len(d.data) > 0 {
		err = fmt.Errorf("%d bytes follow the value", len(d.data))
	}
	if err != nil {
		return dst, jsonscan.Located(err)
	}
	return d.out, nil
}

type decoder struct {
	data []byte // not read yet
	out  []byte
	most int
}

var errShort = errors.New("the value ends too early")

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.data) {
		return nil, errShort
	}
	taken := d.data[:n]
	d.data = d.data[n:]
	return taken, nil
}

func (d *decoder) long() (int64, error) {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		if n == 0 {
			return 0, errShort
		}
		return 0, errors.New("a number is longer than 64 bits")
	}
	d.data = d.data[n:]
	return v, nil
}

// sized takes bytes with their length before them.
func (d *decoder) sized() ([]byte, error) {
	n, err := d.long()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(d.data)) {
		return nil, fmt.Errorf("a length is %d, and %d bytes are left", n, len(d.data))
	}
	return d.take(int(n))
}

func (d *decoder) value(n *node, depth int) error {
	if depth > jsonscan.MaxDepth {
		return fmt.Errorf("it is nested deeper than %d", jsonscan.MaxDepth)
	}
	if len(d.out) > d.most {
		return errLarge
	}
	switch n.kind {
	case "null":
		d.out = append(d.out, "null"...)
	case "boolean":
		b, err := d.take(1)
		if err != nil {
			return err
		}
		d.out = strconv.AppendBool(d.out, b[0] == 1)
	case "int", "long":
		v, err := d.long()
		if err == nil && n.kind == "int" && v != int64(int32(v)) {
			err = fmt.Errorf("%d is beyond what an Avro int holds", v)
		}
		if err != nil {
			return err
		}
		d.out = strconv.AppendInt(d.out, v, 10)
	case "float":
		b, err := d.take(4)
		if err != nil {
			return err
		}
		d.float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
	case "double":
		b, err := d.take(8)
		if err != nil {
			return err
		}
		d.float(math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
	case "bytes":
		b, err := d.sized()
		if err != nil {
			return err
		}
		d.bytes(n, b)
	case "fixed":
		b, err := d.take(n.size)
		if err != nil {
			return err
		}
		d.bytes(n, b)
	case "string":
		b, err := d.text()
		if err != nil {
			return err
		}
		d.out = appendString(d.out, b)
	case "enum":
		i, err := d.long()
		if err != nil {
			return err
		}
		if i < 0 || i >= int64(len(n.symbols)) {
			return fmt.Errorf("the enum %s has no symbol %d", n.name, i)
		}
		d.out = appendString(d.out, []byte(n.symbols[i]))
	case "record":
		return d.record(n, depth)
	case "array":
		return d.blocks('[', ']', func(i int) error {
			if err := d.value(n.items, depth+1); err != nil {
				return jsonscan.At(err, i)
			}
			return nil
		})
	case "map":
		return d.blocks('{', '}', func(int) error {
			name, err := d.text()
			if err != nil {
				return err
			}
			d.out = append(appendString(d.out, name), ':')
			if err := d.value(n.items, depth+1); err != nil {
				return jsonscan.Below(err, string(name))
			}
			return nil
		})
	default:
		return d.union(n, depth)
	}
	return nil
}

// text takes a string. One that is not UTF-8 is none, and in JSON it would be another.
func (d *decoder) text() ([]byte, error) {
	b, err := d.sized()
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a string has bytes that are not UTF-8")
	}
	return b, err
}

func (d *decoder) record(n *node, depth int) error {
	d.out = append(d.out, '{')
	for i := range n.fields {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.out = append(appendString(d.out, []byte(n.fields[i].name)), ':')
		if err := d.value(n.fields[i].node, depth+1); err != nil {
			return jsonscan.Below(err, n.fields[i].name)
		}
	}
	d.out = append(d.out, '}')
	return nil
}

// blocks reads the blocks of an array or map.
func (d *decoder) blocks(open, end byte, element func(i int) error) error {
	d.out = append(d.out, open)
	for i := 0; ; {
		count, err := d.long()
		if err != nil {
			return err
		}
		if count == 0 {
			break
		}
		if count < 0 { // its size in bytes follows, for who skips it
			if _, err := d.long(); err != nil {
				return err
			}
			if count = -count; count < 0 {
				return errors.New("a block has a count beyond 64 bits")
			}
		}
		for ; count > 0; count-- {
			if i > 0 {
				d.out = append(d.out, ',')
			}
			if err := element(i); err != nil {
				return err
			}
			i++
		}
	}
	d.out = append(d.out, end)
	return nil
}

// union writes the value alone where reading it finds the branch again.
func (d *decoder) union(n *node, depth int) error {
	i, err := d.long()
	if err != nil {
		return err
	}
	if i < 0 || i >= int64(len(n.branches)) {
		return fmt.Errorf("the union has no branch %d: it has %s", i, n.branchNames())
	}
	b := n.branches[i]
	if b.kind == "null" || n.only >= 0 && b.kind != "map" && !b.hasField(b.name) {
		return d.value(b, depth+1)
	}
	d.out = append(appendString(append(d.out, '{'), []byte(b.name)), ':')
	if err := d.value(b, depth+1); err != nil {
		return err
	}
	d.out = append(d.out, '}')
	return nil
}

func (n *node) hasField(name string) bool {
	_, ok := n.at[name]
	return ok
}

func (d *decoder) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		d.out = append(d.out, `"NaN"`...)
	case math.IsInf(v, 1):
		d.out = append(d.out, `"Infinity"`...)
	case math.IsInf(v, -1):
		d.out = append(d.out, `"-Infinity"`...)
	default:
		d.out = strconv.AppendFloat(d.out, v, 'g', -1, bits)
	}
}

func (d *decoder) bytes(n *node, b []byte) {
	if n.logical == "decimal" && len(b) > 0 {
		if text, ok := decimalText(b, n.scale); ok {
			d.out = append(d.out, text...)
			return
		}
	}
	chars := make([]byte, 0, len(b))
	for _, c := range b {
		chars = utf8.AppendRune(chars, rune(c))
	}
	d.out = appendString(d.out, chars)
}

const hexDigits = "0123456789abcdef"

// appendString writes text as a JSON string.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r) // of what is no rune it is U+FFFD
		}
		text = text[n:]
	}
	return append(dst, '"')
}
