package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema/avrovalue"
)

// readAvro is schema resolution as the Avro specification has it, with every reason and not only the first.
func readAvro(reader, writer *avroType) []Difference {
	c := &avroReading{seen: map[avroPair]bool{}, budget: newBudget()}
	c.read(reader, writer, "")
	return c.budget.judge(c.found)
}

type avroReading struct {
	found []Difference
	seen  map[avroPair]bool // a recursive type is compatible unless something else in it is not
	order []avroPair        // those that were seen, in order, so that what an attempt saw can be taken back
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
	written := func(name string) int {
		return slices.IndexFunc(w.fields, func(f avroField) bool { return f.name == name })
	}
	same := slices.EqualFunc(r.fields, w.fields, func(r, w avroField) bool { return r.name == w.name && slices.Equal(r.aliases, w.aliases) })
	for i, field := range r.fields {
		at := fmt.Sprintf("%s/fields/%d", path, i)
		n := written(field.name)
		for _, alias := range field.aliases {
			old := written(alias)
			if old < 0 || same { // a record whose fields have not changed is read without aliases
				continue
			}
			if n >= 0 && n != old {
				c.add("READER_FIELD_AMBIGUOUS", at, "the field '%s' is read, and both '%s' and '%s' were written, which are its name or aliases of it", field.name, w.fields[n].name, alias)
				break
			}
			n = old
		}
		switch {
		case n >= 0:
			c.read(field.typ, w.fields[n].typ, at+"/type")
		case !field.defaulted:
			c.add("READER_FIELD_MISSING_DEFAULT_VALUE", at, "the field '%s' is read, was not written, and has no default", field.name)
		}
	}
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
