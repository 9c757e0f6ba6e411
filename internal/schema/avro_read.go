package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema/avrovalue"
)

// readAvro is schema resolution as the Avro specification has it, with every reason and not only the first.
func readAvro(reader, writer *avroType) []Difference {
	c := &avroReading{seen: map[avroPair]bool{}, same: sameAvro(reader, writer, map[avroPair]bool{}), budget: newBudget()}
	c.read(reader, writer, "")
	return c.budget.judge(c.found)
}

type avroReading struct {
	found []Difference
	seen  map[avroPair]bool // a recursive type is compatible unless something else in it is not
	order []avroPair        // those that were seen, in order, so that what an attempt saw can be taken back
	same  bool              // nothing has changed, and so nobody uses aliases
	*budget
}

// avroPair is a type that is read and the one that was written.
type avroPair [2]*avroType

func (c *avroReading) add(rule, path, format string, args ...any) {
	if path == "" {
		path = "/"
	}
	c.found = append(c.found, Difference{rule, path, fmt.Sprintf(format, args...)})
}

func (c *avroReading) read(r, w *avroType, path string) {
	pair := avroPair{r, w}
	if c.seen[pair] || !c.step() {
		return
	}
	c.seen[pair] = true
	c.order = append(c.order, pair)
	switch {
	case w.kind == "union":
		for i, branch := range w.branches {
			if r.kind == "union" {
				c.readBranch(r, branch, path, fmt.Sprintf("branch %d of the written union, %s,", i, branch))
			} else {
				c.read(r, branch, path)
			}
		}
	case r.kind == "union":
		c.readBranch(r, w, path, "what is written, "+w.String()+",")
	case r.kind == w.kind:
		c.sameKind(r, w, path)
	case slices.Contains(avroPromotions[w.kind], r.kind):
		c.logical(r, w, path)
	default:
		c.add("TYPE_MISMATCH", path, "it is read as %s, and was written as %s", r, w)
	}
}

// logical compares what the values of two types mean, which the specification leaves to their readers but for decimals: with another unit
// of time a reader has another time, and no error.
func (c *avroReading) logical(r, w *avroType, path string) {
	const rule = "LOGICAL_TYPE_MISMATCH"
	switch why := avrovalue.Clash(r.logical, w.logical); {
	case why != "":
		c.add(rule, path, "%s", why)
	case w.logical.Name == "" && r.partial():
		c.add(rule, path, "it is read as %s, and was written as %s, which need not be one", r.logical.Name, w)
	}
}

// partial says whether there are values of the type that its logical type has no meaning for.
func (t *avroType) partial() bool {
	switch t.logical.Name {
	case "decimal", "big-decimal", "time-millis", "time-micros":
		return true
	}
	return t.logical.Name == "uuid" && t.kind == "string"
}

// readBranch is a written type that is read with a union: with one of its branches at least.
func (c *avroReading) readBranch(r, w *avroType, path, what string) {
	// A primitive type is read as the branch of that type, or else as the first of a wider one, also where their logical types do not go together.
	if slices.Contains(avroPrimitives, w.kind) {
		for _, kinds := range [][]string{{w.kind}, avroPromotions[w.kind]} {
			if i := slices.IndexFunc(r.branches, func(b *avroType) bool { return slices.Contains(kinds, b.kind) }); i >= 0 {
				c.read(r.branches[i], w, fmt.Sprintf("%s/%d", path, i))
				return
			}
		}
	}
	for _, branch := range r.branches {
		if c.attempt(branch, w, path) {
			return
		}
	}
	// Where there is a branch of the same name, why that one does not do says more.
	for i, branch := range r.branches {
		if branch.kind == w.kind && w.name != "" && sameName(branch, w) {
			c.read(branch, w, fmt.Sprintf("%s/%d", path, i))
			return
		}
	}
	c.add("MISSING_UNION_BRANCH", path, "%s fits no branch of the union that it is read with", what)
}

// attempt says whether a type can be read so. Where it cannot, nothing is left of it.
func (c *avroReading) attempt(r, w *avroType, path string) bool {
	found, mark := c.found, len(c.order)
	c.found = nil
	c.read(r, w, path)
	ok := len(c.found) == 0
	c.found = found
	if !ok {
		for _, pair := range c.order[mark:] {
			delete(c.seen, pair)
		}
		c.order = c.order[:mark]
	}
	return ok
}

