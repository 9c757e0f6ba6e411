package sample

import (
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// formats are texts of the formats that JSON Schema, Avro and protovalidate know, by their names there. %d is another digit for each one of several.
var formats = map[string]string{
	"uuid": "6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1%d", "tuuid": "6f1c2a7e0d4b4c1a9a3e5b8d7c6e4f1%d", "ulid": "01H8XGJWBWBAQ4Z9C2N5K7M3P%d",
	"email": "a%d@example.com", "idn-email": "a%d@example.com", "date": "2026-01-1%d", "date-time": "2026-01-01T00:00:0%dZ", "time": "00:00:0%dZ", "duration": "PT%dH", "period": "P%dD/2026-01-01",
	"uri": "https://example.com/a%d", "iri": "https://example.com/a%d", "uri-reference": "/a%d", "iri-reference": "/a%d", "uri_ref": "/a%d", "uri-template": "/a%d/{b}",
	"hostname": "a%d.example.com", "idn-hostname": "a%d.example.com", "address": "a%d.example.com", "host_and_port": "a%d.example.com:80",
	"ip": "192.0.2.%d", "ipv4": "192.0.2.%d", "ipv6": "2001:db8::%d", "ip_with_prefixlen": "192.0.2.%d/24", "ipv4_with_prefixlen": "192.0.2.%d/24", "ipv6_with_prefixlen": "2001:db8::%d/64",
	"ip_prefix": "10.%d.0.0/16", "ipv4_prefix": "10.%d.0.0/16", "ipv6_prefix": "2001:%d::/32",
	"json-pointer": "/a%d", "relative-json-pointer": "%d/a", "regex": "a%d", "semver": "1.0.%d", "well_known_regex": "a%d", "protobuf_fqn": "a.b%d", "protobuf_dot_fqn": ".a.b%d",
}

// formatted is the nth text of a format, "" for none that is known.
func formatted(format string, nth int) string {
	if text := formats[format]; text != "" {
		return fmt.Sprintf(text, (nth+1)%10)
	}
	return ""
}

// textRules are what a text is like.
type textRules struct {
	format, pattern          string
	prefix, contains, suffix string
	least, most              int // characters; most -1 is no bound
}

// longest bounds what is made up.
const longest = 1 << 16

// text is the nth text.
func (c *choices) text(r textRules, nth int) string {
	nth += c.one(3) // a schema may refuse one of them
	var ways []func() string
	if r.pattern != "" {
		ways = append(ways, func() string { return pattern(r, nth) })
	}
	if given := formatted(r.format, nth); given != "" {
		ways = slices.Insert(ways, 0, func() string { return lengthened(given, r) })
	}
	if len(ways) == 0 || r.prefix+r.contains+r.suffix != "" {
		ways = append(ways, func() string { return plain(r, nth) })
	}
	text := ways[c.one(len(ways))]()
	if r.format != "" && r.pattern != "" { // that of the format may match the pattern too
		if p, _, err := jsonvalue.Pattern(r.pattern); err == nil && !p.MatchString(text) {
			return pattern(r, nth)
		}
	}
	return text
}

// plain is the nth text with nothing but letters besides what the rules say.
func plain(r textRules, nth int) string {
	head, tail := r.prefix, r.contains+r.suffix
	letters := ""
	for n := nth; ; n = n/26 - 1 {
		letters = string(rune('a'+n%26)) + letters
		if n < 26 {
			break
		}
	}
	if head+tail != "" && nth == 0 {
		letters = ""
	}
	short := min(r.least, longest) - utf8.RuneCountInString(head+letters+tail)
	text := head + strings.Repeat("a", max(short, 0)) + letters + tail
	if r.most >= 0 && r.prefix+tail == "" && len(text) > r.most {
		return text[len(text)-r.most:]
	}
	return text
}

func lengthened(text string, r textRules) string {
	return text + strings.Repeat("a", max(min(r.least, longest)-utf8.RuneCountInString(text), 0))
}

// pattern is the nth text that a pattern matches: a short one, as long as the rules ask. Where the first one found is not taken, for its length
// or for what the pattern says of other places, others are tried.
func pattern(r textRules, nth int) string {
	p, without, err := jsonvalue.Pattern(r.pattern)
	if err != nil {
		return plain(r, nth)
	}
	expression, err := syntax.Parse(without, syntax.Perl)
	if err != nil {
		return plain(r, nth)
	}
	first := ""
	for n := range 200 {
		m := &matching{nth: nth}
		if n > 0 {
			m.random = rand.New(rand.NewPCG(uint64(n), uint64(nth)))
		}
		text := m.of(expression)
		if n == 0 {
			first = text
		}
		candidates := []string{text}
		if missing := min(r.least, longest) - utf8.RuneCountInString(text); missing > 0 {
			grown := &matching{nth: nth, grow: missing, random: m.random}
			pad := strings.Repeat("a", missing) // a pattern may match a part
			candidates = []string{grown.of(expression), text + pad, pad + text}
		}
		for _, text := range candidates {
			if length := utf8.RuneCountInString(text); length >= r.least && (r.most < 0 || length <= r.most) && p.MatchString(text) {
				return text
			}
		}
	}
	return first
}

// matching makes up a text that an expression matches.
type matching struct {
	random *rand.Rand // nil: the first way everywhere
	nth    int        // which of the texts, by the characters of the first classes
	grow   int        // how many characters more than it needs
}

// any is one of n ways.
func (m *matching) any(n int) int {
	if m.random == nil || n < 2 {
		return 0
	}
	return m.random.IntN(n)
}

func (m *matching) of(e *syntax.Regexp) string {
	switch e.Op {
	case syntax.OpLiteral:
		return string(e.Rune)
	case syntax.OpCharClass:
		return m.class(e.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return m.class([]rune{' ', '~'})
	case syntax.OpCapture:
		return m.of(e.Sub[0])
	case syntax.OpConcat:
		text := ""
		for _, sub := range e.Sub {
			text += m.of(sub)
		}
		return text
	case syntax.OpAlternate:
		i := (m.any(len(e.Sub)) + m.nth) % len(e.Sub)
		m.nth /= len(e.Sub)
		return m.of(e.Sub[i])
	case syntax.OpQuest:
		return m.repeated(e.Sub[0], 0, 1)
	case syntax.OpStar:
		return m.repeated(e.Sub[0], 0, -1)
	case syntax.OpPlus:
		return m.repeated(e.Sub[0], 1, -1)
	case syntax.OpRepeat:
		return m.repeated(e.Sub[0], e.Min, e.Max)
	}
	return "" // places, such as ^ and \b
}

func (m *matching) repeated(e *syntax.Regexp, least, most int) string {
	var text strings.Builder
	n := least
	if most != least && m.grow == 0 {
		n += m.any(4)
		if most >= 0 {
			n = min(n, most)
		}
	}
	for i := 0; (i < n || m.grow > 0 && (most < 0 || i < most)) && text.Len() < longest; i++ {
		growing := i >= n
		grow := m.grow
		if growing {
			m.grow = 0
		}
		part := m.of(e)
		text.WriteString(part)
		if growing {
			if part == "" {
				m.grow = grow
				break
			}
			m.grow = max(grow-utf8.RuneCountInString(part), 0)
		}
	}
	return text.String()
}

// The characters that are made up where a class has them, by kinds.
var kinds = []string{"abcdefghijklmnopqrstuvwxyz", "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "-_.:/@+#!$%&*=?~ "}

// class is a character of a class, which is pairs of the first and last of each range.
func (m *matching) class(ranges []rune) string {
	var list []rune
	var first []int // of each kind
	in := func(c rune) bool {
		for i := 0; i+1 < len(ranges); i += 2 {
			if c >= ranges[i] && c <= ranges[i+1] {
				return true
			}
		}
		return false
	}
	for _, kind := range kinds {
		before := len(list)
		for _, c := range kind {
			if in(c) {
				list = append(list, c)
			}
		}
		if len(list) > before {
			first = append(first, before)
		}
	}
	if len(list) == 0 {
		first = []int{0}
		for i := 0; i+1 < len(ranges); i += 2 {
			for c := ranges[i]; c <= ranges[i+1] && c < ranges[i]+64 && len(list) < 64; c++ {
				if unicode.IsPrint(c) {
					list = append(list, c)
				}
			}
		}
	}
	if len(list) == 0 {
		if len(ranges) == 0 {
			return ""
		}
		return string(ranges[0])
	}
	i := first[m.any(len(first))] + m.nth
	if m.any(2) == 1 {
		i += m.any(len(list))
	}
	i %= len(list)
	m.nth /= len(list)
	return string(list[i])
}
