package jsonvalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"regexp/syntax"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/schema/source"
)

// Schema checks documents by a JSON schema, in a bounded number of steps: a part of a document is looked at once for each way through alternatives
// that leads to it, so one of some hundred bytes could take for ever. It may be used from several goroutines.
//
// A step is a schema that is looked at with a value, or 64 bytes of text. How many there may be depends on the document's length alone. They are
// counted within the library, where it asks for the format of a value: each schema is given one, which the library asks before it looks below. A
// schema cannot know for whom it counts, so each goroutine takes a compiled schema of its own, a checker, while it checks.
type Schema struct {
	text    string
	imports []source.Import
	first   *checker
	made    atomic.Int32
	idle    chan *checker
}

// Compile prepares a schema with what it refers to. One that names no draft is of draft 7.
func Compile(text string, imports []source.Import) (*Schema, error) {
	first, err := newChecker(text, imports)
	if err != nil {
		return nil, err
	}
	s := &Schema{text: text, imports: imports, first: first, idle: make(chan *checker, runtime.GOMAXPROCS(0))}
	s.made.Add(1)
	s.idle <- first
	return s, nil
}

// Title is the title of the schema.
func (s *Schema) Title() string { return s.first.root.Title }

// HasText is HasText of the schema.
func (s *Schema) HasText(path string) error { return HasText(s.first.root, path) }

// Check says why a document is not valid, with the place of each mistake, up to ten. A document that RFC 8259 does not describe, or in which
// a name comes twice, is not valid. ErrSteps: it takes too many steps to say.
func (s *Schema) Check(document []byte) error {
	v, long, err := decoded(document)
	if err != nil {
		return err
	}
	c, err := s.take()
	if err != nil {
		return err
	}
	defer func() { s.idle <- c }()
	c.long = long
	return c.check(v, len(document))
}

// take takes a checker that nobody uses. There are as many as goroutines can run at a time.
func (s *Schema) take() (*checker, error) {
	select {
	case c := <-s.idle:
		return c, nil
	default:
	}
	if int(s.made.Add(1)) > cap(s.idle) {
		s.made.Add(-1)
		return <-s.idle, nil
	}
	c, err := newChecker(s.text, s.imports)
	if err != nil { // not of a schema that has been compiled before
		s.made.Add(-1)
	}
	return c, err
}

// ErrSteps is the error of a document that takes too many steps to check.
var ErrSteps = errors.New("too many steps")

// How many steps a document has, and how many in which mistakes are kept, which is memory. Ordinary schemas take some steps for each value,
// which is some bytes: a tenth of a step a byte.
const (
	leastSteps, stepsOfByte     = 500_000, 16
	leastReasons, reasonsOfByte = 100_000, 1
	textOfStep                  = 64
)

// checker is a schema as it is compiled for one goroutine.
type checker struct {
	root     *jsonschema.Schema
	refuting *jsonschema.Schema // takes what root does not. Below it the library keeps no mistakes, and ends with the first
	left     int
	long     bool // the value has numbers that it is work to calculate with
	watched  map[*jsonschema.Schema]bool
	all      bool // schemas look at all members of a value, for unevaluatedProperties and unevaluatedItems
}

func newChecker(text string, imports []source.Import) (*checker, error) {
	from, err := compiler(text, imports)
	if err != nil {
		return nil, err
	}
	c := &checker{watched: map[*jsonschema.Schema]bool{}}
	if c.root, err = compile(from, main); err != nil {
		return nil, err
	}
	const refuting = "%00refuting"
	if err := from.AddResource(base+refuting, map[string]any{"not": map[string]any{"$ref": base + main}}); err != nil {
		return nil, err
	}
	if c.refuting, err = compile(from, refuting); err != nil {
		return nil, err
	}
	c.find(c.root)
	c.find(c.refuting)
	for s := range c.watched {
		c.all = c.all || s.UnevaluatedProperties != nil || s.UnevaluatedItems != nil
	}
	for s := range c.watched {
		c.watch(s)
	}
	c.watched = nil
	return c, nil
}

// find finds all schemas that one leads to, those of dynamic references too, which no field that is exported has.
func (c *checker) find(s *jsonschema.Schema) {
	if s == nil || c.watched[s] {
		return
	}
	c.watched[s] = true
	var look func(reflect.Value)
	look = func(v reflect.Value) {
		switch t := v.Type(); {
		case t == typeOfSchema:
			c.find((*jsonschema.Schema)(v.UnsafePointer()))
		case t.Kind() == reflect.Interface && !v.IsNil():
			look(v.Elem())
		case t.Kind() == reflect.Slice && t.Elem() == typeOfSchema:
			for i := range v.Len() {
				look(v.Index(i))
			}
		case t.Kind() == reflect.Map && (t.Elem() == typeOfSchema || t.Elem().Kind() == reflect.Interface):
			for _, key := range v.MapKeys() {
				look(v.MapIndex(key))
			}
		}
	}
	of := reflect.ValueOf(s).Elem()
	for i := range of.NumField() {
		look(of.Field(i))
	}
	if s.DynamicRef != nil {
		c.find(s.DynamicRef.Ref)
	}
}

var typeOfSchema = reflect.TypeFor[*jsonschema.Schema]()

var errOutOfSteps = errors.New("out of steps")

func (c *checker) spend(steps int) {
	if c.left -= steps; c.left < 0 {
		panic(errOutOfSteps)
	}
}

