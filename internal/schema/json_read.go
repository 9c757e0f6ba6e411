package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// readJSON says what values that the writer's schema allows the reader's does not, by the rules of Confluent's registry. A
// property that is new in an open content model is one, for others may have written it with another meaning.
func readJSON(reader, writer *jsonSchema) []Difference {
	c := &jsonReading{seen: map[[2]*jsonschema.Schema]bool{}, fails: map[[2]*jsonschema.Schema]bool{}, sketches: map[*jsonschema.Schema]sketch{}, budget: newBudget()}
	c.read(reader.root, writer.root, "#")
	return c.budget.judge(c.found)
}

type jsonReading struct {
	found    []Difference
	seen     map[[2]*jsonschema.Schema]bool // pairs under way or done: a recursive schema holds unless something else does not
	order    [][2]*jsonschema.Schema        // these in order, so that what an attempt saw can be taken back
	fails    map[[2]*jsonschema.Schema]bool // pairs that were tried and do not hold
	tries    int                            // attempts under way: one that has failed is not gone on with
	sketches map[*jsonschema.Schema]sketch
	*budget
}

func (c *jsonReading) add(rule, path, format string, args ...any) {
	c.found = append(c.found, Difference{rule, path, fmt.Sprintf(format, args...)})
}

// holds says whether a pair of schemas is compatible.
func (c *jsonReading) holds(r, w *jsonschema.Schema) bool {
	if c.apart(r, w) {
		return false
	}
	pair := [2]*jsonschema.Schema{r, w}
	if c.fails[pair] {
		return false
	}
	found, mark := c.found, len(c.order)
	c.found = nil
	c.tries++
	c.read(r, w, "")
	c.tries--
	c.fails[pair] = len(c.found) > 0
	if c.found = found; c.fails[pair] {
		for _, saw := range c.order[mark:] {
			delete(c.seen, saw)
		}
		c.order = c.order[:mark]
	}
	return !c.fails[pair]
}

func follow(s *jsonschema.Schema) *jsonschema.Schema {
	for n := 0; s != nil && s.Ref != nil && n < deepest; n++ {
		s = s.Ref
	}
	return s
}

func (c *jsonReading) read(r, w *jsonschema.Schema, path string) {
	if c.tries > 0 && len(c.found) > 0 || !c.step() {
		return
	}
	r, w = follow(r), follow(w)
	switch {
	case r == nil || isTrue(r):
		return
	case w != nil && isFalse(w):
		return
	case w == nil || isTrue(w):
		c.add("SCHEMA_ADDED", path, "any value was allowed, and now not every one is")
		return
	case isFalse(r):
		c.add("TYPE_CHANGED", path, "nothing is allowed any more")
		return
	}
	pair := [2]*jsonschema.Schema{r, w}
	if c.seen[pair] {
		return
	}
	c.seen[pair] = true
	c.order = append(c.order, pair)
	if !c.combined(r, w, c.combination(r), c.combination(w), path) {
		return
	}
	c.types(r, w, path)
	c.enums(r, w, path)
	c.strings(r, w, path)
	c.numbers(r, w, path)
	c.objects(r, w, path)
	c.arrays(r, w, path)
	if r.Not != nil && (w.Not == nil || !c.holds(w.Not, r.Not)) {
		c.add("NOT_TYPE_EXTENDED", path+"/not", "more is excluded than was")
	}
}

func isFalse(s *jsonschema.Schema) bool { return s.Bool != nil && !*s.Bool }

// isTrue says whether a schema allows every value: it is true, or {} but for what only describes.
func isTrue(s *jsonschema.Schema) bool {
	if s.Bool != nil {
		return *s.Bool
	}
	bare := jsonschema.Schema{}
	b, v := reflect.ValueOf(bare), reflect.ValueOf(*s)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || slices.Contains(describing, f.Name) {
			continue
		}
		if !reflect.DeepEqual(v.Field(i).Interface(), b.Field(i).Interface()) {
			if field := v.Field(i); (field.Kind() == reflect.Slice || field.Kind() == reflect.Map) && field.Len() == 0 {
				continue
			}
			return false
		}
	}
	return true
}

