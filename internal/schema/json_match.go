package schema

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// matches says whether each of n can be given one of m of its own.
func matches(n, m int, fits func(i, j int) bool) bool {
	owner := make([]int, m)
	for j := range owner {
		owner[j] = -1
	}
	var place func(i int, tried []bool) bool
	place = func(i int, tried []bool) bool {
		for j := range m {
			if i < m { // its own place first: most lists change little
				switch j {
				case 0:
					j = i
				case i:
					j = 0
				}
			}
			if tried[j] || !fits(i, j) {
				continue
			}
			tried[j] = true
			if owner[j] < 0 || place(owner[j], tried) {
				owner[j] = i
				return true
			}
		}
		return false
	}
	for i := range n {
		if !place(i, make([]bool, m)) {
			return false
		}
	}
	return true
}

// sketch is what tells an object from others at a glance.
type sketch struct {
	constants map[string]any                // its properties that are one value each
	closed    bool                          // it has no properties but these
	all       map[string]*jsonschema.Schema // nil for what is more than a plain object
}

// apart says whether the writer's object has a property that is another constant in the reader's, as the events of a union have their type, or that the reader's does
// not have and does not allow. So most of a long union is told apart at a glance.
func (c *jsonReading) apart(r, w *jsonschema.Schema) bool {
	if !c.spend(glanceCost) {
		return false
	}
	is, was := c.sketchOf(r), c.sketchOf(w)
	if is.all == nil || was.all == nil {
		return false
	}
	for name, v := range is.constants {
		if old, ok := was.constants[name]; ok && !jsonvalue.Equal(v, old) {
			return true
		}
	}
	if is.closed {
		for name, p := range was.all {
			if is.all[name] == nil && !isFalse(follow(p)) {
				return true
			}
		}
	}
	return false
}

func (c *jsonReading) sketchOf(s *jsonschema.Schema) sketch {
	s = follow(s)
	if s == nil {
		return sketch{}
	}
	if known, ok := c.sketches[s]; ok {
		return known
	}
	o := sketch{}
	if slices.Equal(typesOf(s), []string{"object"}) && len(s.OneOf)+len(s.AnyOf)+len(s.AllOf) == 0 {
		o = sketch{map[string]any{}, s.AdditionalProperties == false && len(s.PatternProperties) == 0, s.Properties}
		for name, p := range s.Properties {
			p = follow(p)
			if p.Const == nil || p.Enum != nil || len(p.OneOf)+len(p.AnyOf)+len(p.AllOf) > 0 {
				continue
			}
			if types := typesOf(p); len(types) == 0 || typeAmong(typeOf(*p.Const), types) {
				o.constants[name] = *p.Const
			}
		}
	}
	c.sketches[s] = o
	return o
}
