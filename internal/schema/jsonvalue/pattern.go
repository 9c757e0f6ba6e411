package jsonvalue

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// pattern is a regular expression of a schema. RE2 matches it, in time that grows with the text alone. Of what RE2 has not of ECMA-262,
// conditions at the start, as in ^(?!x) or ^(?=.*[0-9])(?=.*[a-z]), are expressions of their own, which is the quick way for what most
// schemas have; other lookarounds are those of look.
type pattern struct {
	text       string
	conditions []condition
	rest       *regexp.Regexp
}

type condition struct {
	*regexp.Regexp
	holds bool // it has to match, or must not
}

func (p *pattern) String() string { return p.text }

func (p *pattern) MatchString(s string) bool {
	for _, c := range p.conditions {
		if c.MatchString(s) != c.holds {
			return false
		}
	}
	return p.rest.MatchString(s)
}

func compilePattern(text string) (jsonschema.Regexp, error) {
	if plain, err := regexp.Compile(text); err == nil {
		return plain, nil
	}
	p, rest := &pattern{text: text}, inRE2(text)
	err := error(nil)
	if after, ok := strings.CutPrefix(rest, "^"); ok && !alternatives(after) {
		for err == nil && (strings.HasPrefix(after, "(?=") || strings.HasPrefix(after, "(?!")) {
			end := closing(after)
			if end < 0 {
				break
			}
			c := condition{holds: after[2] == '='}
			c.Regexp, err = regexp.Compile("^(?:" + after[3:end] + ")")
			p.conditions = append(p.conditions, c)
			after = after[end+1:]
		}
		rest = "^" + after
	}
	if err == nil {
		p.rest, err = regexp.Compile(rest)
	}
	if err == nil {
		return p, nil
	}
	l, err := compileLook(text, inRE2(text))
	if err != nil {
		return nil, fmt.Errorf("%w (patterns are those of RE2, with lookaheads and lookbehinds; say others with allOf and not)", err)
	}
	return l, nil
}

// Pattern is a pattern as documents are checked by, and what it says without its lookaheads and lookbehinds, as RE2 writes it.
func Pattern(text string) (p jsonschema.Regexp, without string, err error) {
	if p, err = compilePattern(text); err != nil {
		return nil, "", err
	}
	if _, plain := p.(*regexp.Regexp); plain {
		return p, text, nil
	}
	without = inRE2(text)
	for i := 0; i < len(without); i++ {
		switch rest := without[i:]; {
		case rest[0] == '\\':
			i++
		case strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?<=") || strings.HasPrefix(rest, "(?<!"):
			if end := closing(rest); end > 0 {
				without = without[:i] + rest[end+1:]
				i--
			}
		}
	}
	return p, without, nil
}

var script = regexp.MustCompile(`^\\([pP])\{(?:Script|sc|General_Category|gc)=([A-Za-z_]+)\}`)

// inRE2 writes as RE2 does what ECMA-262 writes in another way: characters as \u00e9, \u{1f600} and \cJ, [^] for any one and [] for none, and
// \p{Script=Greek}.
func inRE2(text string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case !class && strings.HasPrefix(rest, "[^]"):
			b.WriteString(`[\s\S]`)
			i += 2
		case !class && strings.HasPrefix(rest, "[]"):
			b.WriteString(`[^\x{0}-\x{10ffff}]`)
			i++
		case strings.HasPrefix(rest, `\u{`):
			b.WriteString(`\x{`)
			i += 2
		case strings.HasPrefix(rest, `\u`) && unit(rest) >= 0:
			r := unit(rest)
			i += 5
			if utf16.IsSurrogate(r) && unit(rest[6:]) >= 0 {
				r = utf16.DecodeRune(r, unit(rest[6:]))
				i += 6
			}
			fmt.Fprintf(&b, `\x{%x}`, r)
		case strings.HasPrefix(rest, `\c`) && len(rest) > 2 && (rest[2]|0x20 >= 'a' && rest[2]|0x20 <= 'z'):
			fmt.Fprintf(&b, `\x{%x}`, rest[2]&0x1f)
			i += 2
		case script.MatchString(rest):
			found := script.FindStringSubmatch(rest)
			fmt.Fprintf(&b, `\%s{%s}`, found[1], found[2])
			i += len(found[0]) - 1
		case text[i] == '\\' && len(rest) > 1:
			b.WriteString(rest[:2])
			i++
		default:
			class = text[i] == '[' || class && text[i] != ']'
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// unit is the number of a \uXXXX that a text begins with, -1 for none.
func unit(text string) rune {
	if len(text) < 6 || text[:2] != `\u` {
		return -1
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// closing is where the group ends that a pattern begins with, -1 for nowhere.
func closing(text string) (end int) {
	end = -1
	parts(text, func(i, depth int) bool {
		if text[i] == ')' && depth == 0 {
			end = i
		}
		return end < 0
	})
	return end
}

// alternatives says whether a pattern has a | outside of groups.
func alternatives(text string) (found bool) {
	parts(text, func(i, depth int) bool {
		found = found || text[i] == '|' && depth == 0
		return !found
	})
	return found
}

// parts goes over the characters of a pattern that are neither escaped nor in a class, with how many groups each is in.
func parts(text string, part func(i, depth int) bool) {
	depth, class := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
			continue
		case class:
			class = c != ']'
			continue
		case c == '[':
			class = true
			continue
		case c == ')':
			depth--
		}
		if !part(i, depth) {
			return
		}
		if text[i] == '(' {
			depth++
		}
	}
}
