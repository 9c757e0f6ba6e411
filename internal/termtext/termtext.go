// Package termtext keeps what is written for people from commanding their terminal.
//
// Records, names of topics and errors of others hold any bytes: escape sequences that move the cursor, change the title or
// answer in the user's name, and signs that turn the direction of text, so that it reads otherwise than it is. All output of a
// command goes through a Writer, which writes such characters as \uXXXX, a form that JSON has too: what was valid JSON is
// valid JSON with the same meaning afterwards. Line ends and tabs pass.
package termtext

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// Text is one line: line ends are written as \u000a too.
func Text(s string) string { return clean(s, false) }

// Lines is a text of several lines.
func Lines(s string) string { return clean(s, true) }

func clean(s string, lines bool) string {
	at := strings.IndexFunc(s, func(r rune) bool { return !passes(r, lines) })
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for i := at; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case passes(r, lines):
			b.WriteString(s[i : i+size])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// passes says whether a terminal only shows a character. Cc are the control characters, C1 among them; Cf those that change
// how others are shown: direction, joining, tags; Zl and Zp are line ends to some. RuneError also stands for broken UTF-8.
func passes(r rune, lines bool) bool {
	switch {
	case r == '\n' || r == '\t':
		return lines
	case r < utf8.RuneSelf:
		return r >= ' ' && r != 0x7f
	}
	return r != utf8.RuneError && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// Writer cleans what is written to another one.
type Writer struct {
	to    io.Writer
	entry bool // each write is one line

	mu   sync.Mutex
	rest []byte // the beginning of a character whose end comes with the next write
	used bool
}

// Used says whether anything was written.
func (w *Writer) Used() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used
}

// NewWriter cleans lines of text. One that is clean already is returned as it is.
func NewWriter(to io.Writer) *Writer {
	if w, ok := to.(*Writer); ok {
		return w
	}
	return &Writer{to: to}
}

// NewLog is for a log, which writes each entry at once: a line end within one cannot pretend to be another entry.
func NewLog(to io.Writer) *Writer {
	if w, ok := to.(*Writer); ok {
		to = w.to
	}
	return &Writer{to: to, entry: true}
}

func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = w.used || len(p) > 0
	data := append(w.rest, p...)
	cut := len(data) - unfinished(data)
	w.rest = append([]byte(nil), data[cut:]...)
	text, end := string(data[:cut]), ""
	if w.entry {
		text, end = strings.TrimSuffix(text, "\n"), text[len(strings.TrimSuffix(text, "\n")):]
	}
	if _, err := io.WriteString(w.to, clean(text, !w.entry)+end); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unfinished is how many bytes at the end begin a character that is not whole.
func unfinished(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if tail[0] >= utf8.RuneSelf && !utf8.FullRune(tail) {
				return n
			}
			break
		}
	}
	return 0
}

// Terminal is the terminal that a writer leads to, cleaned or not. Whoever writes to it directly cleans by itself.
func Terminal(w io.Writer) (*os.File, bool) {
	if c, ok := w.(*Writer); ok {
		w = c.to
	}
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// Raw is what a Writer writes to, for data that must arrive as it is. A terminal is refused: the data could command it.
func Raw(w io.Writer) (io.Writer, error) {
	if _, terminal := Terminal(w); terminal {
		return nil, errors.New("this is a terminal, and what is in records could command it")
	}
	if c, ok := w.(*Writer); ok {
		w = c.to
	}
	return w, nil
}

// Stdout and Stderr are the process's own, cleaned. Nothing else in the program names os.Stdout or os.Stderr.
func Stdout() *Writer { return NewWriter(os.Stdout) }

// Stderr is the process's standard error, cleaned.
func Stderr() *Writer { return NewWriter(os.Stderr) }
