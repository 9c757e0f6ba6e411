// Package jsonscan reads a JSON document value by value, strictly, and says of a mistake where in the document it is: `$.lines[2].amount`.
//
// It takes what RFC 8259 describes and no more: a name that comes twice in an object, bytes that are not UTF-8, a lone half of a
// surrogate pair, nesting beyond a limit and anything after the document are mistakes. It allocates for strings with escapes and for
// mistakes only.
package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deep a document may be nested.
const MaxDepth = 200

// Kind is what a value is, by its first byte: '{', '[', '"', 't' and 'f' for booleans, 'n' for null, '0' for numbers; 0 where there is
// none.
type Kind byte

func (k Kind) String() string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case '0':
		return "a number"
	}
	return "no value"
}

// Scanner reads one document. A Scanner is a value: a copy reads on from the same place.
type Scanner struct {
	data  []byte
	pos   int
	depth int
}

// New reads a document from its start. The Scanner refers to data.
func New(data []byte) Scanner { return Scanner{data: data} }

// Offset is the offset of what is read next.
func (s *Scanner) Offset() int { return s.pos }

// Since is what was read from an offset on.
func (s *Scanner) Since(offset int) []byte { return s.data[offset:s.pos] }

// Peek says what the next value is, and reads nothing but white space.
func (s *Scanner) Peek() Kind {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		case '{', '[', '"', 't', 'f', 'n':
			return Kind(c)
		default:
			if c == '-' || c >= '0' && c <= '9' {
				return '0'
			}
			return 0
		}
	}
	return 0
}

// End checks that nothing but white space follows.
func (s *Scanner) End() error {
	if s.Peek(); s.pos < len(s.data) {
		return errors.New("something follows the JSON document")
	}
	return nil
}

// unexpected is the error for what is no value, or not the one that is wanted.
func (s *Scanner) unexpected(want string) error {
	if kind := s.Peek(); kind != 0 {
		return fmt.Errorf("%s is wanted, and there is %s", want, kind)
	}
	if s.pos >= len(s.data) {
		return fmt.Errorf("%s is wanted, and the document ends", want)
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	if r == '\uFEFF' {
		return fmt.Errorf("%s is wanted, and there is a byte order mark, which JSON does not have: send the document without it", want)
	}
	return fmt.Errorf("%s is wanted, and there is %q", want, r)
}

// Null reads null.
func (s *Scanner) Null() error { return s.word("null") }

// Bool reads true or false.
func (s *Scanner) Bool() (bool, error) {
	if s.Peek() == 't' {
		return true, s.word("true")
	}
	return false, s.word("false")
}

func (s *Scanner) word(word string) error {
	if k := s.Peek(); k == 0 || byte(k) != word[0] {
		return s.unexpected(map[string]string{"null": "null", "true": "a boolean", "false": "a boolean"}[word])
	}
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return fmt.Errorf("%s is misspelled", word)
	}
	s.pos += len(word)
	return nil
}

// Number reads a number as it is written.
func (s *Scanner) Number() ([]byte, error) {
	if s.Peek() != '0' {
		return nil, s.unexpected("a number")
	}
	from := s.pos
	if s.data[s.pos] == '-' {
		s.pos++
	}
	whole := s.digits()
	if whole == 0 || whole > 1 && s.data[s.pos-whole] == '0' {
		return nil, errors.New("a number begins with a digit, and with 0 only where it is the only one")
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return nil, errors.New("a number has a digit after its point")
		}
	}
	if s.pos < len(s.data) && (s.data[s.pos] == 'e' || s.data[s.pos] == 'E') {
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, errors.New("a number has a digit in its exponent")
		}
	}
	return s.data[from:s.pos], nil
}

func (s *Scanner) digits() (n int) {
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// Skip reads any value.
func (s *Scanner) Skip() error {
	switch s.Peek() {
	case '{':
		return s.Object(func([]byte) error { return s.Skip() })
	case '[':
		return s.Array(func(int) error { return s.Skip() })
	case '"':
		_, err := s.String()
		return err
	case '0':
		_, err := s.Number()
		return err
	case 't', 'f':
		_, err := s.Bool()
		return err
	case 'n':
		return s.Null()
	}
	return s.unexpected("a value")
}