var describing = []string{"DraftVersion", "Location", "ID", "Anchor", "RecursiveAnchor", "DynamicAnchor", "Title", "Description", "Default", "Comment", "ReadOnly",
	"WriteOnly", "Examples", "Deprecated", "Extensions"}

// combined is how a schema is made of others.
type combined struct {
	kind string // oneOf, anyOf or allOf; "" for a schema that is not made of others
	of   []*jsonschema.Schema
}

// combination is the way in which a schema is made of others: see spelledOut.
func (c *jsonReading) combination(s *jsonschema.Schema) combined {
	switch {
	case len(s.OneOf) > 0:
		return combined{"oneOf", s.OneOf} // what fits two of them is not allowed, so that twins count
	case len(s.AnyOf) > 0:
		return combined{"anyOf", c.distinct(s.AnyOf)}
	case len(s.AllOf) > 0:
		return combined{"allOf", c.distinct(s.AllOf)}
	}
	return combined{}
}

// distinct leaves out schemas that mean the same as one before.
func (c *jsonReading) distinct(all []*jsonschema.Schema) (list []*jsonschema.Schema) {
	for _, s := range all {
		if !slices.ContainsFunc(list, func(o *jsonschema.Schema) bool { return c.holds(s, o) && c.holds(o, s) }) {
			list = append(list, s)
		}
	}
	return list
}

// combined compares schemas of which one at least is made of others. It returns whether the rest of them is to be compared.
func (c *jsonReading) combined(r, w *jsonschema.Schema, is, was combined, path string) bool {
	switch {
	case is.kind == "" && was.kind == "":
		return true
	case was.kind == "":
		if is.kind == "allOf" {
			for i, s := range is.of {
				c.read(s, w, fmt.Sprintf("%s/allOf/%d", path, i))
			}
			return true
		}
		if !slices.ContainsFunc(is.of, func(s *jsonschema.Schema) bool { return c.holds(s, w) }) {
			c.add("TYPE_CHANGED", path, "what was allowed fits none of %s", is.kind)
			return false
		}
		return true // what stands beside the alternatives counts too
	case is.kind == "":
		c.noLongerCombined(r, w, was, path)
		return false
	}
	at := path + "/" + is.kind
	if len(was.of) == 1 { // which is the same in all three ways
		was.kind = is.kind
	} else if len(is.of) == 1 {
		is.kind = was.kind
	}
	switch {
	case is.kind != was.kind && is.kind != "anyOf" && was.kind != "allOf":
		c.add("COMBINED_TYPE_CHANGED", at, "it is %s, and was %s", is.kind, was.kind)
		return false
	case is.kind == "allOf":
		c.product(is.of, was.of, at)
	case was.kind == "allOf":
		if !slices.ContainsFunc(was.of, func(w *jsonschema.Schema) bool { return c.holds(r, w) }) && !slices.ContainsFunc(is.of, func(s *jsonschema.Schema) bool {
			return slices.ContainsFunc(was.of, func(w *jsonschema.Schema) bool { return c.holds(s, w) })
		}) {
			c.add("COMBINED_TYPE_SUBSCHEMAS_CHANGED", at, "what was allOf fits none of %s", is.kind)
		}
	default:
		c.sum(is.of, was.of, at)
	}
	return true
}

// noLongerCombined compares a schema that is not made of others with one that was.
func (c *jsonReading) noLongerCombined(r, w *jsonschema.Schema, was combined, path string) {
	if c.holds(r, withoutCombination(w)) {
		return
	}
	if was.kind == "allOf" {
		if !slices.ContainsFunc(was.of, func(s *jsonschema.Schema) bool { return c.holds(r, s) }) {
			c.add("TYPE_CHANGED", path, "it was allOf, of which none is allowed as it is now")
		}
		return
	}
	for i, s := range was.of {
		if !c.holds(r, s) {
			c.add("SUM_TYPE_NARROWED", fmt.Sprintf("%s/%s/%d", path, was.kind, i), "it was one of the schemas that were allowed, and does not fit what is allowed now")
		}
	}
}

