package plainjson

// skip passes a value that nobody wants.
func (r *reader) skip() bool {
	switch r.peek() {
	case '"':
		return r.skipString()
	case '{':
		return r.skipAll('}', func() bool { return r.skipString() && r.colon() && r.skip() })
	case '[':
		return r.skipAll(']', r.skip)
	case 't':
		return r.word("true")
	case 'f':
		return r.word("false")
	case 'n':
		return r.word("null")
	}
	_, ok := r.number()
	return ok
}

func (r *reader) skipAll(end byte, element func() bool) bool {
	r.at++
	if !r.enter() {
		return false
	}
	for first := true; ; first = false {
		more, done := r.more(first, end)
		if !more {
			return done && r.leave()
		}
		if !element() {
			return false
		}
	}
}

// skipString passes a string. It may be no UTF-8: encoding/json does not mind in what it passes over.
func (r *reader) skipString() bool {
	if !r.take('"') {
		return false
	}
	for {
		r.at += unmarked(r.data[r.at:])
		if r.at == len(r.data) {
			return false
		}
		c := r.data[r.at]
		r.at++
		switch {
		case c == '"':
			return true
		case c < ' ':
			return false
		case c == '\\':
			if _, ok := r.escape(); !ok {
				return false
			}
		}
	}
}

// escape passes what follows a backslash, and returns the character that it stands for: a surrogate may be half of one.
func (r *reader) escape() (rune, bool) {
	c := r.peek()
	r.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return r.hex()
	}
	return 0, false
}

// hex passes four hexadecimal digits.
func (r *reader) hex() (n rune, ok bool) {
	for range 4 {
		c := r.peek()
		r.at++
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
