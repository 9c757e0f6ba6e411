package codecs

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/weirstream/weir/internal/jsonscan"
)

// JSONOption changes what [JSON] reads: [Strict].
type JSONOption struct{ strict bool }

// Strict has a codec refuse what json.Unmarshal passes over, with the place in the document: members that the type does not have, also
// where they differ in case only; names that come twice, also keys of a map of which two are one, as "1" and "01" are of a map[int]; null where the
// type has no null; more elements than an array of Go has; bytes that are not UTF-8; nesting beyond 200. Types with an UnmarshalJSON or UnmarshalText
// method say themselves which members they have; null is one of their values where their zero value is written as null. What is written does not
// change.
func Strict() JSONOption { return JSONOption{strict: true} }

// strictType is what a Go type admits.
type strictType struct {
	any    bool // whatever it is, its own method or an interface reads it
	null   bool // null is one of its values
	fields map[string]*strictType
	elem   *strictType  // of arrays, slices and maps
	most   int          // elements, of an array; -1: any number
	key    reflect.Type // of a map whose keys may be written in several ways
	target *strictType  // of a pointer
	object bool
	name   string
	nulls  func() bool // whether a type that reads itself has a null, which is asked when there is one
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// strictTypes are what types admit that are being made. A type that is reached without its methods is another one.
type strictTypes map[reached]*strictType

type reached struct {
	reflect.Type
	bare bool
}

// strictRoot is what the type of a whole document admits, of which encoding/json has the pointer.
func strictRoot(t reflect.Type) *strictType {
	known := strictTypes{}
	if p := reflect.PointerTo(t); reads(p) {
		return known.of(t, true).anything(t)
	}
	return known.of(t, true)
}

// reads says whether a type has a method that reads JSON itself.
func reads(t reflect.Type) bool {
	return t.Implements(jsonUnmarshaler) || t.Implements(textUnmarshaler)
}

// of is what a type admits. encoding/json finds methods of a value's pointer where the value's type has a name, and of each pointer on the way: a
// pointer type with a name of its own has none, and what it points to is read without its methods (bare).
func (known strictTypes) of(t reflect.Type, bare bool) *strictType {
	if s := known[reached{t, bare}]; s != nil {
		return s
	}
	s := &strictType{name: t.String(), most: -1}
	known[reached{t, bare}] = s
	if t.Kind() == reflect.Pointer && reads(t) || t.Kind() != reflect.Pointer && t.Name() != "" && !bare && reads(reflect.PointerTo(t)) {
		return s.anything(t)
	}
	switch t.Kind() {
	case reflect.Interface:
		s.any, s.null = true, true
	case reflect.Pointer:
		s.null, s.target = true, known.of(t.Elem(), true)
	case reflect.Map:
		s.null, s.object, s.elem = true, true, known.of(t.Elem(), false)
		if t.Key().Kind() != reflect.String || reads(reflect.PointerTo(t.Key())) {
			s.key = t.Key()
		}
	case reflect.Slice:
		s.null, s.elem = true, known.of(t.Elem(), false)
	case reflect.Array:
		s.elem, s.most = known.of(t.Elem(), false), t.Len()
	case reflect.Struct:
		s.object, s.fields = true, map[string]*strictType{}
		for name, f := range jsonFields(t) {
			s.fields[name] = known.of(f, false)
		}
	}
	return s
}

// anything has a type be one that reads itself. It calls methods of the type only when it meets a null.
func (s *strictType) anything(t reflect.Type) *strictType {
	s.any, s.null = true, t.Kind() == reflect.Pointer
	s.nulls = sync.OnceValue(func() bool {
		defer func() { _ = recover() }() // a method that panics writes nothing
		out, err := json.Marshal(reflect.New(t).Interface())
		return err == nil && string(out) == null
	})
	return s
}

// jsonFields are the fields of a struct by their names in JSON, as encoding/json sees them: of two with one name the one that is embedded
// less deep counts, then the one with a tag, and else none. A struct that is embedded twice at one depth has each of its names twice.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	type found struct {
		of     reflect.Type
		depth  int
		tagged bool
		many   bool
	}
	all := map[string]found{}
	type level struct {
		of    reflect.Type
		depth int
	}
	seen := map[reflect.Type]level{}
	times := map[level]int{}
	for queue := []level{{t, 0}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if first, ok := seen[at.of]; ok && first.depth < at.depth || times[at] == 2 {
			continue
		}
		seen[at.of] = at
		times[at]++
		for i := range at.of.NumField() {
			f := at.of.Field(i)
			tag := f.Tag.Get("json")
			name := tagName(tag)
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			structure := f.Anonymous && inner.Kind() == reflect.Struct
			embedded := structure && name == ""
			if tag == "-" || !f.IsExported() && !structure {
				continue
			}
			if embedded {
				queue = append(queue, level{inner, at.depth + 1})
				continue
			}
			one := found{f.Type, at.depth, name != "", false}
			if !one.tagged {
				name = f.Name
			}
			switch was, ok := all[name]; {
			case !ok, was.depth == one.depth && one.tagged && !was.tagged:
				all[name] = one
			case was.depth == one.depth && one.tagged == was.tagged:
				was.many = true
				all[name] = was
			}
		}
	}
	fields := map[string]reflect.Type{}
	for name, f := range all {
		if !f.many {
			fields[name] = f.of
		}
	}
	return fields
}