// product compares schemas of which all must be met.
func (c *jsonReading) product(is, was []*jsonschema.Schema, at string) {
	if len(is) > len(was) {
		c.add("PRODUCT_TYPE_EXTENDED", at, "%d schemas must be met, and were %d", len(is), len(was))
	} else if !matches(len(is), len(was), func(i, j int) bool { return c.holds(is[i], was[j]) }) {
		c.add("COMBINED_TYPE_SUBSCHEMAS_CHANGED", at, "a schema that must be met is stricter than each of those before")
	}
}

// sum compares schemas of which one must be met.
func (c *jsonReading) sum(is, was []*jsonschema.Schema, at string) {
	if len(is) < len(was) {
		c.add("SUM_TYPE_NARROWED", at, "%d schemas are allowed, and were %d", len(is), len(was))
	} else if !matches(len(was), len(is), func(i, j int) bool { return c.holds(is[j], was[i]) }) {
		c.add("COMBINED_TYPE_SUBSCHEMAS_CHANGED", at, "one of the schemas that were allowed fits none of those that are")
	}
}

func withoutCombination(s *jsonschema.Schema) *jsonschema.Schema {
	bare := *s
	bare.OneOf, bare.AnyOf, bare.AllOf = nil, nil, nil
	return &bare
}

func typesOf(s *jsonschema.Schema) []string {
	if s.Types == nil {
		return nil
	}
	return s.Types.ToStrings()
}

// typesWritten are the types that the values of a schema may have: those of its enum or const where it has one. all says that they may be any.
func typesWritten(s *jsonschema.Schema) (types []string, all bool) {
	values, listed := enumOf(s)
	if !listed {
		types = typesOf(s)
		return types, len(types) == 0
	}
	for _, v := range values {
		if t := typeOf(v); !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types, false
}

func (c *jsonReading) types(r, w *jsonschema.Schema, path string) {
	is := typesOf(r)
	if len(is) == 0 {
		return
	}
	was, all := typesWritten(w)
	if all {
		c.add("TYPE_NARROWED", path+"/type", "only %s is allowed, and was any type", strings.Join(is, ", "))
		return
	}
	var gone []string
	for _, t := range was {
		if !typeAmong(t, is) {
			gone = append(gone, t)
		}
	}
	switch {
	case len(gone) == 0:
	case slices.Contains(gone, "number") && slices.Contains(is, "integer"):
		c.add("TYPE_NARROWED", path+"/type", "numbers are integers now")
	case len(gone) == len(was):
		c.add("TYPE_CHANGED", path+"/type", "it is %s, and was %s", strings.Join(is, ", "), strings.Join(was, ", "))
	default:
		c.add("SUM_TYPE_NARROWED", path+"/type", "%s was allowed", strings.Join(gone, ", "))
	}
}

// typeAmong says whether values of a type are of one of several.
func typeAmong(t string, of []string) bool {
	return slices.Contains(of, t) || t == "integer" && slices.Contains(of, "number")
}

// enumOf are the values that a schema allows, where it has a list of them: those of enum, of const, or of both, that are of its types.
func enumOf(s *jsonschema.Schema) (values []any, listed bool) {
	switch {
	case s.Enum != nil:
		values = s.Enum.Values
	case s.Const != nil:
		values = []any{*s.Const}
	default:
		return nil, false
	}
	types := typesOf(s)
	return slices.DeleteFunc(slices.Clone(values), func(v any) bool {
		return s.Const != nil && !jsonvalue.Equal(v, *s.Const) || len(types) > 0 && !typeAmong(typeOf(v), types)
	}), true
}

func (c *jsonReading) enums(r, w *jsonschema.Schema, path string) {
	is, now := enumOf(r)
	was, before := enumOf(w)
	if !now {
		return
	}
	if !before {
		c.add("ENUM_ARRAY_NARROWED", path+"/enum", "only some values are allowed, and were all")
		return
	}
	for _, v := range was {
		if !slices.ContainsFunc(is, func(o any) bool { return jsonvalue.Equal(o, v) }) {
			c.add("ENUM_ARRAY_NARROWED", path+"/enum", "the value %s was allowed", shown(v))
			return
		}
	}
}

// shown is a value as it is in a schema, and a text without its quotes.
func shown(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	text, _ := json.Marshal(v) // it was JSON
	return string(text)
}

// typeOf is the narrowest type of a value.
func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	default:
		if n, ok := numberOf(v); ok && n.IsInt() {
			return "integer"
		}
		return "number"
	}
}

