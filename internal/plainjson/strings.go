package plainjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text passes a string.
func (r *reader) text() (string, bool) {
	begin := r.at
	if s, ok := r.plain(); ok {
		return string(s), true
	}
	r.at = begin
	if !r.skipString() {
		return "", false
	}
	end := r.at
	r.at = begin + 1
	s := make([]byte, 0, end-begin-2)
	for r.at < end-1 {
		c := r.data[r.at]
		r.at++
		if c != '\\' {
			s = append(s, c)
			continue
		}
		char, _ := r.escape()
		if utf16.IsSurrogate(char) {
			return "", false
		}
		s = utf8.AppendRune(s, char)
	}
	r.at = end
	return string(s), utf8.Valid(s)
}

const hexDigits = "0123456789abcdef"

// as says how encoding/json writes the characters of ASCII: 0 as they are, 'u' by their number, others by a letter after a backslash.
var as = func() (as [utf8.RuneSelf]byte) {
	for c := range ' ' {
		as[c] = 'u'
	}
	as['\b'], as['\f'], as['\n'], as['\r'], as['\t'] = 'b', 'f', 'n', 'r', 't'
	as['"'], as['\\'] = '"', '\\'
	as['<'], as['>'], as['&'] = 'u', 'u', 'u'
	return as
}()

// text writes a string.
func (w *writer) text(s string) {
	out := append(w.out, '"')
	begin := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if as[c] == 0 {
				i++
				continue
			}
			out = append(out, s[begin:i]...)
			out = append(out, '\\', as[c])
			if as[c] == 'u' {
				out = append(out, '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			}
			i++
			begin = i
			continue
		}
		char, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case char == utf8.RuneError && size == 1:
			out = append(append(out, s[begin:i]...), `\ufffd`...)
			begin = i + size
		case char == '\u2028' || char == '\u2029':
			out = append(append(out, s[begin:i]...), `\u202`...)
			out = append(out, hexDigits[char&0xf])
			begin = i + size
		}
		i += size
	}
	out = append(out, s[begin:]...)
	w.out = append(out, '"')
}
