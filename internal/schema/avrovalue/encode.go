package avrovalue

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/internal/jsonscan"
)

// MaxBytes bounds a value in either form: defaults make a small document large.
const MaxBytes = 64 << 20

// maxTries bounds how often a value is tried as a branch of a union: unions within unions multiply.
const maxTries = 10_000

// Append encodes a JSON document after dst. Its error has the place in the document.
func (s *Schema) Append(dst, document []byte) ([]byte, error) {
	e := encoder{Scanner: jsonscan.New(document), most: len(dst) + MaxBytes}
	out, err := e.value(s.root, dst)
	if err == nil {
		err = e.End()
	}
	if err != nil {
		return dst, jsonscan.Located(err)
	}
	return out, nil
}

type encoder struct {
	jsonscan.Scanner
	most  int
	tries int
}

var errLarge = fmt.Errorf("the value is larger than %d bytes", MaxBytes)

// value reads one value and appends it.
func (e *encoder) value(n *node, dst []byte) ([]byte, error) {
	if len(dst) > e.most {
		return nil, errLarge
	}
	switch n.kind {
	case "null":
		return dst, e.Null()
	case "boolean":
		b, err := e.Bool()
		if b {
			return append(dst, 1), err
		}
		return append(dst, 0), err
	case "int", "long":
		v, err := e.integer(n)
		return binary.AppendVarint(dst, v), err
	case "float":
		v, err := e.float(32)
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v))), err
	case "double":
		v, err := e.float(64)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), err
	case "bytes", "fixed":
		return e.bytes(n, dst)
	case "string":
		text, err := e.String()
		if err == nil && n.logical == "uuid" {
			_, err = uuidBytes(string(text))
		}
		return append(binary.AppendVarint(dst, int64(len(text))), text...), err
	case "enum":
		text, err := e.String()
		if err != nil {
			return nil, err
		}
		i, ok := n.at[string(text)]
		if !ok {
			return nil, fmt.Errorf("%q is no symbol of the enum %s: it has %s", shortened(string(text)), n.name, shortened(strings.Join(n.symbols, ", ")))
		}
		return binary.AppendVarint(dst, int64(i)), nil
	case "record":
		return e.record(n, dst)
	case "array":
		return e.block(dst, func(dst []byte) (out []byte, count int, err error) {
			err = e.Array(func(int) (err error) {
				count++
				dst, err = e.value(n.items, dst)
				return err
			})
			return dst, count, err
		})
	case "map":
		return e.block(dst, func(dst []byte) (out []byte, count int, err error) {
			err = e.Object(func(name []byte) (err error) {
				count++
				dst = append(binary.AppendVarint(dst, int64(len(name))), name...)
				dst, err = e.value(n.items, dst)
				return err
			})
			return dst, count, err
		})
	default:
		return e.union(n, dst)
	}
}

func shortened(text string) string {
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}

// block appends elements as one block. How many there are stands before them, and is known after them.
func (e *encoder) block(dst []byte, elements func([]byte) ([]byte, int, error)) ([]byte, error) {
	at := len(dst)
	dst, count, err := elements(dst)
	if err != nil {
		return nil, err
	}
	if count > 0 {
		var head [binary.MaxVarintLen64]byte
		dst = slices.Insert(dst, at, head[:binary.PutVarint(head[:], int64(count))]...)
	}
	return append(dst, 0), nil
}

// record appends fields as they come, and puts them in the schema's order afterwards where they came in another one.
func (e *encoder) record(n *node, dst []byte) ([]byte, error) {
	type span struct{ from, to int }
	var few [24]span
	spans := few[:]
	if len(n.fields) > len(spans) {
		spans = make([]span, len(n.fields))
	}
	from, next, ordered := len(dst), 0, true
	err := e.Object(func(name []byte) (err error) {
		i, ok := n.at[string(name)]
		if !ok {
			return fmt.Errorf("the record %s has no such field", n.name)
		}
		ordered = ordered && i == next
		next++
		at := len(dst)
		dst, err = e.value(n.fields[i].node, dst)
		spans[i] = span{at, len(dst)}
		if spans[i].to == 0 {
			spans[i] = span{-1, -1} // nothing, at the very beginning
		}
		return err
	})
	if err != nil || ordered && next == len(n.fields) {
		return dst, err
	}
	came := slices.Clone(dst[from:])
	dst = dst[:from]
	for i := range n.fields {
		f, s := &n.fields[i], spans[i]
		switch {
		case s.to > 0:
			dst = append(dst, came[s.from-from:s.to-from]...)
		case s.to < 0:
		case f.has:
			dst = append(dst, f.encoded...)
		case f.node.kind == "null":
		case f.node.null >= 0:
			dst = binary.AppendVarint(dst, int64(f.node.null))
		default:
			return nil, jsonscan.Below(errors.New("the field is missing, and has no default"), f.name)
		}
		if len(dst) > e.most {
			return nil, errLarge
		}
	}
	return dst, nil
}

