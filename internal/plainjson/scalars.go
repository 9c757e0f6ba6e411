package plainjson

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"
)

type boolean struct{}

func (boolean) read(r *reader, v reflect.Value) bool {
	switch {
	case r.word("true"):
		v.SetBool(true)
		return true
	case r.word("false"):
		return true
	}
	return r.null()
}

func (boolean) write(w *writer, v reflect.Value) bool {
	w.out = strconv.AppendBool(w.out, v.Bool())
	return true
}

// maxDigits are the most that fit into 64 bits, whatever they are.
const maxDigits = 19

// whole passes a whole number without a sign, of no more than maxDigits. A fraction or an exponent after it is no part of it, and
// nothing that may follow a value.
func (r *reader) whole() (n uint64, ok bool) {
	begin := r.at
	for r.at < len(r.data) && '0' <= r.data[r.at] && r.data[r.at] <= '9' {
		n = n*10 + uint64(r.data[r.at]-'0')
		r.at++
	}
	digits := r.at - begin
	return n, digits == 1 || 1 < digits && digits <= maxDigits && r.data[begin] != '0'
}

type integer struct{}

func (integer) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	negative := r.take('-')
	abs, ok := r.whole()
	n := int64(abs)
	if negative {
		n = -n
	}
	if !ok || abs > math.MaxInt64 || v.OverflowInt(n) {
		return false
	}
	v.SetInt(n)
	return true
}

func (integer) write(w *writer, v reflect.Value) bool {
	w.out = strconv.AppendInt(w.out, v.Int(), 10)
	return true
}

type natural struct{}

func (natural) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	n, ok := r.whole()
	if !ok || v.OverflowUint(n) {
		return false
	}
	v.SetUint(n)
	return true
}

func (natural) write(w *writer, v reflect.Value) bool {
	w.out = strconv.AppendUint(w.out, v.Uint(), 10)
	return true
}

type float struct{ bits int }

func (f float) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	s, ok := r.number()
	if !ok {
		return false
	}
	n, err := strconv.ParseFloat(string(s), f.bits)
	if err != nil {
		return false
	}
	v.SetFloat(n)
	return true
}

func (f float) write(w *writer, v reflect.Value) bool {
	n := v.Float()
	if abs := math.Abs(n); abs >= 1e-5 && abs < 1e20 || n == 0 {
		w.out = strconv.AppendFloat(w.out, n, 'f', -1, f.bits)
		return true
	}
	// From 1e21, and below 1e-6, encoding/json writes exponents, in a way of its own. It has no infinity and no NaN.
	number := any(n)
	if f.bits == 32 {
		number = float32(n)
	}
	out, err := json.Marshal(number)
	w.out = append(w.out, out...)
	return err == nil
}

type text struct{}

func (text) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	s, ok := r.text()
	if ok {
		v.SetString(s)
	}
	return ok
}

func (text) write(w *writer, v reflect.Value) bool {
	w.text(v.String())
	return true
}

// instant is a time.Time, which has methods.
type instant struct{}

func (instant) read(r *reader, v reflect.Value) bool {
	if r.null() {
		return true
	}
	s, ok := r.plain()
	return ok && v.Addr().Interface().(*time.Time).UnmarshalText(s) == nil
}

func (instant) write(w *writer, v reflect.Value) (ok bool) {
	var t time.Time
	if v.CanAddr() {
		t = *v.Addr().Interface().(*time.Time) // which allocates nothing
	} else {
		t = v.Interface().(time.Time)
	}
	out, err := t.AppendText(append(w.out, '"'))
	w.out = append(out, '"')
	return err == nil
}
