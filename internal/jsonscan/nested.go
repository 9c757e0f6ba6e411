package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
)

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
