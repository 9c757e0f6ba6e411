package plainjson

import (
	"encoding/binary"
	"math/bits"
	"reflect"
	"unicode/utf8"
)

// A reader goes through one document. What is not there, it says of any byte: past the end all bytes are 0, which no value has.
type reader struct {
	data  []byte
	at    int
	depth int
	root  []reflect.Value // see the function; nil once they are taken
}

// document reads all that there is.
func (r *reader) document(s shape, v reflect.Value) bool {
	r.space()
	if !s.read(r, v) {
		return false
	}
	r.space()
	return r.at == len(r.data)
}

func (r *reader) peek() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

// space passes white space.
func (r *reader) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// take passes c, and says whether it was there.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

// word passes a word, and says whether it was there.
func (r *reader) word(s string) bool {
	if end := r.at + len(s); end <= len(r.data) && string(r.data[r.at:end]) == s {
		r.at = end
		return true
	}
	return false
}

// null passes a null.
func (r *reader) null() bool { return r.peek() == 'n' && r.word("null") }

// more says whether another element follows, after the opening of an array or object (first) or an element, and passes what is
// between. done means that the end was passed; neither is a mistake in the document.
func (r *reader) more(first bool, end byte) (more, done bool) {
	r.space()
	if r.take(end) {
		return false, true
	}
	if !first {
		if !r.take(',') {
			return false, false
		}
		r.space()
	}
	return true, false
}

// key passes the name in an object, and the colon.
func (r *reader) key() ([]byte, bool) {
	name, ok := r.plain()
	if !ok {
		return nil, false
	}
	return name, r.colon()
}

func (r *reader) colon() bool {
	r.space()
	if !r.take(':') {
		return false
	}
	r.space()
	return true
}

// plain passes a string without escapes, and returns its bytes, which are UTF-8, as they lie in the document.
func (r *reader) plain() ([]byte, bool) {
	if !r.take('"') {
		return nil, false
	}
	begin, ascii := r.at, true
	for i := begin + unmarked(r.data[begin:]); i < len(r.data); i += 1 + unmarked(r.data[i+1:]) {
		switch c := r.data[i]; {
		case c == '"':
			r.at = i + 1
			s := r.data[begin:i]
			return s, ascii || utf8.Valid(s)
		case c < utf8.RuneSelf:
			return nil, false
		}
		for ascii = false; i+1 < len(r.data) && r.data[i+1] >= utf8.RuneSelf; i++ {
		}
	}
	return nil, false
}

// unmarked returns how many bytes at the beginning of b are ASCII, no control characters, no quotes and no backslashes. It looks at
// eight at once: subtracting n from a byte below n sets its highest bit. A byte above ASCII has that bit set, and keeps it in one of
// the three at least. Such a byte may borrow from those after it, so the first one counts.
func unmarked(b []byte) int {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^(ones*'"'), w^(ones*'\\')
		if found := ((w - ones*' ') | (quote - ones) | (backslash - ones)) & highest; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// number passes a number.
func (r *reader) number() ([]byte, bool) {
	begin := r.at
	r.take('-')
	if !r.take('0') && !r.digits() {
		return nil, false
	}
	if r.take('.') && !r.digits() {
		return nil, false
	}
	if r.take('e') || r.take('E') {
		if !r.take('+') {
			r.take('-')
		}
		if !r.digits() {
			return nil, false
		}
	}
	return r.data[begin:r.at], true
}

// digits passes one or more.
func (r *reader) digits() bool {
	begin := r.at
	for r.at < len(r.data) && '0' <= r.data[r.at] && r.data[r.at] <= '9' {
		r.at++
	}
	return r.at > begin
}

// enter goes into a value that has others in it; leave comes out of it.
func (r *reader) enter() bool {
	r.depth++
	return r.depth <= maxDepth
}

func (r *reader) leave() bool {
	r.depth--
	return true
}