// tagName is the name that a tag gives, "" where encoding/json passes it over for a character in it.
func tagName(tag string) string {
	name, _, _ := strings.Cut(tag, ",")
	if strings.ContainsFunc(name, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune(" -_.:;/@!?#$%&*+<=>^|~()[]{}", c)
	}) {
		return ""
	}
	return name
}

// strictCheck says what of a document a type does not admit. A document that is null is left to who parses it.
func strictCheck(of *strictType, data []byte) error {
	s := jsonscan.New(data)
	var err error
	if s.Peek() == 'n' {
		err = s.Null()
	} else {
		err = of.check(&s)
	}
	if err == nil {
		err = s.End()
	}
	return jsonscan.Located(err)
}

func (t *strictType) check(s *jsonscan.Scanner) error {
	kind := s.Peek()
	switch {
	case t.any && kind != 'n':
		return s.Skip()
	case kind == 'n':
		if !t.null && (t.nulls == nil || !t.nulls()) {
			return errors.New("null is no value of " + t.name)
		}
		return s.Null()
	case t.target != nil:
		return t.target.check(s)
	case kind == '{' && t.object:
		var keys map[any]bool
		return s.Object(func(name []byte) error {
			if t.elem != nil {
				if t.key != nil && !t.add(&keys, string(name)) {
					return errors.New("the key comes twice, written in another way")
				}
				return t.elem.check(s)
			}
			f := t.fields[string(name)]
			if f == nil {
				return t.stranger(string(name))
			}
			return f.check(s)
		})
	case kind == '[' && t.elem != nil && !t.object:
		return s.Array(func(i int) error {
			if i == t.most {
				return fmt.Errorf("%s has no such element", t.name)
			}
			return t.elem.check(s)
		})
	}
	return s.Skip()
}

// add adds the key of a map that a name is, and says whether it is new. A name that is no key is left to who parses it.
func (t *strictType) add(keys *map[any]bool, name string) bool {
	var key any
	var err error
	one := reflect.New(t.key)
	if text, ok := one.Interface().(encoding.TextUnmarshaler); ok {
		err = text.UnmarshalText([]byte(name))
		key = one.Elem().Interface()
	} else if one.Elem().CanInt() {
		key, err = strconv.ParseInt(name, 10, 64)
	} else {
		key, err = strconv.ParseUint(name, 10, 64)
	}
	if err != nil {
		return true
	}
	if *keys == nil {
		*keys = map[any]bool{}
	}
	known := (*keys)[key]
	(*keys)[key] = true
	return !known
}

func (t *strictType) stranger(name string) error {
	for own := range t.fields {
		if strings.EqualFold(own, name) {
			return fmt.Errorf("the name is spelled %q", own)
		}
	}
	return fmt.Errorf("%s has no such field", t.name)
}
