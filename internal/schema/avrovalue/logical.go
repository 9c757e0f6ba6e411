package avrovalue

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Logical is what a logical type says of the values of a type. The zero value says nothing.
type Logical struct {
	Name          string
	Digits, Scale int // of a decimal
}

// LogicalOf is the logical type of a type, or none where it is not known or the type cannot have it, which the specification has readers
// ignore. The size is a fixed's.
func LogicalOf(kind string, size int, as Logical) Logical {
	switch {
	case as.Name == "decimal":
		if kind == "bytes" && as.valid() || kind == "fixed" && as.valid() && float64(as.Digits) <= float64(8*size-1)*math.Log10(2) {
			return as
		}
	case slices.Contains(logicalTypes[kind], as.Name), kind == "fixed" && (as.Name == "duration" && size == 12 || as.Name == "uuid" && size == 16):
		return Logical{Name: as.Name}
	}
	return Logical{}
}

func (l Logical) valid() bool {
	return l.Digits > 0 && l.Scale >= 0 && l.Scale <= l.Digits && l.Digits <= maxDigits
}

var logicalTypes = map[string][]string{
	"int":    {"date", "time-millis"},
	"long":   {"time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos"},
	"string": {"uuid"},
	"bytes":  {"big-decimal"},
}

// Clash says why what was written as one logical type would be another value as the other, "" if it would not. Where one of them says nothing
// there is only the value of the type itself.
func Clash(read, written Logical) string {
	switch {
	case read == written, read.Name == "", written.Name == "":
		return ""
	case read.Name == "decimal" && written.Name == "decimal":
		return fmt.Sprintf("a decimal of %d digits, %d of them decimals, was written, and it is read as one of %d and %d", written.Digits, written.Scale, read.Digits, read.Scale)
	}
	return fmt.Sprintf("%s was written, and it is read as %s", written.Name, read.Name)
}

// timeOf is the number that a text of a logical type stands for. What is finer than its unit is cut off.
func timeOf(logical, text string) (int64, error) {
	layout := time.RFC3339Nano
	switch {
	case logical == "date":
		layout = time.DateOnly
	case strings.HasPrefix(logical, "local-timestamp-"):
		layout = "2006-01-02T15:04:05.999999999"
	case strings.HasPrefix(logical, "time-"):
		layout = "15:04:05.999999999"
	case !strings.HasPrefix(logical, "timestamp-"):
		return 0, fmt.Errorf("a number is wanted, and there is a string")
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return 0, fmt.Errorf("%q is no %s, as %s", shortened(text), logical, time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC).Format(layout))
	}
	unit := logical[strings.LastIndexByte(logical, '-')+1:]
	switch {
	case logical == "date":
		const day = 24 * 60 * 60
		return floor(t.Unix(), day), nil
	case layout == "15:04:05.999999999":
		since := t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
		if unit == "millis" {
			return since.Milliseconds(), nil
		}
		return since.Microseconds(), nil
	case unit == "millis":
		return t.UnixMilli(), nil
	case unit == "micros":
		return t.UnixMicro(), nil
	}
	if y := t.Year(); y < 1678 || y > 2261 {
		return 0, fmt.Errorf("%q is beyond what nanoseconds since 1970 hold in 64 bits", shortened(text))
	}
	return t.UnixNano(), nil
}

func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

// maxDigits bounds a decimal in digits, of the number and of its scale.
const maxDigits = 4096

// decimalBytes is a number as a decimal: the unscaled number in two's complement, as few bytes as will do, or as many as a fixed has.
func decimalBytes(text string, n *node) ([]byte, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	shift, err := 0, error(nil)
	if exponent != "" {
		shift, err = strconv.Atoi(exponent)
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	shift += n.scale - len(fraction)
	if err != nil || len(text) > maxDigits || shift > maxDigits || shift < -maxDigits {
		return nil, fmt.Errorf("%s is no decimal that is taken", shortened(text))
	}
	v, _ := new(big.Int).SetString(whole+fraction, 10) // digits, by JSON's grammar
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(shift, -shift))), nil)
	if shift >= 0 {
		v.Mul(v, power)
	} else if _, rest := v.QuoRem(v, power, new(big.Int)); rest.Sign() != 0 {
		return nil, fmt.Errorf("%s has more than the %d decimals of the schema", shortened(text), n.scale)
	}
	if digits := len(new(big.Int).Abs(v).String()); n.digits > 0 && digits > n.digits {
		return nil, fmt.Errorf("%s has more than the %d digits of the schema", shortened(text), n.digits)
	}
	size := v.BitLen()/8 + 1
	if v.Sign() < 0 {
		size = new(big.Int).Not(v).BitLen()/8 + 1
	}
	if n.kind == "fixed" {
		if size > n.size {
			return nil, fmt.Errorf("%s does not fit into %d bytes", shortened(text), n.size)
		}
		size = n.size
	}
	if v.Sign() < 0 {
		v.Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return v.FillBytes(make([]byte, size)), nil
}

// decimalText is decimalBytes the other way round; ok is false for what is too long to be one.
func decimalText(raw []byte, scale int) (text string, ok bool) {
	if len(raw) > maxDigits/4 || scale < 0 || scale > maxDigits {
		return "", false
	}
	v := new(big.Int).SetBytes(raw)
	if len(raw) > 0 && raw[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	digits := new(big.Int).Abs(v).String()
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if scale > 0 {
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if v.Sign() < 0 {
		digits = "-" + digits
	}
	return digits, true
}

// longestDay is what a time of day is below, by its logical type.
var longestDay = map[string]int64{"time-millis": 24 * 60 * 60 * 1e3, "time-micros": 24 * 60 * 60 * 1e6}

// uuidBytes are those of a UUID in the text of RFC 4122.
func uuidBytes(text string) ([]byte, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(text) != 36 || len(raw) != 16 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return nil, fmt.Errorf("%q is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10", shortened(text))
	}
	return raw, nil
}

// bigDecimal refuses bytes that are no big-decimal: a number and its scale, each as Avro writes it.
func bigDecimal(raw []byte) error {
	d := decoder{data: raw}
	number, err := d.sized()
	var scale int64
	if err == nil {
		scale, err = d.long()
	}
	if err != nil || len(number) == 0 || len(d.data) > 0 || scale != int64(int32(scale)) {
		return errors.New("the characters stand for the bytes of a big-decimal, which are the number as Avro's bytes and its scale as Avro's int: these are not")
	}
	return nil
}
