package jsonvalue

import (
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"
)

// look is a regular expression with lookaheads and lookbehinds anywhere. Libraries that have these go back and try again, which a pattern
// or a text can have them do for ever, and what they say after a timeout depends on how busy the machine is. Whether one holds is a
// question of the place in the text alone, though, as it is of ^ and \b. So each is a program of its own, which goes over the text once and notes
// the places where it holds; a program that asks for it has an instruction that looks there. The time is that of RE2 for each of them: it grows with the text
// alone. Back-references cannot be had in this way.
type look struct {
	text     string
	programs []program // a program asks for those before it; the last one is the pattern itself
}

// program is one for RE2's machine.
type program struct {
	code     []syntax.Inst
	start    uint32
	anchored bool           // it matches at the start of the text only
	behind   bool           // it is a lookbehind
	asks     map[uint32]ask // instructions that ask whether another program holds
	into     [][]uint32     // the instructions that lead to one
}

type ask struct {
	program int
	holds   bool // it has to, or must not
}

const (
	// mostLooks and mostInstructions bound what a pattern costs for each character of a text.
	mostLooks        = 50
	mostInstructions = 4000
	// firstMark is the character that stands for the first lookaround while a program is made: a private one, which no pattern may have itself.
	firstMark = 0xF0000
)

// marked says whether a text has a character that could be taken for a lookaround.
func marked(text string) bool {
	private := func(r rune) bool { return r >= firstMark && r < firstMark+mostLooks }
	for part := range strings.SplitSeq(text, `\x{`) {
		hex, _, _ := strings.Cut(part, "}")
		if n, err := strconv.ParseInt(hex, 16, 32); err == nil && private(rune(n)) {
			return true
		}
	}
	return strings.ContainsFunc(text, private)
}

// compileLook compiles a pattern in RE2's spelling, but for its lookarounds.
func compileLook(original, text string) (*look, error) {
	if marked(text) {
		return nil, fmt.Errorf("beside lookarounds no private characters from %x on are taken", firstMark)
	}
	l := &look{text: original}
	if err := l.add(text, false); err != nil {
		return nil, err
	}
	n := 0
	for i := range l.programs {
		n += len(l.programs[i].code)
	}
	if n > mostInstructions {
		return nil, fmt.Errorf("with lookarounds it is too large: %d steps, and %d are taken", n, mostInstructions)
	}
	return l, nil
}

// around is the lookaround that a text begins with, if any: the length of its beginning.
func around(text string) (opening int, behind, holds bool) {
	for _, o := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(text, o) {
			return len(o), strings.Contains(o, "<"), strings.HasSuffix(o, "=")
		}
	}
	return 0, false, false
}

// add makes programs of the lookarounds of a text, and then one of the text.
func (l *look) add(text string, behind bool) error {
	var b strings.Builder
	marks := map[rune]ask{}
	var err error
	done := 0
	parts(text, func(i, _ int) bool {
		if i < done || text[i] != '(' {
			return true
		}
		opening, back, holds := around(text[i:])
		if opening == 0 {
			if len(text) > i+2 && text[i+1] == '?' && strings.IndexByte("imsU-", text[i+2]) >= 0 {
				err = fmt.Errorf("beside lookarounds no flags are taken: %s", text[i:i+3])
			}
			return err == nil
		}
		end := closing(text[i:])
		if end < 0 {
			err = fmt.Errorf("missing closing ): %s", text[i:])
			return false
		}
		end += i
		if err = l.add(text[i+opening:end], back); err != nil {
			return false
		}
		n := len(l.programs) - 1
		if n >= mostLooks {
			err = fmt.Errorf("there are more than %d lookarounds", mostLooks)
			return false
		}
		mark := rune(firstMark + n)
		marks[mark] = ask{n, holds}
		fmt.Fprintf(&b, "%s(%c)", text[done:i], mark) // in a group, or it would become part of a class beside other characters
		done = end + 1
		return true
	})
	if err != nil {
		return err
	}
	b.WriteString(text[done:])
	parsed, err := syntax.Parse(b.String(), syntax.Perl)
	if err != nil {
		return err
	}
	compiled, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return err
	}
	p := program{code: compiled.Inst, start: uint32(compiled.Start), behind: behind, asks: map[uint32]ask{}, into: make([][]uint32, len(compiled.Inst))}
	p.anchored = compiled.StartCond()&syntax.EmptyBeginText != 0
	for pc := range p.code {
		in := &p.code[pc]
		if a, ok := marks[markOf(in)]; ok {
			p.asks[uint32(pc)] = a
		}
		if in.Op != syntax.InstMatch && in.Op != syntax.InstFail {
			p.into[in.Out] = append(p.into[in.Out], uint32(pc))
		}
		if in.Op == syntax.InstAlt || in.Op == syntax.InstAltMatch {
			p.into[in.Arg] = append(p.into[in.Arg], uint32(pc))
		}
	}
	l.programs = append(l.programs, p)
	return nil
}

