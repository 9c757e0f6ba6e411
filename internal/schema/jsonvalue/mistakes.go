package jsonvalue

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/weirstream/weir/internal/jsonscan"
)

// most is how many mistakes of a value are told.
const most = 10

// told are the mistakes of a value with their places, in an order that is the same each time: the library's is that of maps. A mistake of the whole value comes last, since
// one of a part says more of where to look.
func told(v any, err error) error {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var found mistakes
	found.of(invalid, place{})
	all := make(jsonscan.Errors, len(found))
	for i, m := range found {
		all[i] = m.located(v)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// why says what is wrong with a schema, on one line.
func why(err error) string {
	var refused *jsonschema.SchemaValidationError
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &refused) || !errors.As(refused.Err, &invalid) {
		return err.Error()
	}
	var found mistakes
	found.of(invalid, place{})
	texts := make([]string, len(found))
	for i, m := range found {
		texts[i] = "at " + refused.URL + "/" + strings.Join(m.at, "/") + ": " + words(m.kind, nil)
	}
	return strings.Join(texts, "; ")
}

// mistake is one of a value.
type mistake struct {
	at   []string // where it is
	sort []string // where it is listed: what keeps a value from one of several alternatives is listed with the value
	kind jsonschema.ErrorKind
}

// mistakes are the first ones of a value.
type mistakes []mistake

func (l *mistakes) add(m mistake) {
	i := len(*l)
	for i > 0 && compare(m.sort, (*l)[i-1].sort) < 0 {
		i--
	}
	if i < most {
		*l = slices.Insert(*l, i, m)
		*l = (*l)[:min(most, len(*l))]
	}
}

// compare orders places, elements by their index; that of the whole value is the last.
func compare(a, b []string) int {
	if len(a) == 0 || len(b) == 0 {
		return len(b) - len(a)
	}
	return slices.CompareFunc(a, b, func(x, y string) int {
		if c := cmp.Compare(len(x), len(y)); c != 0 && digits(x) && digits(y) {
			return c
		}
		return cmp.Compare(x, y)
	})
}

func digits(text string) bool { return strings.Trim(text, "0123456789") == "" }

// place is what is known of where mistakes are before they are looked at.
type place struct {
	at    []string // of all of them, whatever the library says
	fixed bool
	sort  []string // see mistake
	group bool
}

// of finds the mistakes below one of the library's.
func (l *mistakes) of(e *jsonschema.ValidationError, in place) {
	at := e.InstanceLocation
	if in.fixed {
		at = in.at
	}
	add := func(at []string, k jsonschema.ErrorKind) {
		m := mistake{at, at, k}
		if in.group {
			m.sort = in.sort
		}
		l.add(m)
	}
	each := func(names []string) {
		for _, name := range names {
			add(append(at[:len(at):len(at)], name), e.ErrorKind)
		}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		each(k.Missing)
		return
	case *kind.Dependency:
		each(k.Missing)
		return
	case *kind.DependentRequired:
		each(k.Missing)
		return
	case *kind.AdditionalProperties:
		each(k.Properties)
		return
	case *kind.PropertyNames: // the library looks at a name as at a value of its own
		in.at, in.fixed = append(at[:len(at):len(at)], k.Property), true
	case *kind.ContentSchema:
		in.at, in.fixed = at, true
	case *kind.AnyOf, *kind.OneOf:
		if len(e.Causes) > 1 {
			if add(at, k); !in.group {
				in.sort, in.group = at, true
			}
		}
	}
	if len(e.Causes) == 0 {
		add(at, e.ErrorKind)
	}
	for _, c := range e.Causes {
		l.of(c, in)
	}
}

// located is the mistake at its place: a token is an index where the document has an array.
func (m *mistake) located(v any) error {
	var at jsonscan.Place
	for _, name := range m.at {
		if list, ok := v.([]any); ok {
			i, _ := strconv.Atoi(name)
			if at, v = at.Element(i), nil; i < len(list) {
				v = list[i]
			}
			continue
		}
		object, _ := v.(map[string]any)
		at, v = at.Member(name), object[name]
	}
	return at.Of(errors.New(words(m.kind, v)))
}

var english = message.NewPrinter(language.English)

// longestText is what is repeated of a value in words.
const longestText = 200

// words say what is wrong with a value, as the library does but for what it says in a way that misleads, and with numbers as they are written.
func words(k jsonschema.ErrorKind, v any) string {
	got := func(n *big.Rat) string {
		if written, ok := v.(json.Number); ok {
			return jsonscan.Shortened(string(written), longestText)
		}
		return decimal(n)
	}
	switch k := k.(type) {
	case *kind.Required:
		return "the property is missing"
	case *kind.Dependency:
		return fmt.Sprintf("the property is missing, which %q asks for", jsonscan.Shortened(k.Prop, longestText))
	case *kind.DependentRequired:
		return fmt.Sprintf("the property is missing, which %q asks for", jsonscan.Shortened(k.Prop, longestText))
	case *kind.AdditionalProperties:
		return "the schema has no such property, and allows no additional ones"
	case *kind.FalseSchema:
		return "the schema allows no value here"
	case *kind.AnyOf:
		return "the value fits none of the alternatives of anyOf"
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return "the value fits none of the alternatives of oneOf"
		}
	case *kind.Minimum:
		return fmt.Sprintf("minimum: got %s, want %s or more", got(k.Got), decimal(k.Want))
	case *kind.Maximum:
		return fmt.Sprintf("maximum: got %s, want %s or less", got(k.Got), decimal(k.Want))
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("exclusiveMinimum: got %s, want more than %s", got(k.Got), decimal(k.Want))
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("exclusiveMaximum: got %s, want less than %s", got(k.Got), decimal(k.Want))
	case *kind.MultipleOf:
		return fmt.Sprintf("multipleOf: got %s, want a multiple of %s", got(k.Got), decimal(k.Want))
	case *kind.MinLength:
		return atLeast("minLength", k.Got, k.Want)
	case *kind.MaxLength:
		return atMost("maxLength", k.Got, k.Want)
	case *kind.MinItems:
		return atLeast("minItems", k.Got, k.Want)
	case *kind.MaxItems:
		return atMost("maxItems", k.Got, k.Want)
	case *kind.MinProperties:
		return atLeast("minProperties", k.Got, k.Want)
	case *kind.MaxProperties:
		return atMost("maxProperties", k.Got, k.Want)
	case *kind.Pattern:
		return (&kind.Pattern{Got: jsonscan.Shortened(k.Got, longestText), Want: k.Want}).LocalizedString(english)
	case *kind.Format:
		if text, ok := k.Got.(string); ok {
			return (&kind.Format{Got: jsonscan.Shortened(text, longestText), Want: k.Want, Err: k.Err}).LocalizedString(english)
		}
	}
	return k.LocalizedString(english)
}

func atLeast(keyword string, got, want int) string {
	return fmt.Sprintf("%s: got %d, want %d or more", keyword, got, want)
}

func atMost(keyword string, got, want int) string {
	return fmt.Sprintf("%s: got %d, want %d or less", keyword, got, want)
}

// decimal is a number of a schema, in all its digits unless these are very many.
func decimal(n *big.Rat) string {
	const longest = 40
	if places, exact := n.FloatPrec(); exact && places <= longest && n.Num().BitLen() < 10*longest {
		if text := n.FloatString(places); len(text) <= longest {
			return text
		}
	}
	f, _ := new(big.Float).SetPrec(128).SetRat(n).MarshalText()
	return string(f)
}