func (e *encoder) integer(n *node) (int64, error) {
	if n.logical != "" && e.Peek() == '"' {
		text, err := e.String()
		if err != nil {
			return 0, err
		}
		return timeOf(n.logical, string(text))
	}
	digits, err := e.Number()
	if err != nil {
		return 0, err
	}
	bits := 64
	if n.kind == "int" {
		bits = 32
	}
	v, err := strconv.ParseInt(string(digits), 10, bits)
	if errors.Is(err, strconv.ErrSyntax) {
		if plain, ok := whole(string(digits)); ok {
			v, err = strconv.ParseInt(plain, 10, bits)
		}
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is beyond what an Avro %s holds", shortened(string(digits)), n.kind)
	case err != nil:
		return 0, fmt.Errorf("%s is no whole number, which an Avro %s is", shortened(string(digits)), n.kind)
	}
	if most, ok := longestDay[n.logical]; ok && (v < 0 || v >= most) {
		return 0, fmt.Errorf("%d is no time of day: %s is from 0 to %d", v, n.logical, most-1)
	}
	return v, nil
}

// whole is a number of JSON without a fraction and an exponent: 1.0, 1e3 and 100e-2 are whole numbers too. One that no Avro type holds may be shorter.
func whole(text string) (plain string, ok bool) {
	text, negative := strings.CutPrefix(text, "-")
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	before, after, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(before+after, "0")
	if digits == "" {
		return "0", true
	}
	shift := 0
	if exponent != "" {
		shift, _ = strconv.Atoi(exponent) // one that is out of range is the largest, or the least
		shift = min(max(shift, -1<<30), 1<<30)
	}
	significant := strings.TrimRight(digits, "0")
	if shift += len(digits) - len(significant) - len(after); shift < 0 {
		return "", false
	}
	plain = significant + strings.Repeat("0", min(shift, 20))
	if negative {
		plain = "-" + plain
	}
	return plain, true
}

func (e *encoder) float(bits int) (float64, error) {
	if e.Peek() == '"' {
		text, err := e.String()
		if err != nil {
			return 0, err
		}
		switch string(text) { // as Java writes them
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
		return 0, fmt.Errorf("%q is no number", shortened(string(text)))
	}
	digits, err := e.Number()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(string(digits), bits)
	if err != nil {
		return 0, fmt.Errorf("%s is beyond what %d bits hold", shortened(string(digits)), bits)
	}
	return v, nil
}

// bytes appends bytes or a fixed: a string whose characters are the bytes, or what a logical type reads.
func (e *encoder) bytes(n *node, dst []byte) ([]byte, error) {
	if n.logical == "decimal" && e.Peek() == '0' {
		digits, err := e.Number()
		if err != nil {
			return nil, err
		}
		raw, err := decimalBytes(string(digits), n)
		return e.raw(n, dst, raw, err)
	}
	text, err := e.String()
	if err != nil {
		return nil, err
	}
	if n.logical == "uuid" && len(text) == 36 {
		raw, err := uuidBytes(string(text))
		return e.raw(n, dst, raw, err)
	}
	raw := make([]byte, 0, len(text))
	for _, c := range string(text) {
		if c > 0xff {
			return nil, fmt.Errorf("the character %q stands for no byte: bytes are written as the characters up to U+00FF", c)
		}
		raw = append(raw, byte(c))
	}
	switch n.logical {
	case "decimal":
		err = n.meantAsBytes(text, raw)
	case "big-decimal":
		err = bigDecimal(raw)
	}
	if err != nil {
		return nil, err
	}
	return e.raw(n, dst, raw, nil)
}

func (e *encoder) raw(n *node, dst, raw []byte, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case n.kind == "bytes":
		return append(binary.AppendVarint(dst, int64(len(raw))), raw...), nil
	case len(raw) != n.size:
		return nil, fmt.Errorf("there are %d bytes, and the fixed %s has %d", len(raw), n.name, n.size)
	}
	return append(dst, raw...), nil
}

// meantAsBytes refuses a text for a decimal that is no bytes of one: more digits than the schema has, or a number as people write it. "12.34" as
// bytes would be a number of a thousand million. Up to two characters are taken as bytes, which small numbers often have.
func (n *node) meantAsBytes(text, raw []byte) error {
	if number.Match(text) && len(text) > 2 {
		return fmt.Errorf("%q is a text, which stands for the bytes of a decimal: write the number without quotes", shortened(string(text)))
	}
	if digits, ok := decimalText(raw, 0); ok && len(strings.TrimPrefix(digits, "-")) > n.digits {
		return fmt.Errorf("%q is a text, which stands for the bytes of a decimal, and as that it has more than the %d digits of the schema: write a number without quotes", shortened(string(text)), n.digits)
	}
	return nil
}