// markOf is the one character that an instruction takes, 0 for none.
func markOf(in *syntax.Inst) rune {
	if (in.Op == syntax.InstRune1 || in.Op == syntax.InstRune) && len(in.Rune) == 1 {
		return in.Rune[0]
	}
	return 0
}

func (l *look) String() string { return l.text }

func (l *look) MatchString(s string) bool {
	run := &looking{text: make([]rune, 0, utf8.RuneCountInString(s))}
	for _, r := range s {
		run.text = append(run.text, r)
	}
	last := len(l.programs) - 1
	for i := range l.programs[:last] {
		if p := &l.programs[i]; p.behind {
			run.ends(p, false)
		} else {
			run.starts(p)
		}
	}
	return run.ends(&l.programs[last], true)
}

// looking is a text that is looked at.
type looking struct {
	text []rune
	held [][]uint64 // for each program before, the places where it holds
}

// around are the characters before and after a place, -1 for none.
func (k *looking) around(at int) (before, after rune) {
	before, after = -1, -1
	if at > 0 {
		before = k.text[at-1]
	}
	if at < len(k.text) {
		after = k.text[at]
	}
	return before, after
}

// passes says whether a program goes on from an instruction without a character.
func (k *looking) passes(p *program, pc uint32, at int) bool {
	switch in := &p.code[pc]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch, syntax.InstCapture, syntax.InstNop:
		return true
	case syntax.InstEmptyWidth:
		return in.MatchEmptyWidth(k.around(at))
	}
	a, ok := p.asks[pc]
	return ok && (k.held[a.program][at/64]>>(at%64)&1 == 1) == a.holds
}

// takes says whether an instruction takes a character.
func (p *program) takes(pc uint32, r rune) bool {
	switch in := &p.code[pc]; in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		_, asks := p.asks[pc]
		return !asks && in.MatchRune(r)
	}
	return false
}

// instructions is a set of them.
type instructions struct {
	list []uint32
	has  []bool
}

func (s *instructions) add(pc uint32) {
	if !s.has[pc] {
		s.has[pc] = true
		s.list = append(s.list, pc)
	}
}

func (s *instructions) clear() {
	for _, pc := range s.list {
		s.has[pc] = false
	}
	s.list = s.list[:0]
}

func (p *program) none() *instructions { return &instructions{has: make([]bool, len(p.code))} }

// ends notes where the program ends that begins anywhere before. With first it only says whether there is such a place.
func (k *looking) ends(p *program, first bool) bool {
	places := make([]uint64, len(k.text)/64+1)
	now, next := p.none(), p.none()
	for at := 0; at <= len(k.text); at++ {
		if at == 0 || !p.anchored {
			now.add(p.start)
		} else if len(now.list) == 0 {
			break
		}
		for n := 0; n < len(now.list); n++ { // which grows
			pc := now.list[n]
			in := &p.code[pc]
			switch {
			case in.Op == syntax.InstMatch:
				if first {
					return true
				}
				places[at/64] |= 1 << (at % 64)
			case k.passes(p, pc, at):
				now.add(in.Out)
				if in.Op == syntax.InstAlt || in.Op == syntax.InstAltMatch {
					now.add(in.Arg)
				}
			case at < len(k.text) && p.takes(pc, k.text[at]):
				next.add(in.Out)
			}
		}
		now, next = next, now
		next.clear()
	}
	k.held = append(k.held, places)
	return false
}

// starts notes where the program begins that ends anywhere after. It goes backwards: what leads to its end from a place follows from what does
// from the next one.
func (k *looking) starts(p *program) {
	places := make([]uint64, len(k.text)/64+1)
	now, next := p.none(), p.none()
	for at := len(k.text); at >= 0; at-- {
		for pc := range p.code {
			if p.code[pc].Op == syntax.InstMatch {
				now.add(uint32(pc))
			}
		}
		if at < len(k.text) {
			for _, to := range next.list {
				for _, pc := range p.into[to] {
					if p.takes(pc, k.text[at]) {
						now.add(pc)
					}
				}
			}
		}
		for n := 0; n < len(now.list); n++ { // which grows
			for _, pc := range p.into[now.list[n]] {
				if k.passes(p, pc, at) {
					now.add(pc)
				}
			}
		}
		if now.has[p.start] {
			places[at/64] |= 1 << (at % 64)
		}
		now, next = next, now
		now.clear()
	}
	k.held = append(k.held, places)
}
