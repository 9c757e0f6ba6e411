// Package sample makes up values that a registered schema takes, for lines that people copy and run.
//
// A value is a simple one of each part, within its bounds, formats and rules. Schemas can say more than that, so each value is tried, and
// where it is refused others are made up: with the parts alone that are required, with other alternatives. The same schema has the same value.
package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// Field is one that the value has with a text or a number in it.
type Field struct {
	Path  string   // names with dots between them; "" is the value itself
	Texts []string // what it is to be, the first that is taken; any where none is
}

// Of makes up a value that try takes, which is to check it by the schema. Where none is found the error says why the first one is not taken.
func Of(s *values.Schema, fields []Field, try func(document []byte) error) (json.RawMessage, error) {
	root := &want{}
	for _, f := range fields {
		root.add(f)
	}
	makeUp, err := maker(s.Registered())
	if err != nil {
		return nil, err
	}
	var why error
	attempt := func(c *choices) json.RawMessage {
		document, err := json.Marshal(makeUp(c, root))
		if err != nil {
			return nil
		}
		if err = try(document); err == nil {
			return document
		}
		if why == nil {
			why = fmt.Errorf("of %s: %w", clipped(string(document)), err)
		}
		return nil
	}
	parts := 0
	for c := range attempts() {
		if document := attempt(c); document != nil {
			return document, nil
		}
		if parts += c.parts; parts > mostOfAll {
			break
		}
	}
	return nil, why
}

func clipped(text string) string {
	if len(text) > 300 {
		return strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}

// maker makes up values of a schema that may be ones.
func maker(s *registry.Registered) (func(*choices, *want) any, error) {
	switch s.Type {
	case registry.Protobuf:
		file, err := protovalue.Compile(s.Text, s.Imports)
		if err != nil {
			return nil, err
		}
		if file.Messages().Len() == 0 {
			return nil, errors.New("the file has no message")
		}
		return func(c *choices, w *want) any {
			return (&protoSampler{choices: c}).message(file.Messages().Get(0), w, 0)
		}, nil
	case registry.JSON:
		root, named := document(s.Text), map[string]any{}
		for _, in := range s.Imports {
			named[in.Name] = local(document(in.Text), in.Name)
		}
		return func(c *choices, w *want) any {
			return (&jsonSampler{choices: c, root: root, named: named, open: map[string]int{"#": 1}}).of(root, w, 0, 0)
		}, nil
	}
	root, types := document(s.Text), avroTypes{}
	for _, in := range s.Imports {
		types.define(document(in.Text), "")
	}
	types.define(root, "")
	return func(c *choices, w *want) any { return (&avroSampler{c, types}).of(root, "", w, 0) }, nil
}

// document is a schema as JSON, nil where it is none. Numbers stay as they are written.
func document(text string) (doc any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&doc) != nil {
		return nil
	}
	return doc
}

// deepest bounds how deep what may be left out is made up, and deepestAll how deep anything is: schemas refer to themselves.
const deepest, deepestAll = 8, 32

// want is what a part of the value must have; nil is nothing.
type want struct {
	text  bool // it is a text with a character, or a number
	texts []string
	below map[string]*want
}

func (w *want) add(f Field) {
	if f.Path != "" {
		for name := range strings.SplitSeq(f.Path, ".") {
			if w.below == nil {
				w.below = map[string]*want{}
			}
			if w.below[name] == nil {
				w.below[name] = &want{}
			}
			w = w.below[name]
		}
	}
	w.text, w.texts = true, slices.Concat(f.Texts, w.texts)
}

func (w *want) at(name string) *want {
	if w == nil {
		return nil
	}
	return w.below[name]
}

// isText says that the part must be a text or a number, and hasParts that it must have parts.
func (w *want) isText() bool   { return w != nil && w.text }
func (w *want) hasParts() bool { return w != nil && len(w.below) > 0 }

// fits says whether a value that a schema names may be what is wanted.
func (w *want) fits(v any) bool {
	switch v := v.(type) {
	case nil, bool, []any:
		return !w.isText() && !w.hasParts()
	case string:
		return !w.hasParts() && (!w.isText() || v != "")
	case map[string]any:
		if w.isText() {
			return false
		}
		if w != nil {
			for name, below := range w.below {
				if in, ok := v[name]; !ok || !below.fits(in) {
					return false
				}
			}
		}
		return true
	}
	return !w.hasParts()
}

// choices decide where a schema leaves several ways.
type choices struct {
	least    bool // what may be left out is
	flip, to int  // at the place flip the way to is taken, at all others the first one
	random   *rand.Rand
	ways     []int // how many each place had
	parts    int   // that were made up
}

// spent counts a part, and says that there are more than any value is to have: what a schema wants several of may lead to itself.
func (c *choices) spent() bool {
	c.parts++
	return c.parts > mostParts
}

// mostParts bounds the parts of a value, and mostOfAll those of all that are tried.
const mostParts, mostOfAll = 10_000, 100_000

// one is one of n ways.
func (c *choices) one(n int) int {
	if n <= 1 {
		return 0
	}
	at := len(c.ways)
	c.ways = append(c.ways, n)
	switch {
	case c.random != nil && c.random.IntN(2) == 0:
		return c.random.IntN(n)
	case c.random == nil && at == c.flip:
		return min(c.to, n-1)
	}
	return 0
}

// attempts are the first way everywhere, then another one at one place each, then ways at random, which are the same with each run; each with all
// parts and with those alone that are required.
func attempts() func(yield func(*choices) bool) {
	const single, random = 150, 150
	return func(yield func(*choices) bool) {
		var ways [2][]int
		for i, least := range []bool{false, true} {
			c := &choices{least: least, flip: -1}
			if !yield(c) {
				return
			}
			ways[i] = c.ways
		}
		for i, least := range []bool{true, false} {
			tried := 0
			for at, n := range ways[1-i] {
				for to := 1; to < n && tried < single; to++ {
					tried++
					if !yield(&choices{least: least, flip: at, to: to}) {
						return
					}
				}
			}
		}
		for n := range random {
			if !yield(&choices{least: n%2 == 0, random: rand.New(rand.NewPCG(uint64(n), 1))}) {
				return
			}
		}
	}
}

// wanted is one of the texts that are wanted there, or, as the last way, none.
func (c *choices) wanted(w *want) (string, bool) {
	if w == nil || len(w.texts) == 0 {
		return "", false
	}
	if i := c.one(len(w.texts) + 1); i < len(w.texts) {
		return w.texts[i], true
	}
	return "", false
}

// wantedNumber is one of those texts as a number.
func (c *choices) wantedNumber(w *want) (json.Number, bool) {
	text, ok := c.wanted(w)
	var n json.Number
	if !ok || text == "" || text[0] == '"' || json.Unmarshal([]byte(text), &n) != nil || n == "" {
		return "", false
	}
	return n, true
}
