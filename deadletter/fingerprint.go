package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fingerprint names what failed in one way: in one node, with one kind of failure, and with messages that differ only in numbers
// and in what they quote. It has 16 hexadecimal digits. The kind is the Reason of a Letter.
func Fingerprint(node, kind, message string) string {
	h := sha256.New()
	for _, s := range [...]string{node, kind, normalised(message)} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// normalised is a message without what differs from record to record: what is quoted, and words with a digit in them, such as
// numbers, times and ids. Only the first MaxMessage bytes count, as in a letter.
func normalised(message string) string {
	message = cut(message, MaxMessage)
	var out strings.Builder
	for message != "" {
		switch r := rune(message[0]); r {
		case '"', '\'', '`':
			if end := strings.IndexByte(message[1:], message[0]); end >= 0 {
				out.WriteString(`""`)
				message = message[end+2:]
				continue
			}
		}
		end := strings.IndexFunc(message, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if end < 0 {
			end = len(message)
		}
		switch {
		case end == 0: // something between words
			_, end = utf8.DecodeRuneInString(message)
			out.WriteString(message[:end])
		case strings.ContainsFunc(message[:end], unicode.IsDigit):
			out.WriteByte('#')
		default:
			out.WriteString(message[:end])
		}
		message = message[end:]
	}
	return out.String()
}
