package avrovalue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/weirstream/weir/internal/jsonscan"
)

// Decode reads a value into what v points to, and says what follows it. The error of a value that the reader's schema has no place for
// has the place in the value.
func (r *Reader) Decode(data []byte, v any) (rest []byte, err error) {
	if r.rewrite == nil {
		return r.schema.Decode(data, v)
	}
	buffer := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= 1<<20 {
			buffers.Put(buffer)
		}
	}()
	w := rewriter{decoder: decoder{data: data, out: (*buffer)[:0], most: MaxBytes}}
	err = w.value(r.rewrite, 0)
	*buffer = w.out
	if err != nil {
		return nil, jsonscan.Located(err)
	}
	left, err := r.schema.Decode(w.out, v)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d bytes follow the value as it is read", len(left))
	}
	return w.data, err
}

// buffers are for values that are rewritten. What is decoded of them holds copies.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// rewriter turns an encoded value of the writer's schema into one of the reader's.
type rewriter struct {
	decoder
	empty int // elements that had no bytes
}

// mostEmpty bounds the elements without bytes in a value, whose number costs whoever writes it nothing.
const mostEmpty = 4096

func (w *rewriter) value(s *step, depth int) error {
	if err := w.bounded(depth); err != nil {
		return err
	}
	switch {
	case s.branches != nil:
		b, err := w.branchOf(s.written)
		if err != nil {
			return err
		}
		return w.value(s.branches[b], depth+1)
	case s.refused != nil:
		return s.refused
	case s.as != nil:
		w.out = binary.AppendVarint(w.out, s.branch)
		return w.value(s.as, depth+1)
	}
	switch s.written.kind {
	case "record":
		if s.inOrder {
			return w.inOrder(s, depth)
		}
		return w.reordered(s, depth)
	case "array":
		return w.blocks(func(i int) error {
			if err := w.value(s.items, depth+1); err != nil {
				return jsonscan.At(err, i)
			}
			return nil
		})
	case "map":
		return w.blocks(func(int) error {
			key, err := w.sized()
			if err != nil {
				return err
			}
			w.sizedOut(key)
			if err := w.value(s.items, depth+1); err != nil {
				return jsonscan.Below(err, string(key))
			}
			return nil
		})
	case "enum":
		i, err := w.symbolOf(s.written)
		if err != nil {
			return err
		}
		if s.symbols[i] < 0 {
			return fmt.Errorf("the symbol %s was written, and the enum %s that it is read with has only %s, and no default",
				s.written.symbols[i], s.read.name, strings.Join(s.read.symbols, ", "))
		}
		w.out = binary.AppendVarint(w.out, s.symbols[i])
		return nil
	}
	return w.primitive(s.read.kind, s.written)
}

func (w *rewriter) bounded(depth int) error {
	if depth > deepest {
		return fmt.Errorf("it is nested deeper than %d", deepest)
	}
	if len(w.out) > w.most {
		return errLarge
	}
	return nil
}

// deepest counts a union as a level too, as its branch.
const deepest = 3 * jsonscan.MaxDepth

func (w *rewriter) branchOf(n *node) (int64, error) {
	i, err := w.long()
	if err == nil && (i < 0 || i >= int64(len(n.branches))) {
		err = fmt.Errorf("the union has no branch %d: it has %s", i, n.branchNames())
	}
	return i, err
}

func (w *rewriter) symbolOf(n *node) (int64, error) {
	i, err := w.long()
	if err == nil && (i < 0 || i >= int64(len(n.symbols))) {
		err = fmt.Errorf("the enum %s has no symbol %d", n.name, i)
	}
	return i, err
}

// inOrder reads a record whose fields are in the reader's order; what was not written has its default.
func (w *rewriter) inOrder(s *step, depth int) error {
	next := 0
	for i := range s.fields {
		m := &s.fields[i]
		if len(m.to) == 0 {
			if err := w.skip(m.written, depth+1); err != nil {
				return jsonscan.Below(err, s.written.fields[i].name)
			}
			continue
		}
		for ; next < m.to[0]; next++ {
			w.out = append(w.out, s.read.fields[next].encoded...)
		}
		next++
		if err := w.value(m.as[0], depth+1); err != nil {
			return jsonscan.Below(err, s.read.fields[m.to[0]].name)
		}
	}
	for ; next < len(s.read.fields); next++ {
		w.out = append(w.out, s.read.fields[next].encoded...)
	}
	return nil
}

