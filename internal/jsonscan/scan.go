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
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
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

// Error is a mistake at a place.
type Error struct {
	path string // from the place outwards: ".amount", "[2].amount"
	Err  error
}

// Path is the place, as $.lines[2].amount.
func (e *Error) Path() string { return "$" + e.path }

func (e *Error) Error() string { return "$" + e.path + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// longestPath bounds a path: names of a document are as long as its author likes.
const longestPath = 1000

// Below puts an error below a member of an object.
func Below(err error, name string) error { return below(err, Segment(name)) }

// At puts an error below an element of an array.
func At(err error, index int) error { return below(err, "["+strconv.Itoa(index)+"]") }

// Segment is a name in a path: .name, or ["any name"].
func Segment(name string) string {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(name) + "]"
		}
	}
	if name == "" {
		return `[""]`
	}
	return "." + name
}

func below(err error, segment string) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{segment, err}
	}
	if len(e.path)+len(segment) < longestPath {
		e.path = segment + e.path
	}
	return e
}

// Located gives an error without a place the place of the document itself.
func Located(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{"", err}
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

// enter and leave bound the depth.
func (s *Scanner) enter() error {
	if s.depth++; s.depth > MaxDepth {
		return fmt.Errorf("it is nested deeper than %d", MaxDepth)
	}
	s.pos++
	return nil
}

// more says whether another element follows, before the end of an object or array.
func (s *Scanner) more(first bool, end byte) (bool, error) {
	s.Peek()
	switch {
	case s.pos >= len(s.data):
		return false, errors.New("the document ends in the middle")
	case s.data[s.pos] == end:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case s.data[s.pos] == ',':
		s.pos++
		if s.Peek(); s.pos < len(s.data) && s.data[s.pos] == end {
			return false, fmt.Errorf("a comma stands before %q", end)
		}
		return true, nil
	}
	return false, s.unexpected(fmt.Sprintf("%q or %q", ',', end))
}

// Object reads an object. member is called with each name, and must read its value; the name may refer to the document. An error of member
// gets its place.
func (s *Scanner) Object(member func(name []byte) error) error {
	if s.Peek() != '{' {
		return s.unexpected("an object")
	}
	if err := s.enter(); err != nil {
		return err
	}
	var seen names
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if !more {
			return err
		}
		name, err := s.String()
		if err != nil {
			return fmt.Errorf("the name of a member: %w", err)
		}
		if !seen.add(name) {
			return Below(errors.New("the name comes twice"), string(name))
		}
		if s.Peek(); s.pos >= len(s.data) || s.data[s.pos] != ':' {
			return Below(s.unexpected("':'"), string(name))
		}
		s.pos++
		if err := member(name); err != nil {
			return Below(err, string(name))
		}
	}
}

// names are those of one object: few as a rule.
type names struct {
	few  [16][]byte
	n    int
	many map[string]bool
}

func (s *names) add(name []byte) bool {
	if s.many == nil {
		for _, other := range s.few[:s.n] {
			if bytes.Equal(other, name) {
				return false
			}
		}
		if s.n < len(s.few) {
			s.few[s.n] = name
			s.n++
			return true
		}
		s.many = map[string]bool{}
		for _, other := range s.few {
			s.many[string(other)] = true
		}
	}
	if s.many[string(name)] {
		return false
	}
	s.many[string(name)] = true
	return true
}

// FirstName is the name of the first member of an object that is read next; nothing is read.
func (s *Scanner) FirstName() (name []byte, ok bool) {
	ahead := *s
	if ahead.Peek() != '{' {
		return nil, false
	}
	ahead.pos++
	if ahead.Peek() != '"' {
		return nil, false
	}
	name, err := ahead.String()
	return name, err == nil
}

// Array reads an array. element is called for each element, and must read it. An error of element gets its place.
func (s *Scanner) Array(element func(i int) error) error {
	if s.Peek() != '[' {
		return s.unexpected("an array")
	}
	if err := s.enter(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := s.more(i == 0, ']')
		if !more {
			return err
		}
		if err := element(i); err != nil {
			return At(err, i)
		}
	}
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

// Check says what is wrong with a document, with its place.
func Check(data []byte) error {
	s := New(data)
	err := s.Skip()
	if err == nil {
		err = s.End()
	}
	return Located(err)
}

// PathOf is the place of the innermost value that an offset lies in, or of the first mistake before it; "$" where there is none.
func PathOf(data []byte, offset int) string {
	found := errors.New("found")
	s := New(data)
	var look func() error
	look = func() (err error) {
		switch s.Peek() {
		case '{':
			err = s.Object(func([]byte) error {
				if offset < s.pos { // a name belongs to its value
					return found
				}
				return look()
			})
		case '[':
			err = s.Array(func(int) error { return look() })
		default:
			err = s.Skip()
		}
		if err == nil && offset < s.pos {
			err = found
		}
		return err
	}
	var e *Error
	if errors.As(look(), &e) {
		return e.Path()
	}
	return "$"
}
