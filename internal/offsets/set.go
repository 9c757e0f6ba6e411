package offsets

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Set is the mark of an offset that an operator has set with Weir's own tool. It lets a start say who did it and why, and it keeps how
// far Weir itself had read before, which the next reset may need.
type Set struct {
	Mark
	Read int64 // the offset that Weir itself had committed last, -1 when it is not known
	Who  string
	Why  string
}

// maxWords bounds who and why in bytes. Escaped, both fit beside a mark of maxMark into what brokers take.
const maxWords = 150

// String is the metadata: that of the mark, then ":r<read>", ":b<who>" and ":w<why>" where there are such.
func (s Set) String() string {
	s.Mark.Set = true
	text := s.Mark.String()
	if s.Read >= 0 {
		text += ":r" + strconv.FormatInt(s.Read, 10)
	}
	if s.Who != "" {
		text += ":b" + url.QueryEscape(cut(s.Who))
	}
	if s.Why != "" {
		text += ":w" + url.QueryEscape(cut(s.Why))
	}
	return text
}

// ParseSet reads the metadata of a committed offset. ok is false for what the tool has not written.
func ParseSet(metadata string) (s Set, ok bool) {
	s.Read = -1
	if s.Mark, ok = ParseMark(metadata); !ok || !s.Mark.Set {
		return Set{}, false
	}
	for _, field := range strings.Split(metadata, ":")[2:] { // after the prefix and the topic's id; none is empty
		var err error
		switch kind, text := field[0], field[1:]; kind {
		case 'r':
			var read uint64
			read, err = strconv.ParseUint(text, 10, 63)
			s.Read = int64(read)
		case 'b':
			s.Who, err = url.QueryUnescape(text)
		case 'w':
			s.Why, err = url.QueryUnescape(text)
		}
		if err != nil {
			return Set{}, false
		}
	}
	return s, true
}

// cut shortens a text to maxWords.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maxWords {
		return text
	}
	n := maxWords
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// last is what the metadata of the committed offset says: the mark, and how far Weir itself has read the topic that there is now, -1
// where it does not say.
func (q *Question) last() (m Mark, read int64) {
	m, ok := ParseMark(q.Committed.Metadata)
	if q.Committed.Offset < 0 || !ok || !q.is(m.TopicID) {
		return Mark{TopicID: q.TopicID}, -1
	}
	read = q.Committed.Offset
	if m.Set {
		s, _ := ParseSet(q.Committed.Metadata)
		read = s.Read
	}
	return m, read
}