// reordered reads the fields as they come, and then puts them in the reader's order.
func (w *rewriter) reordered(s *step, depth int) error {
	base := len(w.out)
	type span struct{ from, to int }
	spans := make([]span, len(s.read.fields))
	for i := range s.fields {
		m := &s.fields[i]
		start := w.data
		if len(m.to) == 0 {
			if err := w.skip(m.written, depth+1); err != nil {
				return jsonscan.Below(err, s.written.fields[i].name)
			}
		}
		for n, to := range m.to {
			w.data = start
			from := len(w.out)
			if err := w.value(m.as[n], depth+1); err != nil {
				return jsonscan.Below(err, s.read.fields[to].name)
			}
			spans[to] = span{from - base, len(w.out) - base}
		}
	}
	written := slices.Clone(w.out[base:])
	w.out = w.out[:base]
	for i := range s.read.fields {
		if s.written.sourceOf(&s.read.fields[i]) < 0 {
			w.out = append(w.out, s.read.fields[i].encoded...)
		} else {
			w.out = append(w.out, written[spans[i].from:spans[i].to]...)
		}
	}
	return nil
}

// blocks rewrites the blocks of an array or map.
func (w *rewriter) blocks(element func(i int) error) error {
	for i := 0; ; {
		count, _, err := w.block()
		if err != nil {
			return err
		}
		w.out = binary.AppendVarint(w.out, count)
		if count == 0 {
			return nil
		}
		for ; count > 0; count-- {
			before := len(w.data)
			if err := element(i); err != nil {
				return err
			}
			if err := w.counted(before); err != nil {
				return err
			}
			i++
		}
	}
}

// block reads how many elements a block has, and how many bytes where it says so, or else -1.
func (w *rewriter) block() (count, size int64, err error) {
	if count, err = w.long(); err != nil || count >= 0 {
		return count, -1, err
	}
	if size, err = w.long(); err == nil && (size < 0 || size > int64(len(w.data))) {
		err = fmt.Errorf("a block has %d bytes, and %d are left", size, len(w.data))
	}
	if count = -count; count < 0 {
		err = errors.New("a block has a count beyond 64 bits")
	}
	return count, size, err
}

func (w *rewriter) counted(before int) error {
	if len(w.data) == before {
		if w.empty++; w.empty > mostEmpty {
			return fmt.Errorf("more than %d elements have no bytes", mostEmpty)
		}
	}
	return nil
}

// primitive copies a value, or widens it.
func (w *rewriter) primitive(as string, n *node) error {
	switch n.kind {
	case "null":
	case "boolean":
		return w.copied(1)
	case "fixed":
		return w.copied(n.size)
	case "int", "long":
		v, err := w.long()
		if err == nil && n.kind == "int" && v != int64(int32(v)) {
			err = fmt.Errorf("%d is beyond what an Avro int holds", v)
		}
		if err != nil {
			return err
		}
		switch as {
		case "float":
			w.out = binary.LittleEndian.AppendUint32(w.out, math.Float32bits(float32(v)))
		case "double":
			w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(float64(v)))
		default:
			w.out = binary.AppendVarint(w.out, v)
		}
	case "float":
		if as == "float" {
			return w.copied(4)
		}
		b, err := w.take(4)
		if err != nil {
			return err
		}
		w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))))
	case "double":
		return w.copied(8)
	case "bytes", "string":
		b, err := w.sized()
		if err != nil {
			return err
		}
		w.sizedOut(b)
	}
	return nil
}

func (w *rewriter) copied(n int) error {
	b, err := w.take(n)
	w.out = append(w.out, b...)
	return err
}

func (w *rewriter) sizedOut(b []byte) {
	w.out = append(binary.AppendVarint(w.out, int64(len(b))), b...)
}

// skip passes over a value that nobody reads.
func (w *rewriter) skip(n *node, depth int) (err error) {
	if err := w.bounded(depth); err != nil {
		return err
	}
	switch n.kind {
	case "record":
		for i := range n.fields {
			if err := w.skip(n.fields[i].node, depth+1); err != nil {
				return jsonscan.Below(err, n.fields[i].name)
			}
		}
	case "array", "map":
		return w.skipBlocks(n, depth)
	case "union":
		b, err := w.branchOf(n)
		if err != nil {
			return err
		}
		return w.skip(n.branches[b], depth+1)
	case "enum":
		_, err = w.symbolOf(n)
	default:
		end := len(w.out)
		err = w.primitive(n.kind, n)
		w.out = w.out[:end]
	}
	return err
}

func (w *rewriter) skipBlocks(n *node, depth int) error {
	for {
		count, size, err := w.block()
		if err != nil || count == 0 {
			return err
		}
		if size >= 0 {
			_, err = w.take(int(size))
			if err != nil {
				return err
			}
			continue
		}
		for ; count > 0; count-- {
			before := len(w.data)
			if n.kind == "map" {
				if _, err := w.sized(); err != nil {
					return err
				}
			}
			if err := w.skip(n.items, depth+1); err != nil {
				return err
			}
			if err := w.counted(before); err != nil {
				return err
			}
		}
	}
}
