package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// String reads a string and resolves its escapes. The result may refer to the document.
func (s *Scanner) String() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.unexpected("a string")
	}
	s.pos++
	from := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[from : s.pos-1], nil
		case c == '\\':
			return s.escaped(from)
		case c < ' ':
			return nil, fmt.Errorf("a string has the character %#x, which must be escaped", c)
		case c < utf8.RuneSelf:
			s.pos++
		default:
			if err := s.rune(); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("a string does not end")
}

func (s *Scanner) rune() error {
	r, n := utf8.DecodeRune(s.data[s.pos:])
	if r == utf8.RuneError && n == 1 {
		return errors.New("a string has bytes that are not UTF-8")
	}
	s.pos += n
	return nil
}

// escaped reads on in a string that has escapes.
func (s *Scanner) escaped(from int) ([]byte, error) {
	out := slices.Clone(s.data[from:s.pos])
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return out, nil
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			return nil, fmt.Errorf("a string has the character %#x, which must be escaped", c)
		default:
			at := s.pos
			if err := s.rune(); err != nil {
				return nil, err
			}
			out = append(out, s.data[at:s.pos]...)
		}
	}
	return nil, errors.New("a string does not end")
}

const escapes, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"

func (s *Scanner) escape() (rune, error) {
	s.pos++
	if s.pos >= len(s.data) {
		return 0, errors.New("a string does not end")
	}
	c := s.data[s.pos]
	s.pos++
	if at := strings.IndexByte(escapes, c); at >= 0 {
		return rune(meanings[at]), nil
	}
	if c != 'u' {
		return 0, fmt.Errorf("a string has the escape \\%c, which there is not", c)
	}
	r, ok := s.hex()
	if ok && utf16.IsSurrogate(r) {
		if !bytes.HasPrefix(s.data[s.pos:], []byte(`\u`)) {
			return 0, errors.New("a string has half of a surrogate pair")
		}
		s.pos += 2
		var low rune
		low, ok = s.hex()
		if r = utf16.DecodeRune(r, low); ok && r == utf8.RuneError {
			return 0, errors.New("a string has half of a surrogate pair")
		}
	}
	if !ok {
		return 0, errors.New(`a string has \u without four hexadecimal digits`)
	}
	return r, nil
}

func (s *Scanner) hex() (r rune, ok bool) {
	if len(s.data)-s.pos < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 16)
	s.pos += 4
	return rune(n), err == nil
}
