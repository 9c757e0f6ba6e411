package jsonscan

import (
	"errors"
)

// Check says what is wrong with a document, with its place.
func Check(data []byte) error {
	s := New(data)
	err := s.Skip()
	if err == nil {
		err = s.End()
	}
	return Located(err)
}

// AtOffset puts an error at the innermost value that an offset lies in, or at the first mistake before it; at the document itself where there is none.
func AtOffset(err error, data []byte, offset int) error {
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
		return &Error{err, e.place}
	}
	return &Error{Err: err}
}