func (c *avroReading) sameKind(r, w *avroType, path string) {
	switch r.kind {
	case "array":
		c.read(r.items, w.items, path+"/items")
	case "map":
		c.read(r.items, w.items, path+"/values")
	case "record", "enum", "fixed":
		if !sameName(r, w) {
			c.add("NAME_MISMATCH", path+"/name", "it is read as %s, and was written as %s", r.name, w.name)
			return
		}
	}
	switch r.kind {
	case "record":
		c.readFields(r, w, path)
	case "enum":
		var missing []string
		for _, s := range w.symbols {
			if !slices.Contains(r.symbols, s) {
				missing = append(missing, s)
			}
		}
		if len(missing) > 0 && !r.defaulted {
			c.add("MISSING_ENUM_SYMBOLS", path+"/symbols", "the enum is read without %s, which may have been written",
				strings.Join(missing, ", "))
		}
	case "fixed":
		if r.size != w.size {
			c.add("FIXED_SIZE_MISMATCH", path+"/size", "%s is read with %s bytes, and was written with %s", r.name, r.size, w.size)
			return
		}
	}
	c.logical(r, w, path)
}

func (c *avroReading) readFields(r, w *avroType, path string) {
	once, twice := c.renamed(r, w)
	for i, field := range r.fields {
		at := fmt.Sprintf("%s/fields/%d", path, i)
		source := once[field.name]
		switch two := append(slices.Clone(source), twice[field.name]...); {
		case slices.ContainsFunc(two, func(n int) bool { return n != two[0] }):
			first, second := two[0], two[slices.IndexFunc(two, func(n int) bool { return n != two[0] })]
			c.add("READER_FIELD_AMBIGUOUS", at, "the field '%s' is read, and both '%s' and '%s' were written, which are its name or aliases of it", field.name, w.fields[first].name, w.fields[second].name)
		case len(source) != len(twice[field.name]):
			c.add("READER_FIELD_AMBIGUOUS", at, "the field '%s' is read, and what was written as '%s' may be another one: it is an alias of a field whose name is an alias too", field.name, w.fields[two[0]].name)
		case len(source) > 0:
			c.read(field.typ, w.fields[source[0]].typ, at+"/type")
		case field.defaulted:
		default:
			why := "was not written, and has no default"
			if n := slices.IndexFunc(w.fields, func(f avroField) bool { return f.name == field.name || slices.Contains(field.aliases, f.name) }); n >= 0 {
				to := slices.IndexFunc(r.fields, func(f avroField) bool { return slices.Contains(once[f.name], n) })
				why = fmt.Sprintf("and has no default: what was written as '%s' goes to the field '%s', of which that is an alias", w.fields[n].name, r.fields[to].name)
			}
			c.add("READER_FIELD_MISSING_DEFAULT_VALUE", at, "the field '%s' is read, %s", field.name, why)
		}
	}
}

// renamed are the written fields by the names under which they are read: the last field counts of those of which a written name is an alias. Avro for
// Java does it twice, unless the schemas are the same by then, so that aliases of aliases count or not.
func (c *avroReading) renamed(r, w *avroType) (once, twice map[string][]int) {
	takes := map[string]string{}
	for _, field := range r.fields {
		for _, alias := range field.aliases {
			if !c.same { // where nobody looks at them
				takes[alias] = field.name
			}
		}
	}
	rename := func(name string) string {
		if to, ok := takes[name]; ok {
			return to
		}
		return name
	}
	once, twice = map[string][]int{}, map[string][]int{}
	for n, field := range w.fields {
		name := rename(field.name)
		once[name] = append(once[name], n)
		name = rename(name)
		twice[name] = append(twice[name], n)
	}
	return once, twice
}

// sameAvro says whether two types are one but for what says nothing about their values.
func sameAvro(a, b *avroType, seen map[avroPair]bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	if seen[avroPair{a, b}] {
		return true
	}
	seen[avroPair{a, b}] = true
	return a.kind == b.kind && a.name == b.name && a.size == b.size && a.logical == b.logical && a.defaulted == b.defaulted && slices.Equal(a.symbols, b.symbols) &&
		sameAvro(a.items, b.items, seen) &&
		slices.EqualFunc(a.branches, b.branches, func(a, b *avroType) bool { return sameAvro(a, b, seen) }) &&
		slices.EqualFunc(a.fields, b.fields, func(a, b avroField) bool {
			return a.name == b.name && a.defaulted == b.defaulted && slices.Equal(a.aliases, b.aliases) && sameAvro(a.typ, b.typ, seen)
		})
}

// sameName compares names without their namespaces, as Avro's own libraries do, and the reader's aliases in full.
func sameName(r, w *avroType) bool {
	return short(r.name) == short(w.name) || slices.Contains(r.aliases, w.name)
}

func short(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// avroPromotions are the types as which a written primitive type can be read too.
var avroPromotions = map[string][]string{
	"int":    {"long", "float", "double"},
	"long":   {"float", "double"},
	"float":  {"double"},
	"string": {"bytes"},
	"bytes":  {"string"},
}

func (t *avroType) String() string {
	if t.name != "" {
		return t.kind + " " + t.name
	}
	return t.kind
}
