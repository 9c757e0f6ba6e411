package turnstile

import "bytes"

// Head is what a turnstile knows of a request. The slices are valid during the call that has it.
type Head struct {
	Method      []byte
	Target      []byte // as it was sent: path and query, escaped
	ContentType []byte
	Origin      bool  // it comes from a page in a browser
	length      int64 // of the body
}

var headEnd = []byte("\r\n\r\n")

// parse reads the head of a request, and returns how many bytes it has. It reads only requests whose body all of HTTP agrees about, so it is no
// judge of what is a request: what it does not take is for net/http.
func parse(b []byte) (h Head, size int, ok bool) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return h, 0, false
	}
	line, rest, ok := cutLine(b[:end+2])
	if !ok || !h.request(line) {
		return h, 0, false
	}
	hosts, lengths := 0, 0
	for len(rest) > 0 {
		if line, rest, ok = cutLine(rest); !ok {
			return h, 0, false
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || !isToken(name) {
			return h, 0, false // a space before the colon, or a line that continues the one before, is read differently by servers
		}
		value = bytes.Trim(value, " \t")
		switch {
		case is(name, "host"):
			hosts++
		case is(name, "content-type"):
			if h.ContentType != nil {
				return h, 0, false
			}
			h.ContentType = value
		case is(name, "origin"):
			h.Origin = true
		case is(name, "content-length"):
			lengths++
			if h.length, ok = digits(value); !ok {
				return h, 0, false
			}
		case is(name, "connection") && !is(value, "keep-alive"), is(name, "transfer-encoding"), is(name, "expect"), is(name, "upgrade"):
			return h, 0, false
		}
	}
	return h, end + len(headEnd), hosts == 1 && lengths <= 1
}

// cutLine takes a line off, without its end, which is CRLF: what has a CR or an LF alone is not taken.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	n := bytes.IndexByte(b, '\n')
	if n < 1 || b[n-1] != '\r' {
		return nil, nil, false
	}
	line = b[:n-1]
	return line, b[n+1:], bytes.IndexByte(line, '\r') < 0 && bytes.IndexByte(line, 0) < 0
}

// request reads the first line.
func (h *Head) request(line []byte) (ok bool) {
	if line, ok = bytes.CutSuffix(line, []byte(" HTTP/1.1")); !ok {
		return false
	}
	if h.Method, h.Target, ok = bytes.Cut(line, []byte{' '}); !ok || !isToken(h.Method) || len(h.Target) == 0 || h.Target[0] != '/' {
		return false
	}
	for _, c := range h.Target {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// isToken says whether a name is one of HTTP's tokens (RFC 9110, 5.6.2), of the characters that methods and headers in use have.
func isToken(name []byte) bool {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(name) > 0
}

// is compares without the case of ASCII letters; lower is a token in lower case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}
