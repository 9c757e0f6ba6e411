package jsonschema

import (
	"strconv"
	"strings"
)

// wholeNumbers is a valid document with its whole numbers written as Go reads them into integers: JSON Schema takes 1.0 and 1e2 for
// integers, and encoding/json does not. Those that no integer of Go has stay as they are, and so does data where there is nothing to change.
func wholeNumbers(data []byte) []byte {
	var out []byte
	kept := 0 // what of data is in out
	for at := 0; at < len(data); {
		switch c := data[at]; {
		case c == '"':
			at = afterString(data, at)
		case c == '-' || c >= '0' && c <= '9':
			end := at + 1
			for end < len(data) && strings.IndexByte("0123456789+-.eE", data[end]) >= 0 {
				end++
			}
			if digits, ok := whole(string(data[at:end])); ok {
				out = append(append(out, data[kept:at]...), digits...)
				kept = end
			}
			at = end
		default:
			at++
		}
	}
	if kept == 0 {
		return data
	}
	return append(out, data[kept:]...)
}

func afterString(data []byte, at int) int {
	for at++; at < len(data) && data[at] != '"'; at++ {
		if data[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// mostDigits is how many digits the largest number of a uint64 has.
const mostDigits = 20

// whole is a number with a fraction or an exponent that comes to an integer, as its digits.
func whole(number string) (digits string, ok bool) {
	mantissa, power, _ := strings.Cut(strings.ToLower(number), "e")
	if len(mantissa) == len(number) && strings.IndexByte(number, '.') < 0 {
		return "", false
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	integer, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimLeft(integer+fraction, "0")
	if digits == "" {
		return sign + "0", true
	}
	exponent := 0
	if power != "" {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil {
			return "", false
		}
	}
	significant := strings.TrimRight(digits, "0")
	zeros := len(digits) - len(significant) + exponent - len(fraction)
	if zeros < 0 || len(significant)+zeros > mostDigits {
		return "", false
	}
	return sign + significant + strings.Repeat("0", zeros), true
}