// numberOf is the number that a value of a schema is. One that would be expensive to calculate with is none.
func numberOf(v any) (*big.Rat, bool) {
	text, ok := v.(json.Number)
	if !ok || jsonvalue.Expensive(string(text)) {
		return nil, false
	}
	return new(big.Rat).SetString(string(text))
}

// bound compares a limit: upper ones may grow, lower ones shrink, and both go away.
func (c *jsonReading) bound(name string, is, was *big.Rat, upper bool, path string) {
	rule := strings.ToUpper(camel(name))
	way := map[bool]string{true: "_DECREASED", false: "_INCREASED"}[upper]
	switch {
	case is == nil:
	case was == nil:
		c.add(rule+"_ADDED", path+"/"+name, "%s is %s, and there was none", name, is.RatString())
	case upper && is.Cmp(was) < 0, !upper && is.Cmp(was) > 0:
		c.add(rule+way, path+"/"+name, "%s is %s, and was %s", name, is.RatString(), was.RatString())
	}
}

func camel(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func rat(n *int) *big.Rat {
	if n == nil {
		return nil
	}
	return big.NewRat(int64(*n), 1)
}

func (c *jsonReading) strings(r, w *jsonschema.Schema, path string) {
	c.bound("maxLength", rat(r.MaxLength), rat(w.MaxLength), true, path)
	c.bound("minLength", rat(r.MinLength), rat(w.MinLength), false, path)
	switch {
	case r.Pattern == nil:
	case w.Pattern == nil:
		c.add("PATTERN_ADDED", path+"/pattern", "a pattern must be met, and there was none")
	case r.Pattern.String() != w.Pattern.String():
		c.add("PATTERN_CHANGED", path+"/pattern", "the pattern is %q, and was %q", r.Pattern, w.Pattern)
	}
}

// tighter is the bound that allows less: what an exclusive one allows, an inclusive one of the same number does as well.
func tighter(inclusive, exclusive *big.Rat, looser int) *big.Rat {
	if inclusive == nil || exclusive != nil && inclusive.Cmp(exclusive) == looser {
		return exclusive
	}
	return inclusive
}

func (c *jsonReading) numbers(r, w *jsonschema.Schema, path string) {
	c.bound("maximum", r.Maximum, tighter(w.Maximum, w.ExclusiveMaximum, 1), true, path)
	c.bound("minimum", r.Minimum, tighter(w.Minimum, w.ExclusiveMinimum, -1), false, path)
	if is, was := r.ExclusiveMaximum, w.Maximum; is == nil || was == nil || was.Cmp(is) >= 0 { // else the inclusive one says it
		c.bound("exclusiveMaximum", is, w.ExclusiveMaximum, true, path)
	}
	if is, was := r.ExclusiveMinimum, w.Minimum; is == nil || was == nil || was.Cmp(is) <= 0 {
		c.bound("exclusiveMinimum", is, w.ExclusiveMinimum, false, path)
	}
	switch is, was := r.MultipleOf, w.MultipleOf; {
	case is == nil:
	case was == nil:
		c.add("MULTIPLE_OF_ADDED", path+"/multipleOf", "numbers must be multiples of %s, and need not", is.RatString())
	case !new(big.Rat).Quo(was, is).IsInt():
		rule := "MULTIPLE_OF_CHANGED"
		if new(big.Rat).Quo(is, was).IsInt() {
			rule = "MULTIPLE_OF_EXPANDED"
		}
		c.add(rule, path+"/multipleOf", "numbers must be multiples of %s, and were of %s", is.RatString(), was.RatString())
	}
}