var number = regexp.MustCompile(`^[-+]?[0-9]*[.,]?[0-9]+([eE][-+]?[0-9]+)?$`)

// union appends a value as the branch that takes it.
func (e *encoder) union(n *node, dst []byte) ([]byte, error) {
	kind := e.Peek()
	if kind == 'n' {
		if n.null < 0 {
			return nil, fmt.Errorf("null is none of %s", n.branchNames())
		}
		return binary.AppendVarint(dst, int64(n.null)), e.Null()
	}
	if name, ok := e.FirstName(); ok {
		if i := n.branch(string(name)); i >= 0 {
			out, err := e.wrapped(n, i, dst)
			if err == nil {
				return out, nil
			}
			if out, plain := e.plain(n, kind, dst); plain == nil {
				return out, nil
			}
			return nil, err
		}
	}
	return e.plain(n, kind, dst)
}

// wrapped reads {"branch": value}, or nothing.
func (e *encoder) wrapped(n *node, i int, dst []byte) ([]byte, error) {
	if e.tries++; e.tries > maxTries {
		return nil, errTries
	}
	before, members := e.Scanner, 0
	err := e.Object(func([]byte) (err error) {
		if members++; members > 1 {
			return errors.New("the value of a union has one member")
		}
		dst, err = e.value(n.branches[i], binary.AppendVarint(dst, int64(i)))
		return err
	})
	if err != nil {
		e.Scanner = before
	}
	return dst, err
}

var errTries = fmt.Errorf("the value was tried as a branch of a union %d times: name the branches, as {\"branch\": value}", maxTries)

// plain tries the branches that a value may be of. Of numbers the first that holds it counts, a whole number's branches before others, but not where it is
// written with a fraction or an exponent; of all else there must not be two.
func (e *encoder) plain(n *node, kind jsonscan.Kind, dst []byte) ([]byte, error) {
	candidates := n.candidates(kind)
	if kind == '0' && len(candidates) > 1 {
		ahead := e.Scanner
		text, err := ahead.Number()
		if err != nil {
			return nil, err
		}
		sign := 1
		if bytes.ContainsAny(text, ".eE") {
			sign = -1
		}
		slices.SortStableFunc(candidates, func(a, b int) int { return sign * cmp.Compare(n.branches[a].inexact(), n.branches[b].inexact()) })
	}
	switch len(candidates) {
	case 0:
		if err := e.Skip(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s is none of %s", kind, n.branchNames())
	case 1:
		return e.value(n.branches[candidates[0]], binary.AppendVarint(dst, int64(candidates[0])))
	}
	before := e.Scanner
	var taken []byte
	var after jsonscan.Scanner
	var fits []string
	var first error
	for _, i := range candidates {
		if e.tries++; e.tries > maxTries {
			return nil, errTries
		}
		e.Scanner = before
		out, err := e.value(n.branches[i], binary.AppendVarint(nil, int64(i)))
		if errors.Is(err, errTries) {
			return nil, err
		}
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		if fits = append(fits, n.branches[i].name); len(fits) == 1 {
			taken, after = out, e.Scanner
		}
		if kind == '0' {
			break
		}
	}
	switch len(fits) {
	case 0:
		return nil, first
	case 1:
		e.Scanner = after
		return append(dst, taken...), nil
	}
	return nil, fmt.Errorf("it may be %s: say which, as {%q: ...}", strings.Join(fits, " or "), fits[0])
}

// candidates are the branches that a JSON value of a kind may be of.
func (n *node) candidates(kind jsonscan.Kind) (list []int) {
	for i, b := range n.branches {
		if takes(b, kind) {
			list = append(list, i)
		}
	}
	return list
}

func (n *node) inexact() int {
	if n.kind == "int" || n.kind == "long" {
		return 0
	}
	return 1
}

// takes says whether a JSON value of a kind may be of a branch.
func takes(b *node, kind jsonscan.Kind) bool {
	switch kind {
	case '{':
		return b.kind == "record" || b.kind == "map"
	case '[':
		return b.kind == "array"
	case '"':
		return b.kind == "string" || b.kind == "enum" || b.kind == "bytes" || b.kind == "fixed" || b.logical != "" && (b.kind == "int" || b.kind == "long")
	case 't', 'f':
		return b.kind == "boolean"
	case '0':
		return b.kind == "int" || b.kind == "long" || b.kind == "float" || b.kind == "double" || b.logical == "decimal"
	}
	return false
}

// branch is the branch of a name, as the specification has it, or with its logical type as goavro has it; -1 is none.
func (n *node) branch(name string) int {
	return slices.IndexFunc(n.branches, func(b *node) bool {
		return b.kind != "null" && (b.name == name || b.logical != "" && b.name+"."+b.logical == name)
	})
}

func (n *node) branchNames() string {
	var names []string
	for _, b := range n.branches {
		names = append(names, b.name)
	}
	return shortened(strings.Join(names, ", "))
}
