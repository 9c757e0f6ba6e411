package jsonvalue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Equal says whether two values are equal as JSON Schema has it.
func Equal(a, b any) bool { return bytes.Equal(appendKey(nil, a), appendKey(nil, b)) }

// appendKey writes a value so that two values have the same text when they are equal as JSON Schema has it, and only then: numbers by what they
// are worth, objects without the order of their members.
func appendKey(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case json.Number:
		return append(appendWorth(append(dst, '0'), string(v)), 0)
	case string:
		return append(binary.AppendUvarint(append(dst, 's'), uint64(len(v))), v...)
	case []any:
		dst = binary.AppendUvarint(append(dst, '['), uint64(len(v)))
		for _, e := range v {
			dst = appendKey(dst, e)
		}
		return dst
	case map[string]any:
		dst = binary.AppendUvarint(append(dst, '{'), uint64(len(v)))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			dst = appendKey(appendKey(dst, name), v[name])
		}
		return dst
	}
	return append(dst, 'n')
}

// appendWorth writes a number as its digits, without zeros at either end, and the power of ten of the last one.
func appendWorth(dst []byte, number string) []byte {
	digits, power := number, 0
	if at := strings.IndexAny(number, "eE"); at >= 0 {
		n, err := strconv.Atoi(number[at+1:])
		if err != nil {
			return append(dst, number...) // of a schema: documents have none so large
		}
		digits, power = number[:at], n
	}
	digits, negative := strings.CutPrefix(digits, "-")
	if whole, fraction, ok := strings.Cut(digits, "."); ok {
		digits, power = whole+fraction, power-len(fraction)
	}
	digits = strings.TrimLeft(digits, "0")
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return dst
	}
	if negative {
		dst = append(dst, '-')
	}
	return strconv.AppendInt(append(append(dst, short...), 'e'), int64(power+len(digits)-len(short)), 10)
}

// uniqueItems is the keyword. The library's own compares each with each where hashes are the same, and values with the same hash are easily
// made: 1 and -1, or ["a\u0004b"] and ["a","b"].
type uniqueItems struct{ *checker }

func (u uniqueItems) Validate(ctx *jsonschema.ValidatorContext, v any) {
	list, _ := v.([]any)
	if len(list) <= 20 { // each with each is less work then
		if i, j, err := ctx.Duplicates(list); err == nil && i >= 0 {
			ctx.AddError(&kind.UniqueItems{Duplicates: [2]int{i, j}})
		}
		return
	}
	seen := make(map[string]int, len(list))
	var key []byte
	for i, e := range list {
		key = appendKey(key[:0], e)
		u.spend(1 + len(key)/textOfStep)
		if first, ok := seen[string(key)]; ok {
			ctx.AddError(&kind.UniqueItems{Duplicates: [2]int{first, i}})
			return
		}
		seen[string(key)] = i
	}
}