// validate is what a schema says of a value, within some steps. It has no error of the library then.
func (c *checker) validate(s *jsonschema.Schema, v any, steps int) (err error, within bool) {
	defer func() {
		if p := recover(); p == errOutOfSteps {
			within = false
		} else if p != nil {
			panic(p)
		}
	}()
	c.left = steps
	return s.Validate(v), true
}

// check tries for the verdict and its reasons at once, which is what nearly all values take. One that takes more steps has the verdict alone,
// because mistakes, of alternatives too, are kept until it is known whether they matter.
func (c *checker) check(v any, size int) error {
	if err, within := c.validate(c.root, v, leastReasons+reasonsOfByte*size); within {
		return told(v, err)
	}
	most := leastSteps + stepsOfByte*size
	err, within := c.validate(c.refuting, v, most)
	switch {
	case !within:
		return jsonscan.Located(fmt.Errorf("%w: to check this value by its schema takes over %d, because alternatives in the schema (oneOf, anyOf, allOf) lead to the same part of it again and again; "+
			"nest the value less deep, or let the schema choose an alternative by one property, with if and then", ErrSteps, most))
	case err == nil:
		return jsonscan.Located(errors.New("the value is not what its schema describes, and where takes too long to say: it has too many mistakes, or the schema too many alternatives; check a smaller part of it"))
	}
	return nil
}

// watch counts the steps of a schema.
func (c *checker) watch(s *jsonschema.Schema) {
	w := weightOf(s, c.all)
	format := &jsonschema.Format{}
	if s.Format != nil {
		*format = *s.Format
	}
	of := format.Validate
	format.Validate = func(v any) error {
		c.spend(w.of(v, c.long))
		if of == nil {
			return nil
		}
		return of(v)
	}
	s.Format = format
	if s.UniqueItems {
		s.UniqueItems = false
		s.Extensions = append(s.Extensions, uniqueItems{c})
	}
}

// weight is how many steps a schema takes. What may end before its own are counted, since it says type, const, enum or false, is
// counted with the schema that it is below.
type weight struct {
	self  int // for the schema and those for the same value
	each  int // for each member or element
	text  int // for each textOfStep of a string
	names int // for each textOfStep of members' names
}

func weightOf(s *jsonschema.Schema, all bool) (w weight) {
	w.self, w.each, w.text = 1+len(s.Required)/8, 1+len(s.PatternProperties), 1
	for _, below := range SamePlace(s) {
		if below != nil {
			w.self += before(below)
			if all {
				w.each++
			}
		}
	}
	for _, below := range inside(s) {
		if below != nil {
			w.each = max(w.each, len(s.PatternProperties)+before(below))
		}
	}
	for pattern := range s.PatternProperties {
		w.names += 1 + length(pattern)/4
	}
	if s.Pattern != nil {
		w.text += length(s.Pattern) / 4
	}
	return w
}

// before is what a schema takes before its steps are counted.
func before(s *jsonschema.Schema) int {
	n := 8
	if s.Const != nil {
		n += weightOfValue(*s.Const)
	}
	if s.Enum != nil {
		for _, v := range s.Enum.Values {
			n += weightOfValue(v)
		}
	}
	return n / 8
}

// weightOfValue is what it takes to compare a value with one of a schema, in eighths of a step.
func weightOfValue(v any) (n int) {
	switch v := v.(type) {
	case json.Number:
		return 8 * (2 + weightOfNumber(v))
	case []any:
		for _, e := range v {
			n += weightOfValue(e)
		}
	case map[string]any:
		for _, e := range v {
			n += weightOfValue(e)
		}
	}
	return n + 1
}

// weightOfNumber is what it takes to calculate with a number, which is as long as its exponent says.
func weightOfNumber(v any) int {
	n, _ := v.(json.Number)
	long := len(n)
	if at := strings.IndexAny(string(n), "eE"); at >= 0 {
		power, _ := strconv.Atoi(string(n[at+1:]))
		long += max(power, -power)
	}
	return min(long/32, 1000)
}

// of is how many steps the schema takes with a value. long: there are numbers that it is work to calculate with.
func (w *weight) of(v any, long bool) int {
	switch v := v.(type) {
	case map[string]any:
		n := w.self + w.each*len(v)
		if w.names > 0 {
			text := 0
			for name := range v {
				text += len(name)
			}
			n += w.names * text / textOfStep
		}
		if long {
			for _, e := range v {
				n += w.each * weightOfNumber(e)
			}
		}
		return n
	case []any:
		n := w.self + w.each*len(v)
		if long {
			for _, e := range v {
				n += w.each * weightOfNumber(e)
			}
		}
		return n
	case string:
		return w.self + w.text*len(v)/textOfStep
	case json.Number:
		return w.self + weightOfNumber(v)
	}
	return w.self
}

// length is how long a pattern's program is: each byte of a text may take as many of its steps.
func length(of jsonschema.Regexp) (n int) {
	count := func(p *regexp.Regexp) {
		parsed, err := syntax.Parse(p.String(), syntax.Perl)
		if err != nil {
			return
		}
		if program, err := syntax.Compile(parsed.Simplify()); err == nil {
			n += len(program.Inst)
		}
	}
	switch p := of.(type) {
	case *regexp.Regexp:
		count(p)
	case *pattern:
		count(p.rest)
		for _, c := range p.conditions {
			count(c.Regexp)
		}
	case *look:
		for _, p := range p.programs {
			n += 4 * len(p.code) // matched without the short cuts that regexp has
		}
	}
	return n
}
